//! The guard that routes requests to one of two, around two pools in one shell.

use core::{alloc::Layout, ptr::NonNull};

use super::routed::{Route, Routed};
use crate::{
    base::AllocError,
    traits::{Chunk, ChunkRequest, PendingReport, PoolHooks, RawPool, Release, Reserve},
};

/// A route between two pools.
pub trait PoolRoute<P: RawPool, Q: RawPool>: Route<P, Q> {
    /// Returns whether a chunk for such a request is for the first.
    fn grows_first(&self, first: &P, layout: Layout) -> bool;

    /// See [`PoolHooks::passes_through`].
    fn passes_through(&self, first: &P, second: &Q, layout: Layout) -> bool;

    /// See [`PoolHooks::may_allocate`].
    fn may_allocate(&self, first: &P, second: &Q, layout: Layout) -> Result<(), AllocError>;

    /// Returns how many of `count` requests the first will serve.
    fn share_of_first(&self, first: &P, layout: Layout, count: usize) -> usize
    where
        P: Reserve;
}

impl<R: Route<P, Q>, P, Q> Routed<R, P, Q> {
    /// Calls one of the two functions, with the one that handed out a block.
    #[inline(always)]
    fn with_mut<T>(
        &mut self,
        (block, layout): (NonNull<u8>, Layout),
        first: impl FnOnce(&mut P) -> T,
        second: impl FnOnce(&mut Q) -> T,
    ) -> T {
        if self.route.is_first(&self.first, block, layout) {
            first(&mut self.first)
        } else {
            second(&mut self.second)
        }
    }
}

// SAFETY: every block is one of the two pools, which uphold the contract, and the route finds the one that handed it
// out: by `owns`, because no chunk belongs to both, or by the size, as around two allocators.
unsafe impl<R: PoolRoute<P, Q>, P: RawPool, Q: RawPool> RawPool for Routed<R, P, Q> {
    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let (first, second) = self.route.reached(layout);
        if first && let Some(block) = self.first.allocate(layout) {
            return Some(self.route.truncate(block));
        }
        if second { self.second.allocate(layout) } else { None }
    }

    #[inline]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the callee handed out the block, and the caller upholds the contract of `deallocate`.
        unsafe {
            self.with_mut((block, layout), |p| p.deallocate(block, layout), |q| q.deallocate(block, layout));
        }
    }

    /// Does not use [`deallocate`](RawPool::deallocate): what that finds would be reported only after a later call.
    #[inline]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        // SAFETY: the callee handed out the block, and the caller upholds the contract of `deallocate_hot`.
        unsafe {
            self.with_mut(
                (block, layout),
                |p| p.deallocate_hot(block, layout),
                |q| q.deallocate_hot(block, layout),
            )
        }
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        if self.route.grows_first(&self.first, layout) {
            self.first.chunk_request(layout)
        } else {
            self.second.chunk_request(layout)
        }
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_chunk`, which is the same for either pool.
        unsafe {
            if self.route.grows_first(&self.first, layout) {
                self.first.add_chunk(chunk, layout)
            } else {
                self.second.add_chunk(chunk, layout)
            }
        }
    }

    fn collect_empty(&mut self) {
        self.first.collect_empty();
        self.second.collect_empty();
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        self.first.release_chunk(which).or_else(|| self.second.release_chunk(which))
    }

    fn reset(&mut self) {
        self.first.reset();
        self.second.reset();
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        if !self.route.stays(old, new) {
            return None;
        }
        // SAFETY: the callee handed out the block, and the caller upholds the contract of `resize_in_place`.
        unsafe {
            if self.route.is_first(&self.first, block, old) {
                let resized = self.first.resize_in_place(block, old, new)?;
                Some(self.route.truncate(resized))
            } else {
                self.second.resize_in_place(block, old, new)
            }
        }
    }
}

impl<R: PoolRoute<P, Q>, P: RawPool, Q: RawPool> PoolHooks for Routed<R, P, Q> {
    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        if let Some(start) = block {
            // SAFETY: the callee handed out the block, and the caller upholds the contract of `damage`.
            return unsafe {
                self.with_mut((start, layout), |p| p.damage(block, layout), |q| q.damage(block, layout))
            };
        }
        let (first, second) = self.route.reached(layout);
        // SAFETY: there is no block.
        let in_first = first.then(|| unsafe { self.first.damage(None, layout) }).flatten();
        // SAFETY: as above.
        in_first.or_else(|| second.then(|| unsafe { self.second.damage(None, layout) }).flatten())
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        self.with_mut(
            (block, layout),
            |p| p.may_deallocate(block, layout),
            |q| q.may_deallocate(block, layout),
        )
    }

    #[inline]
    fn passes_through(&self, layout: Layout) -> bool {
        self.route.passes_through(&self.first, &self.second, layout)
    }

    fn may_allocate(&self, layout: Layout) -> Result<(), AllocError> {
        self.route.may_allocate(&self.first, &self.second, layout)
    }

    fn note_failure(&mut self, layout: Layout) {
        let (first, second) = self.route.reached(layout);
        if first {
            self.first.note_failure(layout);
        }
        if second {
            self.second.note_failure(layout);
        }
    }

    fn release_held(&mut self) -> bool {
        self.first.release_held() | self.second.release_held()
    }

    fn before_drop(&mut self) {
        self.first.before_drop();
        self.second.before_drop();
    }

    fn pending_report(&mut self) -> Option<PendingReport> {
        self.first.pending_report().or_else(|| self.second.pending_report())
    }
}

/// Room is reserved in the first for as many requests as it will serve, and in the second for the others.
impl<R: PoolRoute<P, Q>, P: Reserve, Q: Reserve> Reserve for Routed<R, P, Q> {
    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        let from_first = self.route.share_of_first(&self.first, layout, count);
        if from_first != 0
            && let Some(request) = self.first.reserve_request(layout, from_first)?
        {
            return Ok(Some(request));
        }
        if from_first == count {
            return Ok(None);
        }
        if self.route.reached(layout).0 && self.second.chunk_request(layout).is_none() {
            // The second never serves such requests, so the reason is that of the first.
            return self.first.reserve_request(layout, count);
        }
        self.second.reserve_request(layout, count - from_first)
    }

    unsafe fn add_reserved_chunk(&mut self, chunk: Chunk, layout: Layout, count: usize) -> Result<(), Chunk> {
        let from_first = self.route.share_of_first(&self.first, layout, count);
        let first_is_done = matches!(self.first.reserve_request(layout, from_first), Ok(None));
        // SAFETY: the caller upholds the contract of `add_reserved_chunk`, which is the same for either pool.
        unsafe {
            if from_first == count || (from_first != 0 && !first_is_done) {
                self.first.add_reserved_chunk(chunk, layout, from_first)
            } else {
                self.second.add_reserved_chunk(chunk, layout, count - from_first)
            }
        }
    }

    fn release_reserved_chunk(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        let from_first = self.route.share_of_first(&self.first, layout, count);
        if from_first < count
            && let Some(chunk) = self.second.release_reserved_chunk(layout, count - from_first)
        {
            return Some(chunk);
        }
        if !self.route.reached(layout).0 {
            return None;
        }
        self.first.release_reserved_chunk(layout, from_first)
    }
}
