//! A lock whose waiters sleep: a spin lock, with a parker for waiters that have spun and yielded for long enough.
//!
//! A thread that unlocks looks for sleepers, but does not wait until others have seen that the lock is free: that would
//! take another atomic exchange and double the cost. Nor does it wait for a thread that is about to sleep, so a child
//! after `fork` never waits for a thread that it does not have. As a consequence a sleeper may be missed, so no thread
//! sleeps for longer than a millisecond without checking the lock.

use core::marker::PhantomData;

use lock_api::{GuardSend, RawMutex};

use super::ordering::{Correct, Orderings};
use crate::base::atomic::{AtomicBool, AtomicUsize, Ordering, Parker, spin_loop, yield_now};

/// A lock that spins briefly, and then sleeps until it is woken.
///
/// The default lock of [`Locked`](crate::Locked) with the feature `std`. A thread that waits for a preempted one takes
/// no processor time from it, even if the waiter has a higher priority. If the lock is not contended, locking and
/// unlocking take one atomic exchange, as with [`SpinLock`](crate::lock::SpinLock).
///
/// It is not fair; [`TicketLock`](crate::lock::TicketLock) is. A waiter that falls asleep at the moment in which the
/// lock becomes free may not be woken, and checks again after a millisecond. The lock never allocates, so it can be
/// used in the program's [global allocator](crate::interop::Global). On systems where the standard library's mutexes
/// allocate, such as macOS and NetBSD, waiters are not woken, but check again after 32 microseconds at first, and after
/// at most a millisecond later.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Heap, Locked, Tlsf, lock::ParkingLock};
///
/// static POOL: Locked<Tlsf, Heap, ParkingLock> = Locked::new_in(Tlsf::new(), Heap);
/// assert!(POOL.allocate(Layout::new::<[u64; 9]>()).is_ok());
/// ```
#[derive(Debug)]
pub struct ParkingLock(RawParkingLock);

/// The implementation of a [`ParkingLock`]. (`T` provides the orderings, which models weaken.)
///
/// # Invariants
///
/// * `parked` is the number of threads that are in `parker`, enter it, or leave it.
#[derive(Debug)]
pub(crate) struct RawParkingLock<T = Correct> {
    held: AtomicBool,
    parked: AtomicUsize,
    parker: Parker,
    orderings: PhantomData<fn() -> T>,
}

/// How often a waiter checks the lock before it lets other threads run.
const SPINS: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 128 };

/// How often a waiter lets other threads run before it sleeps: a holder that only has to get its processor back is
/// waited for without the parker.
const YIELDS: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 8 };

impl<T: Orderings> RawParkingLock<T> {
    #[inline]
    fn try_acquire(&self) -> bool {
        self.held.compare_exchange(false, true, T::ACQUIRE, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn wait(&self) {
        for look in 1..=SPINS * YIELDS {
            if !self.held.load(Ordering::Relaxed) && self.try_acquire() {
                return;
            }
            if look.is_multiple_of(SPINS) { yield_now() } else { spin_loop() }
        }
        self.parked.fetch_add(1, Ordering::Relaxed);
        let mut turn = 0_u32;
        while !self.try_acquire() {
            self.parker.park_if(turn, || self.held.load(Ordering::Relaxed));
            turn = turn.saturating_add(1);
        }
        self.parked.fetch_sub(1, Ordering::Relaxed);
    }

    #[cold]
    fn wake(&self) {
        self.parker.wake_one();
    }
}

// SAFETY: `lock` returns only after the current thread has changed `held` from false to true, and only `unlock` changes
// it back; Acquire and Release order the accesses of the holders.
unsafe impl<T: Orderings> RawMutex for RawParkingLock<T> {
    #[allow(clippy::declare_interior_mutable_const, reason = "`RawMutex` requires an initial value")]
    const INIT: Self = Self {
        held: AtomicBool::new(false),
        parked: AtomicUsize::new(0),
        parker: Parker::new(),
        orderings: PhantomData,
    };

    type GuardMarker = GuardSend;

    #[inline]
    fn lock(&self) {
        if !self.try_acquire() {
            self.wait();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.try_acquire()
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.held.store(false, T::RELEASE);
        if self.parked.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    fn is_locked(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }
}

// SAFETY: the inner lock upholds the contract.
unsafe impl RawMutex for ParkingLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "`RawMutex` requires an initial value")]
    const INIT: Self = Self(RawMutex::INIT);

    type GuardMarker = GuardSend;

    #[inline]
    fn lock(&self) {
        self.0.lock();
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.0.try_lock()
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: the caller has locked it.
        unsafe { self.0.unlock() };
    }

    fn is_locked(&self) -> bool {
        self.0.is_locked()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use core::time::Duration;
    use std::thread;

    use super::*;

    #[test]
    fn waiters_sleep_and_all_get_the_lock() {
        let (lock, through) = (ParkingLock::INIT, AtomicUsize::new(0));
        lock.lock();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    lock.lock();
                    through.fetch_add(1, Ordering::Relaxed);
                    // SAFETY: the current thread has locked it.
                    unsafe { lock.unlock() };
                });
            }
            while lock.0.parked.load(Ordering::Relaxed) != 4 {
                thread::sleep(Duration::from_millis(1));
            }
            assert!(lock.is_locked() && !lock.try_lock());
            assert_eq!(through.load(Ordering::Relaxed), 0);
            // SAFETY: the current thread has locked it.
            unsafe { lock.unlock() };
        });
        assert_eq!(through.load(Ordering::Relaxed), 4);
        assert_eq!(lock.0.parked.load(Ordering::Relaxed), 0);
        assert!(!lock.is_locked());
    }
}
