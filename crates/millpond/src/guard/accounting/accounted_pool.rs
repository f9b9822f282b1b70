//! The guard that counts or limits, around a pool: with plain integers, because the shell grants exclusive access.
//!
//! A shell may try a request several times while it looks for a chunk. A try that fails leaves no trace; the shell
//! tells the pool when the whole request has failed.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    accounted::{Accounted, truncate},
    counter::Exclusive,
    engine::Accounting,
};
use crate::{
    base::AllocError,
    pool::{ConstSizeClasses, SizeClasses},
    traits::{Chunk, ChunkRequest, PendingReport, PoolHooks, RawPool, Release, Requested, Reserve, Rewind},
};

impl<J: Accounting, P: RawPool> Accounted<J, P> {
    /// Reserves `more` and makes the request; a failure leaves no trace.
    #[inline(always)]
    fn attempt_mut<R>(&mut self, more: Requested, ask: impl FnOnce(&mut P) -> Option<R>) -> Option<R> {
        self.accounting.try_reserve::<Exclusive>(more).ok()?;
        let block = ask(&mut self.inner);
        match block {
            Some(_) => self.accounting.commit::<Exclusive>(more),
            None => self.accounting.cancel::<Exclusive>(more),
        }
        block
    }
}

// SAFETY: every block is one of the inner pool, which upholds the contract. A guard that returns fewer bytes than the
// inner pool did frees the block with a size from the requested one up, which fits. The accounting calls no foreign
// code.
unsafe impl<J: Accounting, P: RawPool> RawPool for Accounted<J, P> {
    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        self.inner.chunk_request(layout)
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_chunk`, which is the same.
        unsafe { self.inner.add_chunk(chunk, layout) }
    }

    fn collect_empty(&mut self) {
        self.inner.collect_empty();
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        self.inner.release_chunk(which)
    }

    #[inline(always)]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let block = self.attempt_mut(Requested::of(layout), |pool| pool.allocate(layout))?;
        Some(truncate::<J>(block, layout.size()))
    }

    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let block = self.attempt_mut(Requested::of(layout), |pool| pool.allocate_hot(layout))?;
        Some(truncate::<J>(block, layout.size()))
    }

    #[inline(always)]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        self.accounting.free::<Exclusive>(Requested::of(layout));
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { self.inner.deallocate(block, layout) };
    }

    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        // SAFETY: the caller upholds the contract of `deallocate_hot`, which is the same.
        let done = unsafe { self.inner.deallocate_hot(block, layout) };
        if done {
            self.accounting.free::<Exclusive>(Requested::of(layout));
        }
        done
    }

    fn reset(&mut self) {
        self.inner.reset();
        self.accounting.reset();
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        let (before, after) = (Requested::of(old), Requested::of(new));
        let gain = after.saturating_sub(before);
        // SAFETY: the caller upholds the contract of `resize_in_place`, which is the same.
        let ask = |pool: &mut P| unsafe { pool.resize_in_place(block, old, new) };
        let resized =
            if gain == Requested::default() { ask(&mut self.inner) } else { self.attempt_mut(gain, ask) }?;
        self.accounting.free::<Exclusive>(before.saturating_sub(after));
        Some(truncate::<J>(resized, new.size()))
    }
}

impl<J: Accounting, P: RawPool> PoolHooks for Accounted<J, P> {
    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        self.inner.may_deallocate(block, layout)
    }

    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { self.inner.damage(block, layout) }
    }

    #[inline(always)]
    fn passes_through(&self, layout: Layout) -> bool {
        self.inner.passes_through(layout)
    }

    fn release_held(&mut self) -> bool {
        self.inner.release_held()
    }

    fn before_drop(&mut self) {
        self.inner.before_drop();
    }

    fn pending_report(&mut self) -> Option<PendingReport> {
        self.inner.pending_report()
    }

    fn may_allocate(&self, layout: Layout) -> Result<(), AllocError> {
        self.accounting.may_allocate(Requested::of(layout))?;
        self.inner.may_allocate(layout)
    }

    fn note_failure(&mut self, layout: Layout) {
        if self.inner.passes_through(layout) {
            return;
        }
        // If this guard refuses a request, what is behind it never sees the request.
        let refused = self.accounting.may_allocate(Requested::of(layout)).is_err();
        self.accounting.fail::<Exclusive>();
        if !refused {
            self.inner.note_failure(layout);
        }
    }
}

/// A release also restores the counts. Between a mark and its release no older block was freed, because a scope has
/// exclusive access.
// SAFETY: the inner pool upholds the contract; marks are those of the inner pool, and the counts are restored with
// them.
unsafe impl<J: Accounting, P: Rewind> Rewind for Accounted<J, P> {
    type Mark = (P::Mark, Requested);

    fn mark(&mut self) -> Self::Mark {
        (self.inner.mark(), self.accounting.live())
    }

    unsafe fn release(&mut self, (mark, live): Self::Mark) {
        // SAFETY: the caller upholds the contract of `release`, which is the same.
        unsafe { self.inner.release(mark) };
        self.accounting.set_live(live);
    }
}

impl<J: Accounting, P: Reserve> Reserve for Accounted<J, P> {
    unsafe fn add_reserved_chunk(&mut self, chunk: Chunk, layout: Layout, count: usize) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_reserved_chunk`, which is the same.
        unsafe { self.inner.add_reserved_chunk(chunk, layout, count) }
    }

    fn release_reserved_chunk(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        self.inner.release_reserved_chunk(layout, count)
    }

    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        self.accounting.may_allocate_many(Requested::of(layout), count)?;
        self.inner.reserve_request(layout, count)
    }
}

// SAFETY: blocks are those of the inner pool, and so are their classes. A guard that goes by size returns as many bytes
// as were requested, which for callers that go by classes is the size of the class.
unsafe impl<J: Accounting, P: SizeClasses> SizeClasses for Accounted<J, P> {
    type ClassMap = P::ClassMap;
    const REPORTS_LEAKS: bool = P::REPORTS_LEAKS;
    const IS_CACHEABLE: bool = P::IS_CACHEABLE;

    fn class_map(&self) -> P::ClassMap {
        self.inner.class_map()
    }
}

// SAFETY: classes are those of the inner pool, which upholds the contract.
unsafe impl<J: Accounting, P: ConstSizeClasses> ConstSizeClasses for Accounted<J, P> {
    const CLASS_MAP: P::ClassMap = P::CLASS_MAP;
}
