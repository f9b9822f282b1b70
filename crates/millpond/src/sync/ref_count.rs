//! Reference counts, for one thread and for many.
//!
//! A count that is about to overflow is saturated permanently: the value is leaked rather than freed too early. (Linux
//! does the same.) For the atomic count, the margin leaves room for 10⁹ threads between check and increment.

use core::cell::Cell;

use crate::base::atomic::{AtomicU32, Ordering, spin_loop, yield_now};

/// From this value on, a count is saturated. (Models use a smaller value, since they cannot count as far.)
const SATURATION: u32 = if cfg!(all(test, any(loom, shuttle))) { 3 } else { 1 << 31 };

/// The value of a saturated count: far from both zero and overflow.
const SATURATED: u32 = 3 << 30;

/// The value of a count of one while it is locked: no other count is as large.
const LOCKED: u32 = u32::MAX;

/// A reference count: [`LocalRefCount`] for one thread, [`AtomicRefCount`] for many.
///
/// # Safety
///
/// * [`decrement`](Self::decrement) returns true at most once in as many calls as there were of
///   [`increment`](Self::increment) plus one, and what was done before the other calls happens before it returns true;
///   the same holds for [`clear_if_one`](Self::clear_if_one) and [`is_one`](Self::is_one).
/// * No call accesses the count after it has made it possible that another call is the last one.
/// * While a count is locked, it is one, and no other thread increments it.
/// * The alignment is at least 2.
pub unsafe trait RefCount {
    /// A count of one.
    const ONE: Self;

    /// A count of zero, to be [initialized](Self::init) later.
    const ZERO: Self;

    /// Initializes the count, which was zero, to one.
    fn init(&self);

    /// Increments the count, which is at least one.
    fn increment(&self);

    /// Increments the count unless it is zero; returns whether it did.
    fn increment_if_nonzero(&self) -> bool;

    /// Increments the count, which is at least one. Waits while the count is locked.
    fn increment_unless_locked(&self);

    /// Decrements the count; returns whether it reached zero.
    fn decrement(&self) -> bool;

    /// Sets the count from one to zero; returns whether it was exactly one.
    fn clear_if_one(&self) -> bool;

    /// Returns whether the count is exactly one.
    fn is_one(&self) -> bool;

    /// Locks the count if it is one; returns whether it did.
    fn lock_if_one(&self) -> bool;

    /// Unlocks the count, which stays one.
    fn unlock(&self);

    /// Returns the current count.
    fn get(&self) -> u32;
}

/// A [`RefCount`] for one thread.
#[derive(Debug)]
pub struct LocalRefCount(Cell<u32>);

/// A [`RefCount`] for many threads.
#[derive(Debug)]
pub struct AtomicRefCount(AtomicU32);

// SAFETY: the count is used on one thread because `Cell` is not `Sync`, so nothing runs between `lock_if_one` and
// `unlock` that changes it.
unsafe impl RefCount for LocalRefCount {
    const ONE: Self = Self(Cell::new(1));
    const ZERO: Self = Self(Cell::new(0));

    fn init(&self) {
        self.0.set(1);
    }

    #[inline]
    fn increment(&self) {
        let count = self.0.get();
        self.0.set(if count >= SATURATION { SATURATED } else { count + 1 });
    }

    #[inline]
    fn increment_if_nonzero(&self) -> bool {
        let any = self.0.get() != 0;
        if any {
            self.increment();
        }
        any
    }

    fn increment_unless_locked(&self) {
        self.increment();
    }

    #[inline]
    fn decrement(&self) -> bool {
        let count = self.0.get();
        self.0.set(if count >= SATURATION { SATURATED } else { count - 1 });
        count == 1
    }

    fn clear_if_one(&self) -> bool {
        let is_one = self.is_one();
        if is_one {
            self.0.set(0);
        }
        is_one
    }

    fn is_one(&self) -> bool {
        self.0.get() == 1
    }

    fn lock_if_one(&self) -> bool {
        self.is_one()
    }

    fn unlock(&self) {}

    fn get(&self) -> u32 {
        self.0.get()
    }
}

