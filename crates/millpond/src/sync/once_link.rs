//! A pointer that is set once, by one of several threads: how lists and tables grow while other threads read them.

use core::{
    marker::PhantomData,
    ptr::{NonNull, null_mut},
};

use super::ordering::{Correct, Orderings};
use crate::base::atomic::{AtomicPtr, Ordering};

/// A pointer that one of several threads sets, once: the continuation of a list or table. It is set with Release and
/// read with Acquire, so a thread that reads it sees what it points to. (`T` provides the orderings, which models
/// weaken.)
pub(crate) struct OnceLink<S, T = Correct> {
    pointer: AtomicPtr<S>,
    orderings: PhantomData<fn() -> T>,
}

impl<S, T: Orderings> OnceLink<S, T> {
    pub(crate) const fn new() -> Self {
        Self { pointer: AtomicPtr::new(null_mut()), orderings: PhantomData }
    }

    /// Returns the pointer; null if it has not been set.
    #[inline(always)]
    pub(crate) fn get(&self) -> *mut S {
        self.pointer.load(T::ACQUIRE)
    }

    /// Sets the pointer if it is null; returns whether it did.
    pub(crate) fn try_set(&self, with: NonNull<S>) -> bool {
        if T::ONE_STEP {
            return self
                .pointer
                .compare_exchange(null_mut(), with.as_ptr(), T::RELEASE, Ordering::Relaxed)
                .is_ok();
        }
        let is_empty = self.pointer.load(Ordering::Relaxed).is_null();
        if is_empty {
            self.pointer.store(with.as_ptr(), T::RELEASE);
        }
        is_empty
    }

    /// Overwrites the pointer, possibly with null. No other thread accesses it at the same time.
    pub(crate) fn overwrite(&self, to: *mut S) {
        self.pointer.store(to, Ordering::Relaxed);
    }
}
