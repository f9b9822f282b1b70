//! The operating system's pages as a source.

use core::{alloc::Layout, ptr::NonNull};

use super::os;
use crate::{
    base::{AllocError, address},
    contract::Allocator,
};

/// Pages straight from the operating system: `mmap` on Unix, `VirtualAlloc` on Windows.
///
/// Sizes are rounded up to whole pages, and the slice returned is as long as they are. Any alignment is served. Fresh
/// pages are zero, so [`allocate_zeroed`](Allocator::allocate_zeroed) costs nothing more. Every call is a system call:
/// this is a parent for pools, not a pool.
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
}

/// `size` in whole pages of `page` bytes.
pub(super) fn whole_pages(size: usize, page: usize) -> Result<usize, AllocError> {
    size.checked_next_multiple_of(page)
        .filter(|&size| size <= isize::MAX.cast_unsigned())
        .ok_or(AllocError::Unsupported)
}

// SAFETY: every mapping is fresh, hence overlaps nothing that is live, and is as large and as aligned as asked.
unsafe impl Allocator for Pages {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        let page = os::page_size();
        let size = whole_pages(layout.size(), page)?;
        let start =
            if layout.align() <= page { os::map(size) } else { os::map_aligned(size, layout.align()) }?;
        Ok(NonNull::slice_from_raw_parts(start, size))
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

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.allocate(layout)
    }
}
