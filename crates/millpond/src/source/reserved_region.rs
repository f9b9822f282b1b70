//! One range of addresses, reserved at once and committed as it is used.
//!
//! A cursor moves through the range; blocks consist of whole pages and are carved at the cursor, back to back. A page
//! is committed when it is carved and decommitted when it is freed. Freeing the block that ends at the cursor moves the
//! cursor back; other addresses stay unavailable, without memory. Each call makes one or two system calls.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    cursor::Cursor,
    mapped_region::MappedRegion,
    pages::{Pages, grow_zeroed, resize_in_place, whole_pages},
    space::Space,
};
use crate::{
    base::{AllocError, address},
    traits::{Allocation, Allocator, AtFork, delegate_inspect},
};

/// A large range of addresses as a source: it grows without ever moving, and has no gaps.
///
/// Reserving uses no memory, so reserve the maximum that may ever be needed. A pool on top receives chunks that lie
/// back to back if nothing else allocates from the same range; the last chunk is all that is left. Every block of the
/// pool therefore has an [offset](Self::offset_of) in one range: a pointer is converted to a number by a subtraction,
/// and a shift if the block size is a power of two. Blocks are allocated from the front, in order. Freeing the last
/// block makes its memory available again, and the last block grows and shrinks in place; freeing any other block
/// returns its memory to the system but does not make its addresses available again. A dropped pool frees its chunks
/// from the newest to the oldest, so that the whole range is available again. Threads share the range without a lock.
/// Blocks consist of whole pages, which are zero when fresh, so [`allocate_zeroed`](Allocator::allocate_zeroed) costs
/// nothing extra.
///
/// Dropping the region releases the range, including all blocks.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Local, source::ReservedRegion};
///
/// let range = ReservedRegion::new(1 << 30)?; // a gibibyte of addresses
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &range);
/// for number in 0..100_000 {
///     let block = pool.allocate(Layout::new::<[u64; 8]>())?;
///     let offset = range.offset_of(block.as_ptr().cast()).expect("every block lies in the range");
///     assert!(offset / 64 >= number); // distinct per block
/// }
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Debug)]
pub struct ReservedRegion {
    region: MappedRegion,
    cursor: Cursor,
}

impl ReservedRegion {
    /// Reserves `size` bytes, rounded up to whole pages. The range starts at a multiple of a [huge
    /// page](Pages::huge_size) if it has room for one.
    ///
    /// # Errors
    ///
    /// [`AllocError::Unsupported`] if the size is zero or exceeds the address space, otherwise the error of the system.
    pub fn new(size: usize) -> Result<Self, AllocError> {
        Ok(Self { region: MappedRegion::reserve(size)?, cursor: Cursor::new() })
    }

    /// Returns a pointer to the first byte of the range.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.region.start()
    }

    /// Returns the number of bytes in the range.
    #[must_use]
    pub fn size(&self) -> usize {
        self.region.size()
    }

    /// Returns the number of bytes up to the end of the last block.
    #[must_use]
    pub fn used(&self) -> usize {
        self.cursor.used()
    }

    /// Returns the offset of `pointer` from the start of the range, in bytes; `None` if it does not lie in the range.
    #[must_use]
    pub fn offset_of(&self, pointer: *const u8) -> Option<usize> {
        let offset = pointer.addr().wrapping_sub(self.start().addr().get());
        (offset < self.size()).then_some(offset)
    }

    fn memory(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.start(), self.size())
    }

    fn space(&self) -> Space<'_> {
        Space { memory: self.memory(), cursor: &self.cursor }
    }

    /// Carves a block and commits its memory.
    fn take(&self, least: Layout, preferred: usize) -> Allocation {
        let block = self.cursor.take(self.memory(), least, preferred)?;
        self.commit(block.cast(), block.len())?;
        Ok(block)
    }

    /// Commits memory that was just carved; on failure the addresses are given back.
    fn commit(&self, start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
        let offset = start.addr().get() - self.start().addr().get();
        self.region.commit(offset..offset + size).inspect_err(|_| {
            self.cursor.give_back(self.memory(), start, size);
        })
    }

    /// Decommits the memory, then gives the addresses back. The order matters because other threads may carve the
    /// addresses at once.
    ///
    /// # Safety
    ///
    /// The range consists of whole pages of a block, up to its end, and is no longer used.
    unsafe fn give_back(&self, start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
        let offset = start.addr().get() - self.start().addr().get();
        // SAFETY: the caller guarantees that these pages are no longer used.
        unsafe { self.region.decommit(offset..offset + size)? };
        self.cursor.give_back(self.memory(), start, size);
        Ok(())
    }

    /// Rounds a layout up to whole pages.
    fn pages(layout: Layout) -> Result<Layout, AllocError> {
        let page = Pages::size();
        let size = whole_pages(layout.size(), page)?;
        Layout::from_size_align(size, layout.align().max(page)).map_err(|_| AllocError::Unsupported)
    }
}

delegate_inspect!(
/// Everything up to the end of the last live block counts as live.
[] ReservedRegion: |this| this.space());

// SAFETY: the cursor hands out every page at most once, aligned, and takes back only what ends at it. A page is
// committed before it is handed out and stays so until it is freed.
unsafe impl Allocator for ReservedRegion {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.allocate_between(layout, layout.size())
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0
            && let Ok(pages) = Self::pages(layout)
        {
            // SAFETY: the caller guarantees that the block is live and that `layout` is the layout it was allocated
            // with. If the system refuses, the pages stay as they are and are not handed out again.
            let _ = unsafe { self.give_back(block, pages.size()) };
        }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.allocate(layout)
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        if least.size() == 0 {
            return Ok(address::zero_sized(least));
        }
        let least = Self::pages(least)?;
        let preferred = preferred.min(self.size()).next_multiple_of(Pages::size());
        match self.take(least, preferred) {
            // The system does not have `preferred` bytes; it may have `least`.
            Err(AllocError::Os(_)) if preferred > least.size() => self.take(least, least.size()),
            result => result,
        }
    }

    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let pages = Self::pages(old)?.size();
        // SAFETY: the caller upholds the contract of `grow_zeroed`, and the block occupies `pages` bytes of pages.
        unsafe { grow_zeroed(self, block, (old, new), pages) }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        resize_in_place(block, (old, new), |from, to| {
            if !self.cursor.extend(self.memory(), block, from, to) {
                return Err(AllocError::InPlace);
            }
            // SAFETY: the block was just extended to `to` bytes.
            self.commit(unsafe { block.add(from) }, to - from)
        })
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        resize_in_place(block, (old, new), |from, to| {
            // SAFETY: the tail consists of whole pages of the block, and the caller no longer uses it.
            unsafe { self.give_back(block.add(to), from - to) }.map_err(|_| AllocError::InPlace)
        })
    }
}

// SAFETY: there are no parts, and no method is overridden.
unsafe impl AtFork for ReservedRegion {}
