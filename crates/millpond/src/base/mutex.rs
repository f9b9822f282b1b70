//! The lock around what threads share: any [`RawMutex`], which the child of a `fork` can make anew.

use core::{cell::UnsafeCell, mem, ptr};

use lock_api::RawMutex;

/// A value behind a lock.
pub(crate) type Mutex<L, T> = lock_api::Mutex<ForkSafe<L>, T>;

/// What shows that a [`Mutex`] is locked.
pub(crate) type MutexGuard<'a, L, T> = lock_api::MutexGuard<'a, ForkSafe<L>, T>;

/// A lock that can be made anew.
///
/// A lock knows who waits for it: a ticket is out, a thread sleeps. In the child of a `fork` these threads are gone, and a lock
/// that was passed on to one of them would stay locked for ever.
#[derive(Debug)]
pub struct ForkSafe<L>(UnsafeCell<L>);

// SAFETY: threads share it as the lock that it is; making it anew is for a thread that is alone.
unsafe impl<L: Sync> Sync for ForkSafe<L> {}

impl<L> ForkSafe<L> {
    #[inline(always)]
    fn raw(&self) -> &L {
        // SAFETY: nobody writes to it, but in `reset_after_fork`, whose caller is alone.
        unsafe { &*self.0.get() }
    }
}

// SAFETY: the lock inside keeps the contract.
unsafe impl<L: RawMutex> RawMutex for ForkSafe<L> {
    #[allow(clippy::declare_interior_mutable_const, reason = "this is how a lock begins")]
    const INIT: Self = Self(UnsafeCell::new(L::INIT));

    type GuardMarker = L::GuardMarker;

    #[inline(always)]
    fn lock(&self) {
        self.raw().lock();
    }

    #[inline(always)]
    fn try_lock(&self) -> bool {
        self.raw().try_lock()
    }

    #[inline(always)]
    unsafe fn unlock(&self) {
        // SAFETY: the caller has locked it.
        unsafe { self.raw().unlock() };
    }

    fn is_locked(&self) -> bool {
        self.raw().is_locked()
    }
}

/// Locks, and leaves it locked.
pub(crate) fn lock_for_fork<L: RawMutex, T>(mutex: &Mutex<L, T>) {
    mem::forget(mutex.lock());
}

/// Unlocks what [`lock_for_fork`] has locked.
///
/// # Safety
///
/// This thread has locked it, and has no guard of it.
pub(crate) unsafe fn unlock_after_fork<L: RawMutex, T>(mutex: &Mutex<L, T>) {
    // SAFETY: the caller's promise.
    unsafe { mutex.force_unlock() };
}

/// Unlocks what [`lock_for_fork`] has locked, for a process whose other threads are gone: the lock is as new.
///
/// # Safety
///
/// This thread has locked it, has no guard of it, and is the only one that can use it.
pub(crate) unsafe fn reset_after_fork<L: RawMutex, T>(mutex: &Mutex<L, T>) {
    // SAFETY: the caller is alone, so nobody has a reference to the lock. What it was is forgotten: it may belong to threads
    // that are gone.
    unsafe { ptr::write(mutex.raw().0.get(), L::INIT) };
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::base::{SpinLock, TicketLock};

    fn is_as_new<L: RawMutex>() {
        let mutex: Mutex<L, u32> = Mutex::new(1);
        lock_for_fork(&mutex);
        assert!(mutex.try_lock().is_none());
        // SAFETY: it is held.
        unsafe { unlock_after_fork(&mutex) };
        *mutex.lock() += 1;
        lock_for_fork(&mutex);
        // SAFETY: it is held, and nobody else knows it.
        unsafe { reset_after_fork(&mutex) };
        assert_eq!(*mutex.lock(), 2);
        assert!(!mutex.is_locked());
    }

    #[test]
    fn a_lock_that_is_held_can_be_let_go_and_made_anew() {
        is_as_new::<SpinLock>();
        is_as_new::<TicketLock>();
        #[cfg(feature = "std")]
        is_as_new::<crate::base::ParkingLock>();
    }
}
