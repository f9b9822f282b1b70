//! A spin lock, for platforms without an operating system.

use lock_api::{GuardSend, RawMutex};

use crate::base::atomic::{AtomicBool, Ordering, spin_loop, yield_now};

/// A lock that spins: one byte, no system call. With the feature `std` it lets other threads run after a while.
///
/// The default lock of [`Cached`](crate::Cached), whose threads rarely contend, and of [`Locked`](crate::Locked)
/// without the feature `std`. Any other [`lock_api::RawMutex`] can be chosen instead: `ParkingLock`, whose waiters
/// sleep, [`TicketLock`](crate::lock::TicketLock), or that of another crate.
///
/// It is not fair, and must not be used if a thread may preempt the holder until it gets the lock (an interrupt
/// handler, or a thread of higher priority on the same core).
#[derive(Debug)]
pub struct SpinLock {
    held: AtomicBool,
}

/// How often a waiter checks the lock before it lets other threads run.
const SPINS: u32 = 128;

impl SpinLock {
    #[cold]
    fn wait(&self) {
        let mut looks = 0u32;
        while self.held.load(Ordering::Relaxed) {
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(SPINS) { yield_now() } else { spin_loop() }
        }
    }
}

// SAFETY: `lock` returns only after the current thread has changed `held` from false to true, and only `unlock` changes
// it back; Acquire and Release order the accesses of the holders.
unsafe impl RawMutex for SpinLock {
    const INIT: Self = Self { held: AtomicBool::new(false) };

    type GuardMarker = GuardSend;

    #[inline]
    fn lock(&self) {
        while !self.try_lock() {
            self.wait();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.held.store(false, Ordering::Release);
    }

    fn is_locked(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }
}
