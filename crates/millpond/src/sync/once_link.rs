//! A pointer that is set once, by whichever thread comes first: how lists and tables grow while others look at them.

use core::{
    marker::PhantomData,
    ptr::{NonNull, null_mut},
};

use super::ordering::{Correct, Orderings};
use crate::base::atomic::{AtomicPtr, Ordering};

/// Where a list or a table goes on, once it does. What is shown with it is seen by all who find it there: it is put with
/// Release, and looked at with Acquire. (`T` says so, and models take it away.)
pub(crate) struct OnceLink<S, T = Correct> {
    pointer: AtomicPtr<S>,
    orderings: PhantomData<fn() -> T>,
}

impl<S, T: Orderings> OnceLink<S, T> {
    pub(crate) const fn new() -> Self {
        Self { pointer: AtomicPtr::new(null_mut()), orderings: PhantomData }
    }

    /// What is there; null, if nothing is.
    #[inline(always)]
    pub(crate) fn get(&self) -> *mut S {
        self.pointer.load(T::ACQUIRE)
    }

    /// Puts something there, and stays as it is if something is; says whether it has.
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

    /// Has something else there, or nothing. Nobody else is at work.
    pub(crate) fn overwrite(&self, to: *mut S) {
        self.pointer.store(to, Ordering::Relaxed);
    }
}
