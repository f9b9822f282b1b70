//! Rust's global allocator as a source.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::{AllocError, address},
    traits::{Allocation, Allocator, AtFork},
};

/// Rust's global allocator: what `Box` and `Vec` use, hence `malloc` unless the program chose otherwise.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Heap};
///
/// let layout = Layout::new::<[u64; 4]>();
/// let block = Heap.allocate_zeroed(layout)?;
/// // SAFETY: the block is live and `layout` is the one it was allocated with.
/// unsafe {
///     assert_eq!(block.cast::<[u64; 4]>().read(), [0; 4]);
///     Heap.deallocate(block.cast(), layout);
/// }
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

/// What the global allocator returned for a request of `size` bytes.
fn handed_out(pointer: *mut u8, size: usize) -> Allocation {
    let start = NonNull::new(pointer).ok_or(AllocError::Exhausted)?;
    Ok(NonNull::slice_from_raw_parts(start, size))
}

// SAFETY: the global allocator keeps the contract for every size but zero, which never reaches it; blocks are returned
// without excess, so the size at `deallocate` is the one it knows. Where the alignment changes, blocks are moved by
// hand, because `realloc` keeps it.
unsafe impl Allocator for Heap {
    #[inline]
    fn allocate(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        // SAFETY: the size is not zero.
        handed_out(unsafe { alloc::alloc::alloc(layout) }, layout.size())
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller promises that the block is live and the layout its own.
            unsafe { alloc::alloc::dealloc(block.as_ptr(), layout) };
        }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        // SAFETY: the size is not zero.
        handed_out(unsafe { alloc::alloc::alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe { resize(self, block, old, new) }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe { resize(self, block, old, new) }
    }

    fn is_fine_grained(&self) -> bool {
        true
    }
}

/// Growing and shrinking are one thing for the global allocator.
///
/// # Safety
///
/// `block` is live, was handed out by [`Heap`], and `old` fits it.
unsafe fn resize(heap: &Heap, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
    if old.align() != new.align() || old.size() == 0 || new.size() == 0 {
        // SAFETY: the caller's promises are passed on.
        return unsafe { crate::traits::relocate(heap, block, old, new) };
    }
    // SAFETY: the block is live with the layout `old`, and the new size is not zero and, with this alignment, valid.
    handed_out(unsafe { alloc::alloc::realloc(block.as_ptr(), old, new.size()) }, new.size())
}

impl AtFork for Heap {}
