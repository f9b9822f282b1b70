//! The shell behind [`Local`](super::Local) and [`Locked`](super::Locked): a pool in a cell, its parent, and a policy.
//! The two differ only in the cell, through which a shared reference to the shell reaches the pool.

use core::{
    alloc::Layout,
    mem::{ManuallyDrop, MaybeUninit},
    ptr::{self, NonNull},
};

use super::{
    bulk,
    oom::OomPolicy,
    ops::{self, WithPool},
};
use crate::{
    base::AllocError,
    sync::growth_barrier::GrowthBarrier,
    traits::{
        Allocation, Allocator, HeapMapBuilder, Holes, Inspect, InvariantError, Metrics, PoolStats, RawPool,
        Reclaim, Report, Reserve,
    },
};

/// The cell in which a shell keeps its pool.
pub(super) trait PoolCell {
    type Pool: RawPool;

    /// Calls `use_it` with the pool: see [`WithPool::with`].
    fn with<R>(&self, use_it: impl FnOnce(&mut Self::Pool) -> R) -> R;

    fn get_mut(&mut self) -> &mut Self::Pool;

    /// Returns the growth barrier, if more than one request to the parent may be in flight.
    fn growth_barrier(&self) -> Option<&GrowthBarrier> {
        None
    }
}

impl<C: PoolCell> WithPool for &C {
    type Pool = C::Pool;

    #[inline(always)]
    fn with<R>(&mut self, use_it: impl FnOnce(&mut C::Pool) -> R) -> R {
        (**self).with(use_it)
    }

    fn growth_barrier(&self) -> Option<&GrowthBarrier> {
        (**self).growth_barrier()
    }
}

/// A pool in a cell, and its parent. Dropping it returns every chunk to the parent.
pub(super) struct Shell<C: PoolCell, A: Allocator, O: OomPolicy> {
    pub(super) cell: C,
    pub(super) parent: A,
    pub(super) policy: O,
}

impl<C: PoolCell, A: Allocator, O: OomPolicy> Shell<C, A, O> {
    pub(super) const fn new(cell: C, parent: A, policy: O) -> Self {
        Self { cell, parent, policy }
    }

    /// Takes the shell apart; its chunks stay in the pool.
    pub(super) fn into_parts(self) -> (C, A, O) {
        let this = ManuallyDrop::new(self);
        // SAFETY: each part is read once, and the shell is neither used nor dropped afterwards.
        unsafe {
            (
                ptr::read(&raw const this.cell),
                ptr::read(&raw const this.parent),
                ptr::read(&raw const this.policy),
            )
        }
    }

    /// Returns the chunks without live blocks to the parent and returns their total size in bytes.
    pub(super) fn trim(&self) -> usize {
        ops::trim(&self.cell, &self.parent)
    }

    /// Grows the pool until it can serve `count` requests in a row.
    pub(super) fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError>
    where
        C::Pool: Reserve,
    {
        bulk::reserve(&self.cell, &self.parent, layout, count)
    }
}

impl<C: PoolCell, A: Allocator, O: OomPolicy> Drop for Shell<C, A, O> {
    fn drop(&mut self) {
        ops::release_all(self.cell.get_mut(), &self.parent);
    }
}

// SAFETY: blocks are the pool's or the parent's, which both keep the contract; a layout that fits a block determines
// which of the two it belongs to. Neither unwinds.
unsafe impl<C: PoolCell, A: Allocator, O: OomPolicy> Allocator for Shell<C, A, O> {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Allocation {
        ops::allocate(&self.cell, (&self.parent, &self.policy), layout)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        ops::allocate_zeroed(&self.cell, (&self.parent, &self.policy), layout)
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { ops::deallocate(&self.cell, &self.parent, block, layout) };
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        ops::may_deallocate(&self.cell, &self.parent, block, layout)
    }

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { ops::damage(&self.cell, &self.parent, block, layout) }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow`.
        unsafe { ops::resize((self, &self.cell, &self.parent, &self.policy), block, (old, new)) }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink`.
        unsafe { ops::resize((self, &self.cell, &self.parent, &self.policy), block, (old, new)) }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_in_place`.
        unsafe { ops::resize_in_place(&self.cell, &self.parent, block, (old, new)) }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink_in_place`.
        unsafe { ops::resize_in_place(&self.cell, &self.parent, block, (old, new)) }
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        ops::allocate_between(&self.cell, (&self.parent, &self.policy), (least, preferred))
    }

    fn allocate_many(
        &self,
        layout: Layout,
        places: &mut [MaybeUninit<NonNull<u8>>],
    ) -> Result<(), AllocError> {
        bulk::allocate_many(&self.cell, (&self.parent, &self.policy), layout, places)
    }

    unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate_many`, which is the same.
        unsafe { bulk::deallocate_many(&self.cell, &self.parent, blocks, layout) };
    }
}

impl<C: PoolCell, A: Allocator, O: OomPolicy> Reclaim for Shell<C, A, O> {
    fn reset(&mut self) {
        self.cell.get_mut().reset();
    }

    fn trim(&mut self) -> usize {
        Self::trim(self)
    }
}

impl<C: PoolCell<Pool: Inspect>, A: Allocator, O: OomPolicy> Inspect for Shell<C, A, O> {
    fn stats(&self) -> PoolStats {
        self.cell.with(|pool| pool.stats())
    }

    fn largest_free(&self) -> Option<usize> {
        self.cell.with(|pool| pool.largest_free())
    }

    fn holes(&self) -> Option<Holes> {
        self.cell.with(|pool| pool.holes())
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.cell.with(|pool| pool.render(builder));
    }

    fn metrics(&self) -> Metrics {
        self.cell.with(|pool| pool.metrics())
    }

    fn owns(&self, address: *const u8) -> bool {
        self.cell.with(|pool| pool.owns(address))
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.cell.with(|pool| pool.check())
    }

    fn report(&self) -> Report {
        self.cell.with(|pool| pool.report())
    }
}
