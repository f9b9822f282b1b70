//! A source without memory.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::{AllocError, address},
    traits::{Allocation, Allocator, AtFork},
};

/// A source without memory: every request fails, except those for zero bytes.
///
/// Use it as the parent of a pool that must not grow beyond the memory it was given.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{AllocError, Allocator, source::NullAllocator};
///
/// assert_eq!(NullAllocator.allocate(Layout::new::<u8>()), Err(AllocError::Exhausted));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NullAllocator;

// SAFETY: all blocks it hands out are zero-sized.
unsafe impl Allocator for NullAllocator {
    fn allocate(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 { Ok(address::zero_sized(layout)) } else { Err(AllocError::Exhausted) }
    }

    unsafe fn deallocate(&self, _: NonNull<u8>, _: Layout) {}
}

// SAFETY: there are no parts, and no method is overridden.
unsafe impl AtFork for NullAllocator {}
