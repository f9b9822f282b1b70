//! A pointer that is set once, by whichever thread comes first: how lists and tables grow while others look at them.

use core::{
    marker::PhantomData,
    ptr::{NonNull, null_mut},
};

use super::lock_free::list::{Sound, Terms};
use crate::base::atomic::{AtomicPtr, Ordering};

/// Where a list or a table goes on, once it does. What is shown with it is seen by all who find it there: it is put with
/// Release, and looked at with Acquire. (`T` says so, and models take it away.)
pub(super) struct Entry<S, T = Sound> {
    place: AtomicPtr<S>,
    terms: PhantomData<fn() -> T>,
}

impl<S, T: Terms> Entry<S, T> {
    pub(super) const fn new() -> Self {
        Self { place: AtomicPtr::new(null_mut()), terms: PhantomData }
    }

    /// What is there; null, if nothing is.
    #[inline(always)]
    pub(super) fn get(&self) -> *mut S {
        self.place.load(T::TAKE)
    }

    /// Puts something there, and stays as it is if something is; says whether it has.
    pub(super) fn fill(&self, with: NonNull<S>) -> bool {
        if T::ONCE {
            return self.place.compare_exchange(null_mut(), with.as_ptr(), T::PUT, Ordering::Relaxed).is_ok();
        }
        let is_empty = self.place.load(Ordering::Relaxed).is_null();
        if is_empty {
            self.place.store(with.as_ptr(), T::PUT);
        }
        is_empty
    }

    /// Has something else there, or nothing. Nobody else is at work.
    pub(super) fn set(&self, to: *mut S) {
        self.place.store(to, Ordering::Relaxed);
    }
}
