//! A guard that frees the block of a handle, whether the destructor of the value returns or unwinds.

use core::{alloc::Layout, ptr::NonNull};

use crate::traits::Allocator;

/// A block that is returned to its allocator when this guard is dropped.
///
/// # Invariants
///
/// The block is live and was allocated by `memory`, `layout` fits it, and nothing else frees it.
pub(crate) struct DeallocOnDrop<'p, M: Allocator + ?Sized> {
    block: NonNull<u8>,
    layout: Layout,
    memory: &'p M,
}

impl<'p, M: Allocator + ?Sized> DeallocOnDrop<'p, M> {
    /// Creates the guard of a block.
    ///
    /// # Safety
    ///
    /// The invariants of the type must hold.
    pub(crate) unsafe fn new(block: NonNull<u8>, layout: Layout, memory: &'p M) -> Self {
        Self { block, layout, memory }
    }
}

impl<M: Allocator + ?Sized> Drop for DeallocOnDrop<'_, M> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: by the invariant the block is live, comes from `memory` with this layout, and is freed only here.
        unsafe { self.memory.deallocate(self.block, self.layout) };
    }
}
