//! Rust's global allocator as a source.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::{AllocError, address},
    traits::{Allocation, Allocator, AtFork},
};

/// Rust's global allocator, which `Box` and `Vec` use: `malloc` unless the program chose another.
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

/// Converts what the global allocator returned for a request of `size` bytes.
fn handed_out(pointer: *mut u8, size: usize) -> Allocation {
    let start = NonNull::new(pointer).ok_or(AllocError::Exhausted)?;
    Ok(NonNull::slice_from_raw_parts(start, size))
}

// SAFETY: the global allocator upholds the contract for every size except zero, which never reaches it. Blocks are
// returned without excess, so the size passed to `deallocate` is the one that it knows. If the alignment changes, the
// block is moved explicitly, because `realloc` keeps the alignment.
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
            // SAFETY: the caller guarantees that the block is live and that `layout` is the layout it was allocated
            // with.
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
        // SAFETY: the caller upholds the contract of `grow`: `block` is live, was handed out by `Heap`, and `old` fits
        // it.
        unsafe { resize(self, block, old, new) }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink`: `block` is live, was handed out by `Heap`, and `old`
        // fits it.
        unsafe { resize(self, block, old, new) }
    }

    fn is_fine_grained(&self) -> bool {
        true
    }
}

/// Resizes a block. For the global allocator, growing and shrinking are the same operation.
///
/// # Safety
///
/// `block` is live, was handed out by [`Heap`], and `old` fits it.
unsafe fn resize(heap: &Heap, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
    if old.align() != new.align() || old.size() == 0 || new.size() == 0 {
        // SAFETY: the caller guarantees that `block` is live, was handed out by `heap`, and that `old` fits it.
        return unsafe { crate::traits::relocate(heap, block, old, new) };
    }
    // SAFETY: the block is live with the layout `old`, and the new size is not zero and, with this alignment, valid.
    handed_out(unsafe { alloc::alloc::realloc(block.as_ptr(), old, new.size()) }, new.size())
}

// SAFETY: there are no parts, and no method is overridden.
unsafe impl AtFork for Heap {}
