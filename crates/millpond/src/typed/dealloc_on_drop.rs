//! What every handle does at its end: the block goes back, whether the value's destructor returns or unwinds.

use core::{alloc::Layout, ptr::NonNull};

use crate::traits::Allocator;

/// A block that goes back to its allocator when this is dropped.
///
/// Invariant: the block is live, `memory` handed it out, `layout` fits it, and nobody else will free it.
pub(crate) struct DeallocOnDrop<'p, M: Allocator + ?Sized> {
    block: NonNull<u8>,
    layout: Layout,
    memory: &'p M,
}

impl<'p, M: Allocator + ?Sized> DeallocOnDrop<'p, M> {
    /// # Safety
    ///
    /// The invariant holds.
    pub(crate) unsafe fn new(block: NonNull<u8>, layout: Layout, memory: &'p M) -> Self {
        Self { block, layout, memory }
    }
}

impl<M: Allocator + ?Sized> Drop for DeallocOnDrop<'_, M> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this is what the invariant says.
        unsafe { self.memory.deallocate(self.block, self.layout) };
    }
}
