//! A shell with one owner, as an allocator, which the kit needs.

use std::{alloc::Layout, cell::RefCell, ptr::NonNull};

use millpond::{
    Allocator, Inspect, Owned, Reclaim,
    observe::{InvariantError, PoolStats},
    raw::{Allocation, RawPool},
    testing::TrackingParent,
};

/// Borrows the shell for every call, which always succeeds, because no call comes from within another.
pub struct Alone<P: RawPool>(RefCell<Owned<P, TrackingParent>>);

impl<P: RawPool> Alone<P> {
    /// Returns a pool on this parent.
    pub fn new_in(pool: P, parent: TrackingParent) -> Self {
        Self(RefCell::new(Owned::new_in(pool, parent)))
    }
}

// SAFETY: every block is the shell's, which upholds the contract.
unsafe impl<P: RawPool> Allocator for Alone<P> {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.0.borrow_mut().allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the contract is the same as the caller's.
        unsafe { self.0.borrow_mut().deallocate(block, layout) };
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: as above.
        unsafe { self.0.borrow_mut().resize_in_place(block, old, new) }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: as above.
        unsafe { self.0.borrow_mut().resize_in_place(block, old, new) }
    }
}

impl<P: RawPool + Inspect> Inspect for Alone<P> {
    fn stats(&self) -> PoolStats {
        self.0.borrow().stats()
    }

    fn owns(&self, address: *const u8) -> bool {
        self.0.borrow().owns(address)
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.0.borrow().check()
    }
}

impl<P: RawPool> Reclaim for Alone<P> {
    fn reset(&mut self) {
        self.0.get_mut().reset();
    }

    fn trim(&mut self) -> usize {
        self.0.get_mut().trim()
    }
}
