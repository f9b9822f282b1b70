//! A lock whose waiters sleep: a spin lock, and a bed for those who have looked for long enough, and let others run.
//!
//! Who unlocks looks for sleepers, but does not wait until others have seen that the lock is free: that would be an atomic
//! exchange, as long as all the rest. Nor does it wait for one that is about to lie down, which keeps a child after `fork` from
//! waiting for a thread that it does not have. So a sleeper may be missed; hence nobody sleeps for longer than a
//! millisecond without looking.

use lock_api::{GuardSend, RawMutex};

use super::atomic::{AtomicBool, AtomicUsize, Ordering, Parker, spin_loop, yield_now};

/// A lock that looks for a moment, and then sleeps until it is woken.
///
/// The default lock of [`Locked`](crate::Locked) with the feature `std`. A thread that waits for one that has lost its
/// processor takes no time from that one, even if it has a higher priority; and when nobody else has the lock, locking and
/// unlocking take one atomic exchange, as with [`SpinLock`](crate::SpinLock).
///
/// It is not fair: [`TicketLock`](crate::TicketLock) is. A waiter that is not woken, which may happen when it falls asleep in the
/// moment in which the lock becomes free, looks again after a millisecond. It never allocates, so it can be the lock of the
/// program's [own allocator](crate::interop::Global). On systems where the standard library's mutexes allocate, such as macOS
/// and NetBSD, waiters are not woken, but look again after 32 microseconds at first, and a millisecond at most.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Heap, Locked, ParkingLock, Tlsf};
///
/// static POOL: Locked<Tlsf, Heap, ParkingLock> = Locked::new_in(Tlsf::new(), Heap);
/// assert!(POOL.allocate(Layout::new::<[u64; 9]>()).is_ok());
/// ```
#[derive(Debug)]
pub struct ParkingLock(RawParkingLock);

/// The gate of a [`ParkingLock`]. (Not `ORDERED`, what a holder did is not handed to the next: that is for models, which must
/// notice.)
///
/// # Invariants
///
/// * `parked` is how many threads are in `parker`, or go there, or come from there.
#[derive(Debug)]
pub(crate) struct RawParkingLock<const ORDERED: bool = true> {
    held: AtomicBool,
    parked: AtomicUsize,
    parker: Parker,
}

/// How often a waiter looks before it lets other threads run.
const SPINS: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 128 };

/// How often it does so before it sleeps: a holder that only has to get its processor back is waited for without a bed.
const YIELDS: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 8 };

impl<const ORDERED: bool> RawParkingLock<ORDERED> {
    const ACQUIRE: Ordering = if ORDERED { Ordering::Acquire } else { Ordering::Relaxed };
    const RELEASE: Ordering = if ORDERED { Ordering::Release } else { Ordering::Relaxed };

    #[inline]
    fn try_acquire(&self) -> bool {
        self.held.compare_exchange(false, true, Self::ACQUIRE, Ordering::Relaxed).is_ok()
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

// SAFETY: `lock` returns only after this thread has changed `held` from false to true, and only `unlock` changes it back;
// Acquire and Release order what the holders do.
unsafe impl<const ORDERED: bool> RawMutex for RawParkingLock<ORDERED> {
    #[allow(clippy::declare_interior_mutable_const, reason = "this is how a lock begins")]
    const INIT: Self =
        Self { held: AtomicBool::new(false), parked: AtomicUsize::new(0), parker: Parker::new() };

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
        self.held.store(false, Self::RELEASE);
        if self.parked.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    fn is_locked(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }
}

super::delegate_raw_mutex!(ParkingLock);

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use core::time::Duration;
    use std::thread;

    use super::*;

    #[test]
    fn waiters_sleep_and_all_get_it() {
        let (lock, through) = (ParkingLock::INIT, AtomicUsize::new(0));
        lock.lock();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    lock.lock();
                    through.fetch_add(1, Ordering::Relaxed);
                    // SAFETY: this thread has locked it.
                    unsafe { lock.unlock() };
                });
            }
            while lock.0.parked.load(Ordering::Relaxed) != 4 {
                thread::sleep(Duration::from_millis(1));
            }
            assert!(lock.is_locked() && !lock.try_lock());
            assert_eq!(through.load(Ordering::Relaxed), 0);
            // SAFETY: this thread has locked it.
            unsafe { lock.unlock() };
        });
        assert_eq!(through.load(Ordering::Relaxed), 4);
        assert_eq!(lock.0.parked.load(Ordering::Relaxed), 0);
        assert!(!lock.is_locked());
    }
}
