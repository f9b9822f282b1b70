//! Data that threads share behind a lock, which a `fork` can hold.

use lock_api::{Mutex, MutexGuard, RawMutex as _};
use millpond::lock::SpinLock;

/// A value behind a lock.
pub(crate) struct Shared<T>(Mutex<SpinLock, T>);

// SAFETY: only the holder of the lock accesses the value, and by the contract of `new` what it points to.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Creates the lock.
    ///
    /// # Safety
    ///
    /// What the value points to is accessed only by the holder of the lock.
    pub(crate) const unsafe fn new(value: T) -> Self {
        Self(Mutex::const_new(SpinLock::INIT, value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, SpinLock, T> {
        self.0.lock()
    }

    /// Acquires the lock unless it is held.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, SpinLock, T>> {
        self.0.try_lock()
    }

    /// Acquires the lock for the time of a `fork`.
    pub(crate) fn hold(&self) {
        core::mem::forget(self.0.lock());
    }

    /// Releases the lock that [`hold`](Self::hold) acquired.
    ///
    /// # Safety
    ///
    /// This thread, or its image in the parent of this process, has called [`hold`](Self::hold).
    pub(crate) unsafe fn release(&self) {
        // SAFETY: the caller guarantees that the lock is held.
        unsafe { self.0.force_unlock() };
    }
}