// SAFETY: read-modify-writes maintain the count; each `decrement` releases what was done before it, and the last one
// acquires it. A saturated count is not decremented, except by threads that read it just before saturation, of which
// there are no more than there are threads; so none of these calls is the last, and nothing has to be corrected
// afterwards.
unsafe impl RefCount for AtomicRefCount {
    const ONE: Self = Self(AtomicU32::new(1));
    const ZERO: Self = Self(AtomicU32::new(0));

    fn init(&self) {
        // A thread that upgrades a weak handle sees the value.
        self.0.store(1, Ordering::Release);
    }

    #[inline]
    fn increment(&self) {
        // The caller already holds a reference, so no ordering is needed, and the count is alive after the addition.
        if self.0.fetch_add(1, Ordering::Relaxed) >= SATURATION {
            self.0.store(SATURATED, Ordering::Relaxed);
        }
    }

    #[inline]
    fn increment_if_nonzero(&self) -> bool {
        let incremented = |count| match count {
            0 => None,
            SATURATION.. => Some(SATURATED),
            _ => Some(count + 1),
        };
        self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, incremented).is_ok()
    }

    fn increment_unless_locked(&self) {
        let incremented = |count| match count {
            LOCKED => None,
            SATURATION.. => Some(SATURATED),
            _ => Some(count + 1),
        };
        // Acquires what the holder of the lock did: it saw that its reference was the only one before this one was
        // made.
        let mut looks = 0_u32;
        while self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, incremented).is_err() {
            looks += 1;
            if looks.is_multiple_of(SPINS) { yield_now() } else { spin_loop() }
        }
    }

    #[inline]
    fn decrement(&self) -> bool {
        // Checked before the decrement: afterwards another thread may be the last one and free the count.
        if self.0.load(Ordering::Relaxed) >= SATURATION {
            return false;
        }
        let count = self.0.fetch_sub(1, Ordering::Release);
        if count == 1 {
            // Not a fence: ThreadSanitizer does not support fences.
            self.0.load(Ordering::Acquire);
        }
        count == 1
    }

    fn clear_if_one(&self) -> bool {
        self.0.compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn is_one(&self) -> bool {
        self.0.load(Ordering::Acquire) == 1
    }

    fn lock_if_one(&self) -> bool {
        self.0.compare_exchange(1, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn unlock(&self) {
        self.0.store(1, Ordering::Release);
    }

    fn get(&self) -> u32 {
        match self.0.load(Ordering::Relaxed) {
            LOCKED => 1,
            count => count,
        }
    }
}

#[cfg(all(test, loom))]
impl AtomicRefCount {
    /// Returns a count with the largest possible value.
    pub(crate) fn saturating() -> Self {
        Self(AtomicU32::new(SATURATION))
    }

    /// A [`decrement`](RefCount::decrement) that corrects a saturated count afterwards, when it may have been freed:
    /// for a model that must detect this.
    pub(crate) fn decrement_and_correct(&self) -> bool {
        let count = self.0.fetch_sub(1, Ordering::AcqRel);
        if count >= SATURATION {
            self.0.store(SATURATED, Ordering::Relaxed);
        }
        count == 1
    }
}

/// How often a locked count is polled before the thread yields.
const SPINS: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 128 };

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn check_counts<C: RefCount>() {
        let count = C::ONE;
        count.increment();
        assert!(count.increment_if_nonzero() && count.get() == 3);
        assert!(!count.decrement() && !count.decrement() && count.decrement());
        assert!(!count.increment_if_nonzero(), "none is left");
    }

    fn check_saturates<C: RefCount>(count: C) {
        count.increment();
        assert_eq!(count.get(), SATURATION);
        count.increment();
        assert!(count.increment_if_nonzero());
        assert_eq!(count.get(), SATURATED);
        assert!(!count.decrement());
        assert_eq!(count.get(), SATURATED);
    }

    #[test]
    fn last_decrement() {
        check_counts::<LocalRefCount>();
        check_counts::<AtomicRefCount>();
    }

    #[test]
    fn saturates() {
        check_saturates(LocalRefCount(Cell::new(SATURATION - 1)));
        check_saturates(AtomicRefCount(AtomicU32::new(SATURATION - 1)));
    }
}
