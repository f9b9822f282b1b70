//! The guard that counts or limits, around an allocator.

use core::{alloc::Layout, ptr::NonNull};

use super::{counter::Shared, engine::Accounting};
use crate::traits::{
    Allocation, Allocator, AtFork, HeapMapBuilder, Holes, Inspect, InvariantError, PoolStats, Reclaim,
    Report, Requested,
};

/// A pool or an allocator behind a guard that does the accounting `J`: see [`Limit`](crate::guard::Limit),
/// [`Stats`](crate::guard::Stats), [`Counted`](crate::guard::Counted), [`FailNth`](crate::guard::FailNth).
///
/// Around a pool it is a pool, around an allocator it is an allocator, and [`Inspect`] and [`Reclaim`] are delegated.
/// Requests of zero bytes, and those that pass through a pool, are not counted.
#[derive(Debug)]
pub struct Accounted<J, X> {
    pub(super) accounting: J,
    pub(super) inner: X,
}

impl<J, X> Accounted<J, X> {
    /// Returns a reference to what is behind the guard.
    #[must_use]
    pub fn inner(&self) -> &X {
        &self.inner
    }
}

/// Returns the first `size` bytes of a block if the accounting goes by size, otherwise the whole block. A block has at
/// least as many bytes as were requested.
#[inline(always)]
pub(super) fn truncate<J: Accounting>(block: NonNull<[u8]>, size: usize) -> NonNull<[u8]> {
    if J::BY_SIZE { NonNull::slice_from_raw_parts(block.cast(), size) } else { block }
}

impl<J: Accounting, A: Allocator> Accounted<J, A> {
    /// Reserves a block of this layout and requests it.
    #[inline]
    fn hand_out(&self, layout: Layout, ask: impl FnOnce(&A) -> Allocation) -> Allocation {
        let block =
            self.attempt(Requested::of(layout), ask).inspect_err(|_| self.accounting.fail::<Shared>())?;
        Ok(truncate::<J>(block, layout.size()))
    }

    /// Reserves `more` and makes the request; a failure leaves no trace.
    #[inline]
    fn attempt(&self, more: Requested, ask: impl FnOnce(&A) -> Allocation) -> Allocation {
        self.accounting.try_reserve::<Shared>(more)?;
        let block = ask(&self.inner).inspect_err(|_| self.accounting.cancel::<Shared>(more))?;
        self.accounting.commit::<Shared>(more);
        Ok(block)
    }

    /// Reserves what a block gains by being resized and makes the request; a failure leaves no trace.
    fn resize(&self, old: Layout, new: Layout, ask: impl FnOnce(&A) -> Allocation) -> Allocation {
        let (before, after) = (Requested::of(old), Requested::of(new));
        let gain = after.saturating_sub(before);
        let block = if gain == Requested::default() { ask(&self.inner) } else { self.attempt(gain, ask) }?;
        self.accounting.free::<Shared>(before.saturating_sub(after));
        Ok(truncate::<J>(block, new.size()))
    }
}

// SAFETY: every block is one of the inner allocator, which upholds the contract. A guard that returns fewer bytes than
// the inner allocator did frees the block with a size from the requested one up, which fits.
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
        // Only after the block is free, so that a limit holds at every moment.
        self.accounting.free::<Shared>(Requested::of(layout));
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.inner.may_deallocate(block, layout)
    }

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { self.inner.damage(block, layout) }
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

    /// Prefers no more than the accounting allows, so that a limit can be used to the last byte.
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
    fn largest_free(&self) -> Option<usize> {
        self.inner.largest_free()
    }

    fn holes(&self) -> Option<Holes> {
        self.inner.holes()
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.inner.render(builder);
    }

    fn owns(&self, address: *const u8) -> bool {
        self.inner.owns(address)
    }

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

// SAFETY: the part is a field, so it is the same in each call.
unsafe impl<J: Accounting, A: Allocator + AtFork> AtFork for Accounted<J, A> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.inner);
    }
}
