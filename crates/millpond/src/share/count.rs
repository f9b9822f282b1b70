//! Counts of references, for one thread and for many.
//!
//! A count that is about to overflow stays where it is for good: the value is leaked rather than freed too early. (Linux
//! counts so.) For the atomic one, "about to" leaves room for a thousand million threads between looking and counting.

use core::cell::Cell;

use crate::base::atomic::{AtomicU32, Ordering, spin_loop, yield_now};

/// From here on a count stays where it is. (Models cannot count as far.)
const FULL: u32 = if cfg!(all(test, any(loom, shuttle))) { 3 } else { 1 << 31 };

/// Where a count stays: far from both zero and overflow.
const STUCK: u32 = 3 << 30;

/// What a count of one is while it is held: no other count is so large.
const HELD: u32 = u32::MAX;

/// A count of references: [`PlainCount`] for one thread, [`AtomicCount`] for many.
///
/// # Safety
///
/// * [`less`](Self::less) is true once at most for as many calls as there were of [`more`](Self::more), and one, and what
///   was done before the others happened before it returns true; so it does with [`end`](Self::end) and [`is_one`](Self::is_one).
/// * No call touches the count after it has made it possible that another one is the last.
/// * While a count is held, it is one, and nobody makes it more.
/// * The alignment is at least 2.
pub unsafe trait Count {
    /// A count of one.
    const ONE: Self;

    /// A count of none, which [begins](Self::begin) later.
    const ZERO: Self;

    /// The first one; there was none.
    fn begin(&self);

    /// One more; there is one already.
    fn more(&self);

    /// One more, unless there is none; whether there was.
    fn more_if_any(&self) -> bool;

    /// One more; there is one already. Waits while the count is held.
    fn more_unless_held(&self);

    /// One less; whether that was the last.
    fn less(&self) -> bool;

    /// None instead of one; whether there was exactly one.
    fn end(&self) -> bool;

    /// Whether there is exactly one.
    fn is_one(&self) -> bool;

    /// Holds the count if it is one; whether it does.
    fn hold_if_one(&self) -> bool;

    /// Holds it no more: it is one.
    fn let_go(&self);

    /// How many there are now.
    fn get(&self) -> u32;
}

/// A [`Count`] for one thread.
#[derive(Debug)]
pub struct PlainCount(Cell<u32>);

/// A [`Count`] for many threads.
#[derive(Debug)]
pub struct AtomicCount(AtomicU32);

// SAFETY: it counts, on one thread because `Cell` is not `Sync`. Nobody else comes between `hold_if_one` and `let_go`.
unsafe impl Count for PlainCount {
    const ONE: Self = Self(Cell::new(1));
    const ZERO: Self = Self(Cell::new(0));

    fn begin(&self) {
        self.0.set(1);
    }

    #[inline]
    fn more(&self) {
        let count = self.0.get();
        self.0.set(if count >= FULL { STUCK } else { count + 1 });
    }

    #[inline]
    fn more_if_any(&self) -> bool {
        let any = self.0.get() != 0;
        if any {
            self.more();
        }
        any
    }

    fn more_unless_held(&self) {
        self.more();
    }

    #[inline]
    fn less(&self) -> bool {
        let count = self.0.get();
        self.0.set(if count >= FULL { STUCK } else { count - 1 });
        count == 1
    }

    fn end(&self) -> bool {
        let is_one = self.is_one();
        if is_one {
            self.0.set(0);
        }
        is_one
    }

    fn is_one(&self) -> bool {
        self.0.get() == 1
    }

    fn hold_if_one(&self) -> bool {
        self.is_one()
    }

    fn let_go(&self) {}

    fn get(&self) -> u32 {
        self.0.get()
    }
}

// SAFETY: read-modify-writes count; each `less` releases what was done before it, and the last acquires it. A count that is
// full is not counted down, but by those who saw it just before, which are no more than there are threads; so none of them
// is the last, and nothing has to be put right afterwards.
unsafe impl Count for AtomicCount {
    const ONE: Self = Self(AtomicU32::new(1));
    const ZERO: Self = Self(AtomicU32::new(0));

    fn begin(&self) {
        // Whoever upgrades a weak handle sees the value.
        self.0.store(1, Ordering::Release);
    }

    #[inline]
    fn more(&self) {
        // Whoever makes one more has one, so nothing needs to be ordered, and the count is there after the addition.
        if self.0.fetch_add(1, Ordering::Relaxed) >= FULL {
            self.0.store(STUCK, Ordering::Relaxed);
        }
    }

    #[inline]
    fn more_if_any(&self) -> bool {
        let one_more = |count| match count {
            0 => None,
            FULL.. => Some(STUCK),
            _ => Some(count + 1),
        };
        self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more).is_ok()
    }

    fn more_unless_held(&self) {
        let one_more = |count| match count {
            HELD => None,
            FULL.. => Some(STUCK),
            _ => Some(count + 1),
        };
        // Acquires what the holder did: it has seen that it was the only one before this one was made.
        let mut looks = 0_u32;
        while self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more).is_err() {
            looks += 1;
            if looks.is_multiple_of(PATIENCE) { yield_now() } else { spin_loop() }
        }
    }

    #[inline]
    fn less(&self) -> bool {
        // Looked at before: afterwards another thread may have been the last, and the count be gone.
        if self.0.load(Ordering::Relaxed) >= FULL {
            return false;
        }
        let count = self.0.fetch_sub(1, Ordering::Release);
        if count == 1 {
            // Not a fence: ThreadSanitizer does not know fences.
            self.0.load(Ordering::Acquire);
        }
        count == 1
    }

    fn end(&self) -> bool {
        self.0.compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn is_one(&self) -> bool {
        self.0.load(Ordering::Acquire) == 1
    }

    fn hold_if_one(&self) -> bool {
        self.0.compare_exchange(1, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn let_go(&self) {
        self.0.store(1, Ordering::Release);
    }

    fn get(&self) -> u32 {
        match self.0.load(Ordering::Relaxed) {
            HELD => 1,
            count => count,
        }
    }
}

#[cfg(all(test, loom))]
impl AtomicCount {
    /// One that is as large as a count becomes.
    pub(crate) fn full() -> Self {
        Self(AtomicU32::new(FULL))
    }

    /// A [`less`](Count::less) that puts a full count right afterwards, when it may be gone: for a model, which must notice.
    pub(crate) fn less_and_put_right(&self) -> bool {
        let count = self.0.fetch_sub(1, Ordering::AcqRel);
        if count >= FULL {
            self.0.store(STUCK, Ordering::Relaxed);
        }
        count == 1
    }
}

/// How often a count that is held is looked at before other threads are let run.
const PATIENCE: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 128 };

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn counts<C: Count>() {
        let count = C::ONE;
        count.more();
        assert!(count.more_if_any() && count.get() == 3);
        assert!(!count.less() && !count.less() && count.less());
        assert!(!count.more_if_any(), "none is left");
    }

    fn sticks<C: Count>(count: C) {
        count.more();
        assert_eq!(count.get(), FULL);
        count.more();
        assert!(count.more_if_any());
        assert_eq!(count.get(), STUCK);
        assert!(!count.less());
        assert_eq!(count.get(), STUCK);
    }

    #[test]
    fn the_last_one_is_told() {
        counts::<PlainCount>();
        counts::<AtomicCount>();
    }

    #[test]
    fn a_count_that_would_overflow_stays() {
        sticks(PlainCount(Cell::new(FULL - 1)));
        sticks(AtomicCount(AtomicU32::new(FULL - 1)));
    }
}
