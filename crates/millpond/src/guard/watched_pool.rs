//! How a guard watches a pool: with plain integers, because the shell lets one in at a time.
//!
//! A shell may try a request several times while it looks for a chunk. A try that comes to nothing leaves no trace; the
//! shell says when the whole request has failed.

use core::{alloc::Layout, ptr::NonNull};

use super::{Guard, counter::Exclusive, job::Job, watched::cut};
use crate::{
    base::AllocError,
    contract::{Amount, ChunkRequest, RawPool, Reserve, Rewind, pass_on},
    pool::{Kinds, KnownKinds},
};

impl<J: Job, P: RawPool> Guard<J, P> {
    /// Claims so much more and asks for it; a failure leaves no trace.
    #[inline(always)]
    fn attempt_inside<R>(&mut self, more: Amount, ask: impl FnOnce(&mut P) -> Option<R>) -> Option<R> {
        self.job.claim::<Exclusive>(more).ok()?;
        let block = ask(&mut self.inner);
        match block {
            Some(_) => self.job.serve::<Exclusive>(more),
            None => self.job.withdraw::<Exclusive>(more),
        }
        block
    }
}

// SAFETY: every block is the inner pool's, which keeps the contract. A guard that returns less of it than that did is
// given back a size from the requested one up, as a size that fits. A job calls nobody.
unsafe impl<J: Job, P: RawPool> RawPool for Guard<J, P> {
    pass_on!(self: self.inner; may_deallocate damage wants adopt settle surrender bypasses relent retire complaint);

    #[inline(always)]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let block = self.attempt_inside(Amount::of(layout), |pool| pool.allocate(layout))?;
        Some(cut::<J>(block, layout.size()))
    }

    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let block = self.attempt_inside(Amount::of(layout), |pool| pool.allocate_hot(layout))?;
        Some(cut::<J>(block, layout.size()))
    }

    #[inline(always)]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        self.job.free::<Exclusive>(Amount::of(layout));
        // SAFETY: the caller's promises are passed on.
        unsafe { self.inner.deallocate(block, layout) };
    }

    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        // SAFETY: the caller's promises are passed on.
        let done = unsafe { self.inner.deallocate_hot(block, layout) };
        if done {
            self.job.free::<Exclusive>(Amount::of(layout));
        }
        done
    }

    fn reset(&mut self) {
        self.inner.reset();
        self.job.reset();
    }

    fn admits(&self, layout: Layout) -> Result<(), AllocError> {
        self.job.admits(Amount::of(layout))?;
        self.inner.admits(layout)
    }

    fn note_failure(&mut self, layout: Layout) {
        if self.inner.bypasses(layout) {
            return;
        }
        // A request that this guard refuses never reached what is behind it.
        let refused = self.job.admits(Amount::of(layout)).is_err();
        self.job.fail::<Exclusive>();
        if !refused {
            self.inner.note_failure(layout);
        }
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        let (before, after) = (Amount::of(old), Amount::of(new));
        let gain = after.beyond(before);
        // SAFETY: the caller's promises are passed on.
        let ask = |pool: &mut P| unsafe { pool.resize_in_place(block, old, new) };
        let resized =
            if gain == Amount::default() { ask(&mut self.inner) } else { self.attempt_inside(gain, ask) }?;
        self.job.free::<Exclusive>(before.beyond(after));
        Some(cut::<J>(resized, new.size()))
    }
}

/// What the job has counted goes back too. Between the mark and its release, nothing older was freed: within a scope, nobody
/// else can.
// SAFETY: the pool inside keeps the contract; marks are its own, and what a job counts is taken back with them.
unsafe impl<J: Job, P: Rewind> Rewind for Guard<J, P> {
    type Mark = (P::Mark, Amount);

    fn mark(&mut self) -> Self::Mark {
        (self.inner.mark(), self.job.live())
    }

    unsafe fn release(&mut self, (mark, live): Self::Mark) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.inner.release(mark) };
        self.job.set_live(live);
    }
}

impl<J: Job, P: Reserve> Reserve for Guard<J, P> {
    pass_on!(self: self.inner; adopt_ahead surrender_ahead);

    fn lacks(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        self.job.admits_many(Amount::of(layout), count)?;
        self.inner.lacks(layout, count)
    }
}

// SAFETY: blocks are the inner pool's, and so are their kinds. A guard that goes by size returns as much as was requested,
// which is the kind's own size for whoever goes by kinds.
unsafe impl<J: Job, P: Kinds> Kinds for Guard<J, P> {
    type Sorter = P::Sorter;
    const SEEKS_LEAKS: bool = P::SEEKS_LEAKS;

    fn sorter(&self) -> P::Sorter {
        self.inner.sorter()
    }
}

// SAFETY: kinds are those of the pool inside, which keeps the contract.
unsafe impl<J: Job, P: KnownKinds> KnownKinds for Guard<J, P> {
    const SORTER: P::Sorter = P::SORTER;
}
