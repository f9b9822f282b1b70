//! The mutex around what threads share: any [`RawMutex`], which can be reinitialized in the child of a `fork`.

use core::{cell::UnsafeCell, mem, ptr};

use lock_api::RawMutex;

/// A value behind a lock.
pub(crate) type Mutex<L, T> = lock_api::Mutex<ForkSafe<L>, T>;

/// The guard of a locked [`Mutex`].
pub(crate) type MutexGuard<'a, L, T> = lock_api::MutexGuard<'a, ForkSafe<L>, T>;

/// A lock that can be reinitialized.
///
/// A lock keeps track of its waiters: a ticket is out, a thread sleeps. In the child of a `fork` these threads do not
/// exist, and a lock that was passed on to one of them would stay locked.
#[derive(Debug)]
pub struct ForkSafe<L>(UnsafeCell<L>);

// SAFETY: threads share the inner lock, which is `Sync`; only a thread that is alone reinitializes it.
unsafe impl<L: Sync> Sync for ForkSafe<L> {}

impl<L> ForkSafe<L> {
    #[inline(always)]
    fn raw(&self) -> &L {
        // SAFETY: the lock is written to only in `reset_after_fork`, whose caller is the only thread.
        unsafe { &*self.0.get() }
    }
}

// SAFETY: the inner lock upholds the contract.
unsafe impl<L: RawMutex> RawMutex for ForkSafe<L> {
    #[allow(clippy::declare_interior_mutable_const, reason = "`RawMutex` requires an initial value")]
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

/// Locks a mutex, and leaves it locked.
pub(crate) fn lock_for_fork<L: RawMutex, T>(mutex: &Mutex<L, T>) {
    mem::forget(mutex.lock());
}

/// Unlocks a mutex that [`lock_for_fork`] has locked.
///
/// # Safety
///
/// The current thread has locked the mutex, and has no guard of it.
pub(crate) unsafe fn unlock_after_fork<L: RawMutex, T>(mutex: &Mutex<L, T>) {
    // SAFETY: the caller guarantees that the current thread has locked the mutex and has no guard of it.
    unsafe { mutex.force_unlock() };
}

/// Reinitializes a mutex that [`lock_for_fork`] has locked, in a process that has no other threads. Afterwards it is
/// unlocked.
///
/// # Safety
///
/// The current thread has locked the mutex, has no guard of it, and is the only one that can use it.
pub(crate) unsafe fn reset_after_fork<L: RawMutex, T>(mutex: &Mutex<L, T>) {
    // SAFETY: the caller is the only thread, so no reference to the lock is in use. The old lock is not dropped: it may
    // refer to threads that no longer exist.
    unsafe { ptr::write(mutex.raw().0.get(), L::INIT) };
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::sync::{SpinLock, TicketLock};

    fn is_as_new<L: RawMutex>() {
        let mutex: Mutex<L, u32> = Mutex::new(1);
        lock_for_fork(&mutex);
        assert!(mutex.try_lock().is_none());
        // SAFETY: the lock is held.
        unsafe { unlock_after_fork(&mutex) };
        *mutex.lock() += 1;
        lock_for_fork(&mutex);
        // SAFETY: the lock is held, and no other thread has access to it.
        unsafe { reset_after_fork(&mutex) };
        assert_eq!(*mutex.lock(), 2);
        assert!(!mutex.is_locked());
    }

    #[test]
    fn held_lock_can_be_released_and_replaced() {
        is_as_new::<SpinLock>();
        is_as_new::<TicketLock>();
        #[cfg(feature = "std")]
        is_as_new::<crate::sync::ParkingLock>();
    }
}
