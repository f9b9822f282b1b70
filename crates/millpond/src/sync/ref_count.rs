//! Counts of references, for one thread and for many.
//!
//! A count that is about to overflow stays where it is for good: the value is leaked rather than freed too early. (Linux
//! counts so.) For the atomic one, "about to" leaves room for a thousand million threads between looking and counting.

use core::cell::Cell;

use crate::base::atomic::{AtomicU32, Ordering, spin_loop, yield_now};

/// From here on a count stays where it is. (Models cannot count as far.)
const SATURATION: u32 = if cfg!(all(test, any(loom, shuttle))) { 3 } else { 1 << 31 };

/// Where a count stays: far from both zero and overflow.
const SATURATED: u32 = 3 << 30;

/// What a count of one is while it is held: no other count is so large.
const LOCKED: u32 = u32::MAX;

/// A count of references: [`LocalRefCount`] for one thread, [`AtomicRefCount`] for many.
///
/// # Safety
///
/// * [`decrement`](Self::decrement) is true once at most for as many calls as there were of [`increment`](Self::increment), and one, and what
///   was done before the others happened before it returns true; so it does with [`clear_if_one`](Self::clear_if_one) and [`is_one`](Self::is_one).
/// * No call touches the count after it has made it possible that another one is the last.
/// * While a count is held, it is one, and nobody makes it more.
/// * The alignment is at least 2.
pub unsafe trait RefCount {
    /// A count of one.
    const ONE: Self;

    /// A count of none, which [begins](Self::init) later.
    const ZERO: Self;

    /// The first one; there was none.
    fn init(&self);

    /// One more; there is one already.
    fn increment(&self);

    /// One more, unless there is none; whether there was.
    fn increment_if_nonzero(&self) -> bool;

    /// One more; there is one already. Waits while the count is held.
    fn increment_unless_locked(&self);

    /// One less; whether that was the last.
    fn decrement(&self) -> bool;

    /// None instead of one; whether there was exactly one.
    fn clear_if_one(&self) -> bool;

    /// Whether there is exactly one.
    fn is_one(&self) -> bool;

    /// Holds the count if it is one; whether it does.
    fn lock_if_one(&self) -> bool;

    /// Holds it no more: it is one.
    fn unlock(&self);

    /// How many there are now.
    fn get(&self) -> u32;
}

/// A [`RefCount`] for one thread.
#[derive(Debug)]
pub struct LocalRefCount(Cell<u32>);

/// A [`RefCount`] for many threads.
#[derive(Debug)]
pub struct AtomicRefCount(AtomicU32);

// SAFETY: it counts, on one thread because `Cell` is not `Sync`. Nobody else comes between `lock_if_one` and `unlock`.
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

// SAFETY: read-modify-writes count; each `decrement` releases what was done before it, and the last acquires it. A count that is
// full is not counted down, but by those who saw it just before, which are no more than there are threads; so none of them
// is the last, and nothing has to be put right afterwards.
unsafe impl RefCount for AtomicRefCount {
    const ONE: Self = Self(AtomicU32::new(1));
    const ZERO: Self = Self(AtomicU32::new(0));

    fn init(&self) {
        // Whoever upgrades a weak handle sees the value.
        self.0.store(1, Ordering::Release);
    }

    #[inline]
    fn increment(&self) {
        // Whoever makes one more has one, so nothing needs to be ordered, and the count is there after the addition.
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
        // Acquires what the holder did: it has seen that it was the only one before this one was made.
        let mut looks = 0_u32;
        while self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, incremented).is_err() {
            looks += 1;
            if looks.is_multiple_of(SPINS) { yield_now() } else { spin_loop() }
        }
    }

    #[inline]
    fn decrement(&self) -> bool {
        // Looked at before: afterwards another thread may have been the last, and the count be gone.
        if self.0.load(Ordering::Relaxed) >= SATURATION {
            return false;
        }
        let count = self.0.fetch_sub(1, Ordering::Release);
        if count == 1 {
            // Not a fence: ThreadSanitizer does not know fences.
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
    /// One that is as large as a count becomes.
    pub(crate) fn saturating() -> Self {
        Self(AtomicU32::new(SATURATION))
    }

    /// A [`decrement`](RefCount::decrement) that puts a full count right afterwards, when it may be gone: for a model, which must notice.
    pub(crate) fn decrement_and_correct(&self) -> bool {
        let count = self.0.fetch_sub(1, Ordering::AcqRel);
        if count >= SATURATION {
            self.0.store(SATURATED, Ordering::Relaxed);
        }
        count == 1
    }
}

/// How often a count that is held is looked at before other threads are let run.
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
