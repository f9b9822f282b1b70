//! Numbers that are changed either by one thread at plain cost or by many at once.
//!
//! A guard around a pool is used by one thread at a time, a guard around an allocator by many. Both keep the same
//! numbers and run the same code; how a number is changed is a type parameter. No other memory is published through a
//! number, so every access is relaxed.

use crate::base::atomic::{AtomicUsize, Ordering::Relaxed};

/// How a [`Counter`] may be changed.
pub trait Access {
    /// Whether other threads may change it at the same time.
    const SHARED: bool;

    /// Replaces the number unless `change` returns `None`; returns the previous number.
    fn update(number: &AtomicUsize, change: impl FnMut(usize) -> Option<usize>) -> Option<usize>;

    /// Adds to the number, wrapping around; returns the previous number.
    fn add(number: &AtomicUsize, amount: usize) -> usize;
}

/// Exclusive access: a load and a store, as cheap as for plain integers.
pub(super) enum Exclusive {}

impl Access for Exclusive {
    const SHARED: bool = false;

    #[inline(always)]
    fn update(number: &AtomicUsize, mut change: impl FnMut(usize) -> Option<usize>) -> Option<usize> {
        let before = number.load(Relaxed);
        number.store(change(before)?, Relaxed);
        Some(before)
    }

    #[inline(always)]
    fn add(number: &AtomicUsize, amount: usize) -> usize {
        let before = number.load(Relaxed);
        number.store(before.wrapping_add(amount), Relaxed);
        before
    }
}

/// Access by any number of threads.
pub(super) enum Shared {}

impl Access for Shared {
    const SHARED: bool = true;

    #[inline]
    fn update(number: &AtomicUsize, change: impl FnMut(usize) -> Option<usize>) -> Option<usize> {
        number.fetch_update(Relaxed, Relaxed, change).ok()
    }

    #[inline]
    fn add(number: &AtomicUsize, amount: usize) -> usize {
        number.fetch_add(amount, Relaxed)
    }
}

/// A number.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicUsize);

impl Counter {
    pub(super) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Adds to the number; returns the sum.
    #[inline(always)]
    pub(super) fn add<W: Access>(&self, amount: usize) -> usize {
        W::add(&self.0, amount).wrapping_add(amount)
    }

    #[inline(always)]
    pub(super) fn subtract<W: Access>(&self, amount: usize) {
        W::add(&self.0, amount.wrapping_neg());
    }

    /// Adds to the number if the sum is at most `most`; returns whether it did.
    #[inline(always)]
    pub(super) fn add_up_to<W: Access>(&self, amount: usize, most: usize) -> bool {
        W::update(&self.0, |before| before.checked_add(amount).filter(|&sum| sum <= most)).is_some()
    }

    /// Adds as much of `preferred` as keeps the sum at most `most`, but at least `least`; returns how much was added.
    pub(super) fn add_between<W: Access>(
        &self,
        least: usize,
        preferred: usize,
        most: usize,
    ) -> Option<usize> {
        let part =
            |before: usize| Some(preferred.min(most.checked_sub(before)?)).filter(|&part| part >= least);
        W::update(&self.0, |before| part(before).map(|part| before + part)).and_then(part)
    }

    /// Raises the number to at least `least`.
    #[inline(always)]
    pub(super) fn raise<W: Access>(&self, least: usize) {
        W::update(&self.0, |before| (before < least).then_some(least));
    }

    /// Sets the number, with exclusive access.
    pub(super) fn set(&mut self, number: usize) {
        self.0.store(number, Relaxed);
    }
}
