//! The operating system's pages as a source.

use core::{alloc::Layout, ptr::NonNull};

use super::os;
use crate::{
    base::{AllocError, address},
    traits::{Allocation, Allocator, AtFork, relocate},
};

/// Pages from the operating system: `mmap` on Unix, `VirtualAlloc` on Windows.
///
/// Sizes are rounded up to whole pages, and the returned slice has the rounded length. Every alignment is supported.
/// Fresh pages are zero, so [`allocate_zeroed`](Allocator::allocate_zeroed) costs nothing extra. Every call is a system
/// call: use this type as a parent of pools, not as a pool. On Linux, blocks grow without copying: the system remaps
/// their pages. For guard pages, huge pages and more, see [`TunedPages`](crate::source::TunedPages).
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
    /// Returns the page size of this system, in bytes.
    #[must_use]
    pub fn size() -> usize {
        os::page_size()
    }

    /// Returns the huge page size of this system, if it has huge pages, in bytes: 2 MiB where pages are 4 KiB.
    #[must_use]
    pub fn huge_size() -> usize {
        os::huge_size()
    }
}

/// Rounds `size` up to whole pages of `page` bytes.
pub(super) fn whole_pages(size: usize, page: usize) -> Result<usize, AllocError> {
    size.checked_next_multiple_of(page)
        .filter(|&size| size <= isize::MAX.cast_unsigned())
        .ok_or(AllocError::Unsupported)
}

/// Grows a block that occupies `pages` bytes of pages, and zeroes the rest of these pages behind the block's old size.
/// The pages beyond are fresh and thus zero.
///
/// # Safety
///
/// The same as for [`Allocator::grow_zeroed`] of `source`.
pub(super) unsafe fn grow_zeroed(
    source: &impl Allocator,
    block: NonNull<u8>,
    (old, new): (Layout, Layout),
    pages: usize,
) -> Allocation {
    // SAFETY: the caller upholds the contract of `grow_zeroed`, which includes that of `grow`.
    let grown = unsafe { source.grow(block, old, new)? };
    let end = pages.clamp(old.size(), grown.len());
    // SAFETY: the new block is live and at least as long as the old one was, so both ends lie in it.
    unsafe { grown.cast::<u8>().add(old.size()).write_bytes(0, end - old.size()) };
    Ok(grown)
}

/// Returns the sizes, in bytes of whole pages, of a block before and after it is resized in place, provided that its
/// address has the new alignment.
fn in_place(block: NonNull<u8>, old: Layout, new: Layout) -> Result<(usize, usize), AllocError> {
    if old.size() == 0 || new.size() == 0 || !block.addr().get().is_multiple_of(new.align()) {
        return Err(AllocError::InPlace);
    }
    let page = os::page_size();
    Ok((whole_pages(old.size(), page)?, whole_pages(new.size(), page)?))
}

/// Resizes a block of whole pages in place: calls `change` with its size before and after, unless they are the same.
pub(super) fn resize_in_place(
    block: NonNull<u8>,
    (old, new): (Layout, Layout),
    change: impl FnOnce(usize, usize) -> Result<(), AllocError>,
) -> Allocation {
    let (from, to) = in_place(block, old, new)?;
    if from != to {
        change(from, to)?;
    }
    Ok(NonNull::slice_from_raw_parts(block, to))
}

// SAFETY: every mapping is fresh, so it overlaps nothing live, and is as large and as aligned as requested.
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
            // SAFETY: the caller guarantees that the block is live, and its size in pages is the size that was mapped.
            // On failure the pages stay mapped; there is no better way to handle it.
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
            // SAFETY: the caller guarantees that the block is live, and its size in pages is the size that was mapped.
            && let Ok(start) = unsafe { os::remap(block, from, to, true) }
        {
            return Ok(NonNull::slice_from_raw_parts(start, to));
        }
        // SAFETY: the block is unchanged, and the caller upholds the contract of `grow`, which `grow_in_place` and
        // `relocate` share.
        unsafe { self.grow_in_place(block, old, new).or_else(|_| relocate(self, block, old, new)) }
    }

    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let pages = whole_pages(old.size(), os::page_size())?;
        // SAFETY: the caller upholds the contract of `grow_zeroed`, and the block occupies `pages` bytes of pages.
        unsafe { grow_zeroed(self, block, (old, new), pages) }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        resize_in_place(block, (old, new), |from, to| {
            // SAFETY: the caller guarantees that the block is live, and its size in pages is the size that was mapped.
            unsafe { os::remap(block, from, to, false) }.map(drop).map_err(|_| AllocError::InPlace)
        })
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        resize_in_place(block, (old, new), |from, to| {
            // SAFETY: the caller guarantees that the block is live and no longer uses the bytes beyond the new size.
            unsafe { os::shrink(block, from, to) }.map_err(|_| AllocError::InPlace)
        })
    }
}

// SAFETY: there are no parts, and no method is overridden.
unsafe impl AtFork for Pages {}
