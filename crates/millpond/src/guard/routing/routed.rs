//! The guard that routes requests to one of two, around two allocators.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::AllocError,
    traits::{
        Allocation, Allocator, AtFork, HeapMapBuilder, Holes, Inspect, InvariantError, PoolStats, Reclaim,
        Report, relocate,
    },
};

/// Two pools or allocators, and the route `R` that decides which of them serves a request: see
/// [`Segregator`](crate::guard::Segregator) and [`Fallback`](crate::guard::Fallback).
///
/// Around two allocators it is an allocator, around two pools it is a pool in one shell, and both pools grow from the
/// shell's parent. [`Inspect`] and [`Reclaim`] answer for both.
#[derive(Debug)]
pub struct Routed<R, A, B> {
    pub(super) route: R,
    pub(super) first: A,
    pub(super) second: B,
}

/// Finds the one that handed out a block.
pub trait Route<A, B> {
    /// Whether a block that either of the two resizes stays its own, even if it moves.
    const RESIZES_BY_MOVING: bool;

    /// Returns whether the first handed out this block. The answer is the same for every layout that fits the block.
    fn is_first(&self, first: &A, block: NonNull<u8>, layout: Layout) -> bool;

    /// Returns whether a block that is resized belongs to the same one as before.
    fn stays(&self, old: Layout, new: Layout) -> bool;

    /// Returns which of the two a request may reach: the first, the second.
    fn reached(&self, layout: Layout) -> (bool, bool);

    /// Returns the part that is handed out of a block of the first.
    #[inline(always)]
    fn truncate(&self, block: NonNull<[u8]>) -> NonNull<[u8]> {
        block
    }
}

/// A route between two allocators.
pub trait AllocatorRoute<A: Allocator, B: Allocator>: Route<A, B> + Sized {
    /// Requests a block from the one that serves the request.
    fn ask(
        routed: &Routed<Self, A, B>,
        layout: Layout,
        first: impl FnOnce(&A) -> Allocation,
        second: impl FnOnce(&B) -> Allocation,
    ) -> Allocation;

    /// See [`Allocator::allocate_between`].
    fn allocate_between(routed: &Routed<Self, A, B>, least: Layout, preferred: usize) -> Allocation;
}

impl<R: Route<A, B>, A, B> Routed<R, A, B> {
    /// Calls one of the two functions, with the one that handed out a block.
    #[inline(always)]
    fn with<T>(
        &self,
        (block, layout): (NonNull<u8>, Layout),
        first: impl FnOnce(&A) -> T,
        second: impl FnOnce(&B) -> T,
    ) -> T {
        if self.route.is_first(&self.first, block, layout) {
            first(&self.first)
        } else {
            second(&self.second)
        }
    }

    /// Resizes a block that stays with the one that handed it out.
    #[inline(always)]
    fn resize(
        &self,
        (block, old, new): (NonNull<u8>, Layout, Layout),
        first: impl FnOnce(&A) -> Allocation,
        second: impl FnOnce(&B) -> Allocation,
    ) -> Allocation {
        if !self.route.stays(old, new) {
            return Err(AllocError::InPlace);
        }
        let truncated = |a: &A| first(a).map(|block| self.route.truncate(block));
        self.with((block, old), truncated, second)
    }
}

// SAFETY: every block is one of the two allocators, which uphold the contract, and the route finds the one that handed
// it out: by `owns`, whose answer does not change while the block lives (see the contract of `Allocator`), or by the
// size, which is small for every layout that fits a small block, because `truncate` shortens it.
unsafe impl<R: AllocatorRoute<A, B>, A: Allocator, B: Allocator> Allocator for Routed<R, A, B> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Allocation {
        R::ask(self, layout, |first| first.allocate(layout), |second| second.allocate(layout))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the callee handed out the block, and the caller upholds the contract of `deallocate`.
        unsafe {
            self.with((block, layout), |a| a.deallocate(block, layout), |b| b.deallocate(block, layout));
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.with((block, layout), |a| a.may_deallocate(block, layout), |b| b.may_deallocate(block, layout))
    }

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        if let Some(start) = block {
            // SAFETY: the callee handed out the block, and the caller upholds the contract of `damage`.
            return unsafe {
                self.with((start, layout), |a| a.damage(block, layout), |b| b.damage(block, layout))
            };
        }
        let (first, second) = self.route.reached(layout);
        // SAFETY: there is no block.
        let in_first = first.then(|| unsafe { self.first.damage(None, layout) }).flatten();
        // SAFETY: as above.
        in_first.or_else(|| second.then(|| unsafe { self.second.damage(None, layout) }).flatten())
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        R::ask(self, layout, |first| first.allocate_zeroed(layout), |second| second.allocate_zeroed(layout))
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the callee handed out the block, and the caller upholds the contract of `grow`, which includes those
        // of `grow_in_place` and `relocate`.
        unsafe {
            if R::RESIZES_BY_MOVING && self.route.stays(old, new) {
                return self.resize(
                    (block, old, new),
                    |a| a.grow(block, old, new),
                    |b| b.grow(block, old, new),
                );
            }
            self.grow_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the callee handed out the block, and the caller upholds the contract of `shrink`, which includes
        // those of `shrink_in_place` and `relocate`.
        unsafe {
            if R::RESIZES_BY_MOVING && self.route.stays(old, new) {
                return self.resize(
                    (block, old, new),
                    |a| a.shrink(block, old, new),
                    |b| b.shrink(block, old, new),
                );
            }
            self.shrink_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the callee handed out the block, and the caller upholds the contract of `grow_in_place`.
        unsafe {
            self.resize(
                (block, old, new),
                |a| a.grow_in_place(block, old, new),
                |b| b.grow_in_place(block, old, new),
            )
        }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the callee handed out the block, and the caller upholds the contract of `shrink_in_place`.
        unsafe {
            self.resize(
                (block, old, new),
                |a| a.shrink_in_place(block, old, new),
                |b| b.shrink_in_place(block, old, new),
            )
        }
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        R::allocate_between(self, least, preferred)
    }

    fn is_fine_grained(&self) -> bool {
        self.first.is_fine_grained() && self.second.is_fine_grained()
    }
}

impl<R, A: Inspect, B: Inspect> Inspect for Routed<R, A, B> {
    fn stats(&self) -> PoolStats {
        self.first.stats().plus(self.second.stats())
    }

    fn largest_free(&self) -> Option<usize> {
        self.first.largest_free().max(self.second.largest_free())
    }

    fn holes(&self) -> Option<Holes> {
        match (self.first.holes(), self.second.holes()) {
            (Some(first), Some(second)) => Some(first.plus(second)),
            (first, second) => first.or(second),
        }
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.first.render(builder);
        self.second.render(builder);
    }

    fn owns(&self, address: *const u8) -> bool {
        self.first.owns(address) || self.second.owns(address)
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.first.check()?;
        self.second.check()
    }

    fn report(&self) -> Report {
        self.first.report().plus(self.second.report())
    }
}

impl<R, A: Reclaim, B: Reclaim> Reclaim for Routed<R, A, B> {
    fn reset(&mut self) {
        self.first.reset();
        self.second.reset();
    }

    fn trim(&mut self) -> usize {
        self.first.trim() + self.second.trim()
    }
}

// SAFETY: the parts are fields, so they are the same in each call.
unsafe impl<R, A: Allocator + AtFork, B: Allocator + AtFork> AtFork for Routed<R, A, B> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.first);
        visit(&self.second);
    }
}
