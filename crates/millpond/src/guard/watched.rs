//! The guard itself, and how it watches an allocator.

use core::{alloc::Layout, ptr::NonNull};

use super::{counter::Shared, job::Job};
use crate::{
    base::AllocError,
    contract::{Allocator, Amount, AtFork, Flaw, Inspect, Reclaim, Report, Snapshot, at_fork, pass_on},
};

type Block = Result<NonNull<[u8]>, AllocError>;

/// A pool or an allocator behind a guard that does the job `J`: see [`Limit`](crate::Limit), [`Stats`](crate::Stats),
/// [`Counted`](crate::Counted), [`FailNth`](crate::FailNth).
///
/// Around a pool it is a pool, around an allocator it is an allocator, and [`Inspect`] and [`Reclaim`] pass through.
/// Requests of zero bytes, and those that pass a pool by, are not the guard's business.
#[derive(Debug)]
pub struct Guard<J, X> {
    pub(super) job: J,
    pub(super) inner: X,
}

impl<J, X> Guard<J, X> {
    /// What is behind the guard, to look at.
    #[must_use]
    pub fn inner(&self) -> &X {
        &self.inner
    }
}

/// The first `size` bytes of a block, if the job goes by size, else all of it. A block has at least what was requested.
#[inline(always)]
pub(super) fn cut<J: Job>(block: NonNull<[u8]>, size: usize) -> NonNull<[u8]> {
    if J::BY_SIZE { NonNull::slice_from_raw_parts(block.cast(), size) } else { block }
}

impl<J: Job, A: Allocator> Guard<J, A> {
    /// Claims a block of this layout and asks for one.
    #[inline]
    fn hand_out(&self, layout: Layout, ask: impl FnOnce(&A) -> Block) -> Block {
        let block = self.attempt(Amount::of(layout), ask).inspect_err(|_| self.job.fail::<Shared>())?;
        Ok(cut::<J>(block, layout.size()))
    }

    /// Claims so much more and asks; a failure leaves no trace.
    #[inline]
    fn attempt(&self, more: Amount, ask: impl FnOnce(&A) -> Block) -> Block {
        self.job.claim::<Shared>(more)?;
        let block = ask(&self.inner).inspect_err(|_| self.job.withdraw::<Shared>(more))?;
        self.job.serve::<Shared>(more);
        Ok(block)
    }

    /// Claims what a block gains by getting another size, and asks; a failure leaves no trace.
    fn resize(&self, old: Layout, new: Layout, ask: impl FnOnce(&A) -> Block) -> Block {
        let (before, after) = (Amount::of(old), Amount::of(new));
        let gain = after.beyond(before);
        let block = if gain == Amount::default() { ask(&self.inner) } else { self.attempt(gain, ask) }?;
        self.job.free::<Shared>(before.beyond(after));
        Ok(cut::<J>(block, new.size()))
    }
}

// SAFETY: every block is the inner allocator's, which keeps the contract. A guard that returns less of it than that did
// is given back a size from the requested one up, as a size that fits.
unsafe impl<J: Job, A: Allocator> Allocator for Guard<J, A> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Block {
        if layout.size() == 0 {
            return self.inner.allocate(layout);
        }
        self.hand_out(layout, |inner| inner.allocate(layout))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.inner.deallocate(block, layout) };
        // Not before it is free: a limit holds at every moment.
        self.job.free::<Shared>(Amount::of(layout));
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.inner.may_deallocate(block, layout)
    }

    fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        self.inner.damage(block, layout)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Block {
        if layout.size() == 0 {
            return self.inner.allocate_zeroed(layout);
        }
        self.hand_out(layout, |inner| inner.allocate_zeroed(layout))
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        self.resize(old, new, |inner| unsafe { inner.grow(block, old, new) })
            .inspect_err(|_| self.job.fail::<Shared>())
    }

    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        self.resize(old, new, |inner| unsafe { inner.grow_zeroed(block, old, new) })
            .inspect_err(|_| self.job.fail::<Shared>())
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        self.resize(old, new, |inner| unsafe { inner.shrink(block, old, new) })
            .inspect_err(|_| self.job.fail::<Shared>())
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        self.resize(old, new, |inner| unsafe { inner.grow_in_place(block, old, new) })
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        self.resize(old, new, |inner| unsafe { inner.shrink_in_place(block, old, new) })
    }

    /// Prefers no more than the guard would let through, so that a limit is used to the last byte.
    fn allocate_between(&self, least: Layout, preferred: usize) -> Block {
        if least.size() == 0 {
            return self.inner.allocate(least);
        }
        let claim = self.job.claim_between::<Shared>(least.size(), preferred.max(least.size()));
        let preferred = claim.inspect_err(|_| self.job.fail::<Shared>())?;
        let claimed = Amount { blocks: 1, bytes: preferred };
        match self.inner.allocate_between(least, preferred) {
            Ok(block) => {
                let got = Amount { blocks: 1, bytes: block.len().min(preferred) };
                self.job.withdraw::<Shared>(claimed.beyond(got));
                self.job.serve::<Shared>(got);
                Ok(cut::<J>(block, got.bytes))
            }
            Err(error) => {
                self.job.withdraw::<Shared>(claimed);
                self.job.fail::<Shared>();
                Err(error)
            }
        }
    }

    fn is_fine_grained(&self) -> bool {
        self.inner.is_fine_grained()
    }
}

impl<J: Job, X: Inspect> Inspect for Guard<J, X> {
    pass_on!(self: self.inner; largest_free holes paint owns);

    fn stats(&self) -> Snapshot {
        match self.job.live_blocks() {
            Some(live) => self.inner.stats_knowing(live),
            None => self.inner.stats(),
        }
    }

    fn stats_knowing(&self, live_blocks: usize) -> Snapshot {
        self.inner.stats_knowing(live_blocks)
    }

    fn check(&self) -> Result<(), Flaw> {
        self.job.check()?;
        self.inner.check()
    }

    fn report(&self) -> Report {
        let mut report = self.inner.report();
        self.job.tell(&mut report);
        report
    }
}

impl<J: Job, A: Allocator + Reclaim> Reclaim for Guard<J, A> {
    fn reset(&mut self) {
        self.inner.reset();
        self.job.reset();
    }

    fn trim(&mut self) -> usize {
        self.inner.trim()
    }
}

at_fork!([J: Job, A: Allocator + AtFork] Guard<J, A>: inner);
