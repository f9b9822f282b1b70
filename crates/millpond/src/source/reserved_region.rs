//! One range of addresses, reserved at once and backed by memory as it is used.
//!
//! A cursor moves through the range; blocks are whole pages, cut at the cursor, one right behind the other. A page gets
//! its memory when it is cut and loses it when it is freed. What is freed at the cursor moves it back; other addresses
//! stay spent, without memory. Each call is one or two system calls.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    buffer::inspect_cursor,
    cursor::Cursor,
    mapped_region::MappedRegion,
    pages::{Pages, grow_zeroed, in_place, whole_pages},
};
use crate::{
    base::{AllocError, address},
    traits::{Allocation, Allocator, AtFork, HeapMapBuilder, Inspect, InvariantError, PoolStats},
};

/// A large range of addresses as a source: it grows, yet never moves, and has no gaps.
///
/// Reserving costs no memory, so reserve as much as there may ever be. A pool on top gets chunks that lie back to back,
/// as long as nobody else takes from the same range; the last one is all that is left. So every block of the pool has an
/// [offset](Self::offset_of) in one range: from a pointer to a number is a subtraction, and a shift where blocks have a
/// power of two as their size. Blocks are cut from the front, in order; freeing the last one makes room again, and it
/// grows and shrinks where it is; freeing any other gives its memory back to the system but not its addresses. A pool
/// that is dropped frees its chunks from the newest to the oldest, so all of the range is there again. Shared by threads
/// without a lock. Blocks are whole pages, hence zero when fresh, and
/// [`allocate_zeroed`](Allocator::allocate_zeroed) costs nothing more.
///
/// Dropping it releases the range, blocks included.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Local, ReservedRegion};
///
/// let range = ReservedRegion::new(1 << 30)?; // a gibibyte of addresses
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &range);
/// for number in 0..100_000 {
///     let block = pool.allocate(Layout::new::<[u64; 8]>())?;
///     let offset = range.offset_of(block.as_ptr().cast()).expect("every block lies in the range");
///     assert!(offset / 64 >= number); // no two blocks have the same
/// }
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Debug)]
pub struct ReservedRegion {
    region: MappedRegion,
    cursor: Cursor,
}

impl ReservedRegion {
    /// Reserves `size` bytes, rounded up to whole pages. The range starts at a multiple of a
    /// [huge page](Pages::huge_size) if it has room for one.
    ///
    /// # Errors
    ///
    /// [`AllocError::Unsupported`] for a size of zero or beyond the address space, else what the system says.
    pub fn new(size: usize) -> Result<Self, AllocError> {
        Ok(Self { region: MappedRegion::reserve(size)?, cursor: Cursor::new() })
    }

    /// The first byte of the range.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.region.start()
    }

    /// Bytes in the range.
    #[must_use]
    pub fn size(&self) -> usize {
        self.region.size()
    }

    /// Bytes up to the end of the last block.
    #[must_use]
    pub fn used(&self) -> usize {
        self.cursor.used()
    }

    /// How many bytes `pointer` lies behind the start; `None` if it does not lie in the range.
    #[must_use]
    pub fn offset_of(&self, pointer: *const u8) -> Option<usize> {
        let offset = pointer.addr().wrapping_sub(self.start().addr().get());
        (offset < self.size()).then_some(offset)
    }

    fn memory(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.start(), self.size())
    }

    /// Cuts a block and puts memory behind it.
    fn take(&self, least: Layout, preferred: usize) -> Allocation {
        let block = self.cursor.take(self.memory(), least, preferred)?;
        self.commit(block.cast(), block.len())?;
        Ok(block)
    }

    /// Puts memory behind addresses that were just cut; without success they are not cut any more.
    fn commit(&self, start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
        let offset = start.addr().get() - self.start().addr().get();
        self.region.commit(offset..offset + size).inspect_err(|_| {
            self.cursor.give_back(self.memory(), start, size);
        })
    }

    /// Takes the memory away, then the addresses back: in this order, as others may cut them at once.
    ///
    /// # Safety
    ///
    /// These are whole pages of a block, up to its end, and nobody uses them any more.
    unsafe fn give_back(&self, start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
        let offset = start.addr().get() - self.start().addr().get();
        // SAFETY: the caller promises that nobody uses these pages.
        unsafe { self.region.decommit(offset..offset + size)? };
        self.cursor.give_back(self.memory(), start, size);
        Ok(())
    }

    /// A layout in whole pages.
    fn pages(layout: Layout) -> Result<Layout, AllocError> {
        let page = Pages::size();
        let size = whole_pages(layout.size(), page)?;
        Layout::from_size_align(size, layout.align().max(page)).map_err(|_| AllocError::Unsupported)
    }
}

impl Inspect for ReservedRegion {
    inspect_cursor!();
}

// SAFETY: the cursor hands every page out once, aligned, and takes back only what ends at it; there is memory behind a
// page from before it is handed out until it comes back.
unsafe impl Allocator for ReservedRegion {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.allocate_between(layout, layout.size())
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0
            && let Ok(pages) = Self::pages(layout)
        {
            // SAFETY: the caller promises that the block is live and the layout its own. If the system refuses, the
            // pages stay as they are and are not handed out again.
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
            // The system has not that much memory: perhaps it has what is needed.
            Err(AllocError::Os(_)) if preferred > least.size() => self.take(least, least.size()),
            result => result,
        }
    }

    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let pages = Self::pages(old)?.size();
        // SAFETY: the caller's promises are passed on.
        unsafe { grow_zeroed(self, block, (old, new), pages) }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let (from, to) = in_place(block, old, new)?;
        if from != to {
            if !self.cursor.extend(self.memory(), block, from, to) {
                return Err(AllocError::InPlace);
            }
            // SAFETY: the block was just extended to `to` bytes.
            self.commit(unsafe { block.add(from) }, to - from)?;
        }
        Ok(NonNull::slice_from_raw_parts(block, to))
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let (from, to) = in_place(block, old, new)?;
        if from != to {
            // SAFETY: the tail is whole pages of the block, which the caller gives up.
            unsafe { self.give_back(block.add(to), from - to) }.map_err(|_| AllocError::InPlace)?;
        }
        Ok(NonNull::slice_from_raw_parts(block, to))
    }
}

impl AtFork for ReservedRegion {}
