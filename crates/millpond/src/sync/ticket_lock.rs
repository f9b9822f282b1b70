//! A ticket lock: a spin lock whose waiters are served in the order of their arrival.
//!
//! Source: Reed and Kanodia, "Synchronization with Eventcounts and Sequencers" (1979); Mellor-Crummey and Scott,
//! "Algorithms for Scalable Synchronization on Shared-Memory Multiprocessors" (1991).

use core::marker::PhantomData;

use lock_api::{GuardSend, RawMutex};

use super::ordering::{Correct, Orderings};
use crate::base::atomic::{AtomicUsize, Ordering, spin_loop, yield_now};

/// A fair spin lock: a waiting thread is served before all that arrive later.
///
/// A thread waits for at most one use by each other thread, so a pool with a bounded worst case keeps a bounded one
/// when it is shared: `Locked<Tlsf, A, TicketLock>` with `n` threads serves a request within `n` times the worst case
/// of [`Tlsf`](crate::Tlsf), provided that it makes no request to its parent and no thread is preempted while it holds
/// the lock. If there are more threads than cores, [`SpinLock`](crate::lock::SpinLock) has a higher throughput: a fair
/// lock waits for the next thread in line even if that is not running.
///
/// If the lock is not contended, locking and unlocking together take at most 8 instructions, one of them an atomic
/// read-modify-write: `Locked<Blocks>` allocates in 14 and frees in 10, where `Local<Blocks>` takes 6 and 4 (counted by
/// `cargo xtask counts`).
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Buffer, Locked, Tlsf, lock::TicketLock};
///
/// let mut memory = [core::mem::MaybeUninit::uninit(); 10_000];
/// let pool = Locked::<_, _, TicketLock>::new_in(Tlsf::without_quick_list(), Buffer::new(&mut memory));
/// let block = pool.allocate(Layout::new::<[u8; 1000]>())?;
/// # let _ = block;
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Debug)]
pub struct TicketLock(RawTicketLock);

/// The implementation of a [`TicketLock`]. (`T` provides the orderings, which models weaken.)
///
/// # Invariants
///
/// * Tickets from `served` up to but not including `next` are in use; the first of them holds the lock.
#[derive(Debug)]
pub(crate) struct RawTicketLock<T = Correct> {
    next: AtomicUsize,
    served: AtomicUsize,
    orderings: PhantomData<fn() -> T>,
}

/// How often a waiter checks the lock before it lets other threads run.
const SPINS: u32 = 128;

impl<T: Orderings> RawTicketLock<T> {
    /// Creates a lock whose first ticket has this number.
    const fn from(first: usize) -> Self {
        Self { next: AtomicUsize::new(first), served: AtomicUsize::new(first), orderings: PhantomData }
    }

    #[cold]
    fn wait(&self, ticket: usize) {
        let mut looks = 0u32;
        while self.served.load(T::ACQUIRE) != ticket {
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(SPINS) { yield_now() } else { spin_loop() }
        }
    }
}

// SAFETY: the counter does not hand out a ticket twice before it wraps around, and `served` advances only when the
// holder unlocks; Acquire and Release order the accesses of the holders.
unsafe impl<T: Orderings> RawMutex for RawTicketLock<T> {
    const INIT: Self = Self::from(0);

    type GuardMarker = GuardSend;

    #[inline]
    fn lock(&self) {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        if self.served.load(T::ACQUIRE) != ticket {
            self.wait(ticket);
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        let served = self.served.load(T::ACQUIRE);
        let next = served.wrapping_add(1);
        self.next.compare_exchange(served, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    #[inline]
    unsafe fn unlock(&self) {
        let served = self.served.load(Ordering::Relaxed);
        self.served.store(served.wrapping_add(1), T::RELEASE);
    }

    fn is_locked(&self) -> bool {
        self.served.load(Ordering::Relaxed) != self.next.load(Ordering::Relaxed)
    }
}

// SAFETY: the inner lock upholds the contract.
unsafe impl RawMutex for TicketLock {
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
    use std::{sync::Mutex, thread, vec::Vec};

    use super::*;

    #[test]
    fn first_come_first_served() {
        let (lock, order) = (TicketLock::INIT, Mutex::new(Vec::new()));
        lock.lock();
        thread::scope(|scope| {
            for waiter in 0..4 {
                let (lock, order) = (&lock, &order);
                scope.spawn(move || {
                    lock.lock();
                    order.lock().expect("not poisoned").push(waiter);
                    // SAFETY: the current thread has locked it.
                    unsafe { lock.unlock() };
                });
                // The next thread starts when this one has its ticket.
                while lock.0.next.load(Ordering::Relaxed) != waiter + 2 {
                    thread::yield_now();
                }
            }
            assert!(lock.is_locked() && !lock.try_lock());
            // SAFETY: the current thread has locked it.
            unsafe { lock.unlock() };
        });
        assert_eq!(*order.lock().expect("not poisoned"), [0, 1, 2, 3]);
        assert!(lock.try_lock(), "it is free");
        // SAFETY: the current thread has locked it.
        unsafe { lock.unlock() };
        assert!(!lock.is_locked());
    }

    #[test]
    fn tickets_wrap_around() {
        let lock = TicketLock(RawTicketLock::from(usize::MAX));
        for _ in 0..3 {
            lock.lock();
            assert!(lock.is_locked() && !lock.try_lock());
            // SAFETY: the current thread has locked it.
            unsafe { lock.unlock() };
            assert!(!lock.is_locked());
        }
    }
}
