//! The operating system's pages as a source.

use core::{alloc::Layout, ptr::NonNull};

use super::os;
use crate::{
    base::{AllocError, address},
    traits::{Allocation, Allocator, AtFork, relocate},
};

/// Pages straight from the operating system: `mmap` on Unix, `VirtualAlloc` on Windows.
///
/// Sizes are rounded up to whole pages, and the slice returned is as long as they are. Any alignment is served. Fresh
/// pages are zero, so [`allocate_zeroed`](Allocator::allocate_zeroed) costs nothing more. Every call is a system call:
/// this is a parent for pools, not a pool. On Linux, blocks grow without copying: their pages move. Guard pages, huge
/// pages and the like: [`TunedPages`](crate::TunedPages).
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Pages};
///
/// let layout = Layout::new::<u8>();
/// let pages = Pages.allocate(layout)?;
/// assert_eq!(pages.len(), Pages::size());
/// // SAFETY: the block is live and the layout fits it.
/// unsafe { Pages.deallocate(pages.cast(), layout) };
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Pages;

impl Pages {
    /// Bytes in a page of this system.
    #[must_use]
    pub fn size() -> usize {
        os::page_size()
    }

    /// Bytes in a huge page of this system, if it has any: 2 MiB where pages are 4 KiB.
    #[must_use]
    pub fn huge_size() -> usize {
        os::huge_size()
    }
}

/// `size` in whole pages of `page` bytes.
pub(super) fn whole_pages(size: usize, page: usize) -> Result<usize, AllocError> {
    size.checked_next_multiple_of(page)
        .filter(|&size| size <= isize::MAX.cast_unsigned())
        .ok_or(AllocError::Unsupported)
}

/// Grows a block that has `pages` bytes of pages, and zeroes what is behind its bytes in these: all that lies beyond comes
/// fresh, hence zero.
///
/// # Safety
///
/// As for [`Allocator::grow_zeroed`] of `source`.
pub(super) unsafe fn grow_zeroed(
    source: &impl Allocator,
    block: NonNull<u8>,
    (old, new): (Layout, Layout),
    pages: usize,
) -> Allocation {
    // SAFETY: the caller's promises are passed on.
    let grown = unsafe { source.grow(block, old, new)? };
    let end = pages.clamp(old.size(), grown.len());
    // SAFETY: the new block is live and at least as long as the old one was, so both ends lie in it.
    unsafe { grown.cast::<u8>().add(old.size()).write_bytes(0, end - old.size()) };
    Ok(grown)
}

/// The sizes in pages of a block before and after it is resized where it is: bytes to bytes, at an alignment that it
/// happens to have.
pub(super) fn in_place(block: NonNull<u8>, old: Layout, new: Layout) -> Result<(usize, usize), AllocError> {
    if old.size() == 0 || new.size() == 0 || !block.addr().get().is_multiple_of(new.align()) {
        return Err(AllocError::InPlace);
    }
    let page = os::page_size();
    Ok((whole_pages(old.size(), page)?, whole_pages(new.size(), page)?))
}

// SAFETY: every mapping is fresh, hence overlaps nothing that is live, and is as large and as aligned as asked.
unsafe impl Allocator for Pages {
    fn allocate(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        let size = whole_pages(layout.size(), os::page_size())?;
        Ok(NonNull::slice_from_raw_parts(os::map(size, layout.align())?, size))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if let Ok(size) = whole_pages(layout.size(), os::page_size())
            && size != 0
        {
            // SAFETY: the caller promises that the block is live; its size in pages is what was mapped. A failure would
            // leave the pages mapped, and nobody can do better than that.
            let _ = unsafe { os::release(block, size) };
        }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.allocate(layout)
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if let Ok((from, to)) = in_place(block, old, new)
            && new.align() <= os::page_size()
            && from != to
            // SAFETY: the caller promises that the block is live; its size in pages is what was mapped.
            && let Ok(start) = unsafe { os::remap(block, from, to, true) }
        {
            return Ok(NonNull::slice_from_raw_parts(start, to));
        }
        // SAFETY: the block is as it was, and the caller's promises are passed on.
        unsafe { self.grow_in_place(block, old, new).or_else(|_| relocate(self, block, old, new)) }
    }

    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let pages = whole_pages(old.size(), os::page_size())?;
        // SAFETY: the caller's promises are passed on.
        unsafe { grow_zeroed(self, block, (old, new), pages) }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let (from, to) = in_place(block, old, new)?;
        if from != to {
            // SAFETY: the caller promises that the block is live; its size in pages is what was mapped.
            unsafe { os::remap(block, from, to, false) }.map_err(|_| AllocError::InPlace)?;
        }
        Ok(NonNull::slice_from_raw_parts(block, to))
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let (from, to) = in_place(block, old, new)?;
        if from != to {
            // SAFETY: as above, and the caller gives up what lies beyond the new size.
            unsafe { os::shrink(block, from, to) }.map_err(|_| AllocError::InPlace)?;
        }
        Ok(NonNull::slice_from_raw_parts(block, to))
    }
}

impl AtFork for Pages {}
