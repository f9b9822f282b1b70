//! The guard itself, and how it watches an allocator.

use core::{alloc::Layout, ptr::NonNull};

use super::{counter::Shared, engine::Accounting};
use crate::traits::{
    Allocation, Allocator, AtFork, Inspect, InvariantError, PoolStats, Reclaim, Report, Requested, at_fork,
    delegate,
};

/// A pool or an allocator behind a guard that does the job `J`: see [`Limit`](crate::Limit), [`Stats`](crate::Stats),
/// [`Counted`](crate::Counted), [`FailNth`](crate::FailNth).
///
/// Around a pool it is a pool, around an allocator it is an allocator, and [`Inspect`] and [`Reclaim`] pass through.
/// Requests of zero bytes, and those that pass a pool by, are not the guard's business.
#[derive(Debug)]
pub struct Accounted<J, X> {
    pub(super) accounting: J,
    pub(super) inner: X,
}

impl<J, X> Accounted<J, X> {
    /// What is behind the guard, to look at.
    #[must_use]
    pub fn inner(&self) -> &X {
        &self.inner
    }
}

/// The first `size` bytes of a block, if the job goes by size, else all of it. A block has at least what was requested.
#[inline(always)]
pub(super) fn truncate<J: Accounting>(block: NonNull<[u8]>, size: usize) -> NonNull<[u8]> {
    if J::BY_SIZE { NonNull::slice_from_raw_parts(block.cast(), size) } else { block }
}

impl<J: Accounting, A: Allocator> Accounted<J, A> {
    /// Claims a block of this layout and asks for one.
    #[inline]
    fn hand_out(&self, layout: Layout, ask: impl FnOnce(&A) -> Allocation) -> Allocation {
        let block =
            self.attempt(Requested::of(layout), ask).inspect_err(|_| self.accounting.fail::<Shared>())?;
        Ok(truncate::<J>(block, layout.size()))
    }

    /// Claims so much more and asks; a failure leaves no trace.
    #[inline]
    fn attempt(&self, more: Requested, ask: impl FnOnce(&A) -> Allocation) -> Allocation {
        self.accounting.try_reserve::<Shared>(more)?;
        let block = ask(&self.inner).inspect_err(|_| self.accounting.cancel::<Shared>(more))?;
        self.accounting.commit::<Shared>(more);
        Ok(block)
    }

    /// Claims what a block gains by getting another size, and asks; a failure leaves no trace.
    fn resize(&self, old: Layout, new: Layout, ask: impl FnOnce(&A) -> Allocation) -> Allocation {
        let (before, after) = (Requested::of(old), Requested::of(new));
        let gain = after.saturating_sub(before);
        let block = if gain == Requested::default() { ask(&self.inner) } else { self.attempt(gain, ask) }?;
        self.accounting.free::<Shared>(before.saturating_sub(after));
        Ok(truncate::<J>(block, new.size()))
    }
}

// SAFETY: every block is the inner allocator's, which keeps the contract. A guard that returns less of it than that did
// is given back a size from the requested one up, as a size that fits.
unsafe impl<J: Accounting, A: Allocator> Allocator for Accounted<J, A> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 {
            return self.inner.allocate(layout);
        }
        self.hand_out(layout, |inner| inner.allocate(layout))
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { self.inner.deallocate(block, layout) };
        // Not before it is free: a limit holds at every moment.
        self.accounting.free::<Shared>(Requested::of(layout));
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.inner.may_deallocate(block, layout)
    }

    fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        self.inner.damage(block, layout)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 {
            return self.inner.allocate_zeroed(layout);
        }
        self.hand_out(layout, |inner| inner.allocate_zeroed(layout))
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow`, which is the same.
        self.resize(old, new, |inner| unsafe { inner.grow(block, old, new) })
            .inspect_err(|_| self.accounting.fail::<Shared>())
    }

    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_zeroed`, which is the same.
        self.resize(old, new, |inner| unsafe { inner.grow_zeroed(block, old, new) })
            .inspect_err(|_| self.accounting.fail::<Shared>())
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink`, which is the same.
        self.resize(old, new, |inner| unsafe { inner.shrink(block, old, new) })
            .inspect_err(|_| self.accounting.fail::<Shared>())
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_in_place`, which is the same.
        self.resize(old, new, |inner| unsafe { inner.grow_in_place(block, old, new) })
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink_in_place`, which is the same.
        self.resize(old, new, |inner| unsafe { inner.shrink_in_place(block, old, new) })
    }

    /// Prefers no more than the guard would let through, so that a limit is used to the last byte.
    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        if least.size() == 0 {
            return self.inner.allocate(least);
        }
        let reserved =
            self.accounting.try_reserve_between::<Shared>(least.size(), preferred.max(least.size()));
        let preferred = reserved.inspect_err(|_| self.accounting.fail::<Shared>())?;
        let reserved = Requested { blocks: 1, bytes: preferred };
        match self.inner.allocate_between(least, preferred) {
            Ok(block) => {
                let got = Requested { blocks: 1, bytes: block.len().min(preferred) };
                self.accounting.cancel::<Shared>(reserved.saturating_sub(got));
                self.accounting.commit::<Shared>(got);
                Ok(truncate::<J>(block, got.bytes))
            }
            Err(error) => {
                self.accounting.cancel::<Shared>(reserved);
                self.accounting.fail::<Shared>();
                Err(error)
            }
        }
    }

    fn is_fine_grained(&self) -> bool {
        self.inner.is_fine_grained()
    }
}

impl<J: Accounting, X: Inspect> Inspect for Accounted<J, X> {
    delegate!(self: self.inner; largest_free holes render owns);

    fn stats(&self) -> PoolStats {
        match self.accounting.live_blocks() {
            Some(live) => self.inner.stats_with_live(live),
            None => self.inner.stats(),
        }
    }

    fn stats_with_live(&self, live_blocks: usize) -> PoolStats {
        self.inner.stats_with_live(live_blocks)
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.accounting.check()?;
        self.inner.check()
    }

    fn report(&self) -> Report {
        let mut report = self.inner.report();
        self.accounting.report_into(&mut report);
        report
    }
}

impl<J: Accounting, A: Allocator + Reclaim> Reclaim for Accounted<J, A> {
    fn reset(&mut self) {
        self.inner.reset();
        self.accounting.reset();
    }

    fn trim(&mut self) -> usize {
        self.inner.trim()
    }
}

at_fork!([J: Accounting, A: Allocator + AtFork] Accounted<J, A>: inner);
