//! Counts of references, for one thread and for many.
//!
//! A count that is about to overflow stays where it is for good: the value is leaked rather than freed too early. (Linux
//! counts so.) For the atomic one, "about to" leaves room for a thousand million threads between looking and storing.

use core::cell::Cell;

use crate::base::atomic::{AtomicU32, Ordering};

/// From here on a count stays where it is.
const FULL: u32 = 1 << 31;

/// Where a count stays: far from both zero and overflow.
const STUCK: u32 = 3 << 30;

/// A count of references: [`PlainCount`] for one thread, [`AtomicCount`] for many.
///
/// # Safety
///
/// [`less`](Self::less) is true once at most for as many calls as there were of [`more`](Self::more), and one, and what
/// was done before the others happened before it returns true.
pub unsafe trait Count {
    /// A count of one.
    const ONE: Self;

    /// One more; there is one already.
    fn more(&self);

    /// One more, unless there is none; whether there was.
    fn more_if_any(&self) -> bool;

    /// One less; whether that was the last.
    fn less(&self) -> bool;

    /// How many there are now.
    fn get(&self) -> u32;
}

/// A [`Count`] for one thread.
#[derive(Debug)]
pub struct PlainCount(Cell<u32>);

/// A [`Count`] for many threads.
#[derive(Debug)]
pub struct AtomicCount(AtomicU32);

// SAFETY: it counts, on one thread because `Cell` is not `Sync`.
unsafe impl Count for PlainCount {
    const ONE: Self = Self(Cell::new(1));

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

    #[inline]
    fn less(&self) -> bool {
        let count = self.0.get();
        self.0.set(if count >= FULL { STUCK } else { count - 1 });
        count == 1
    }

    fn get(&self) -> u32 {
        self.0.get()
    }
}

// SAFETY: read-modify-writes count; each `less` releases what was done before it, and the last acquires it.
unsafe impl Count for AtomicCount {
    const ONE: Self = Self(AtomicU32::new(1));

    #[inline]
    fn more(&self) {
        // Whoever makes one more has one, so nothing needs to be ordered.
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

    #[inline]
    fn less(&self) -> bool {
        let count = self.0.fetch_sub(1, Ordering::Release);
        if count >= FULL {
            self.0.store(STUCK, Ordering::Relaxed);
        }
        if count == 1 {
            // Not a fence: ThreadSanitizer does not know fences.
            self.0.load(Ordering::Acquire);
        }
        count == 1
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

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
