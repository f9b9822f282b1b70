//! Thread numbers: small, leased for as long as a thread (or a handle) lives, used again by the next.
//!
//! Whoever has a number owns the slot of that number in every pool, and its shelf in every collection. Giving it back is a
//! Release, leasing it an Acquire: the next holder sees all that the last one did, and inherits what is there.
//!
//! Leasing costs O(words), giving back O(1); both are lock-free.

use crate::base::atomic::{AtomicUsize, Ordering, UnsafeCell, static_const};

/// How many numbers there are, the number zero included, which nobody gets: it means that one has none.
pub(super) const NUMBERS: usize = if cfg!(all(test, any(loom, shuttle))) {
    4
} else if cfg!(feature = "std") {
    1024
} else {
    64
};

/// So many numbers, the zero included, are near: see [`Table`](super::cached::table::Table).
pub(super) const NEAR: usize = if cfg!(all(test, any(loom, shuttle))) { 2 } else { 32 };

const BITS: usize = usize::BITS as usize;

/// Which numbers are leased: one bit each. (Not `ORDERED`, numbers are handed over without what was done with them: that is
/// for models, which must notice.)
pub(super) struct Numbers<const ORDERED: bool = true>([AtomicUsize; NUMBERS.div_ceil(BITS)]);

static_const! {
    static LEASED: Numbers = Numbers::new();
}

impl<const ORDERED: bool> Numbers<ORDERED> {
    const LEASE: Ordering = if ORDERED { Ordering::Acquire } else { Ordering::Relaxed };
    const GIVE_BACK: Ordering = if ORDERED { Ordering::Release } else { Ordering::Relaxed };

    pub(super) const fn new() -> Self {
        Self([const { AtomicUsize::new(0) }; NUMBERS.div_ceil(BITS)])
    }

    /// Takes a number if nobody has it.
    fn claim(&self, number: usize) -> bool {
        let bit = 1 << (number % BITS);
        self.0[number / BITS].fetch_or(bit, Self::LEASE) & bit == 0
    }

    /// Takes the lowest number that nobody has.
    pub(super) fn lease(&self) -> Option<usize> {
        self.0.iter().enumerate().find_map(|(index, word)| {
            loop {
                // The number zero is never leased.
                let leased = word.load(Ordering::Relaxed) | usize::from(index == 0);
                let number = index * BITS + leased.trailing_ones() as usize;
                if number >= NUMBERS.min((index + 1) * BITS) {
                    return None;
                }
                if self.claim(number) {
                    return Some(number);
                }
            }
        })
    }

    pub(super) fn give_back(&self, number: usize) {
        self.0[number / BITS].fetch_and(!(1 << (number % BITS)), Self::GIVE_BACK);
    }
}

/// A number that is leased. Dropping it gives it back.
pub(super) struct Number(usize);

impl Number {
    /// The lowest number that nobody has; `None` if all are leased.
    pub(super) fn lease() -> Option<Self> {
        LEASED.lease().map(Self)
    }

    /// This number, unless somebody has it.
    pub(super) fn claim(number: usize) -> Option<Self> {
        LEASED.claim(number).then(|| Self(number))
    }

    pub(super) fn get(&self) -> usize {
        self.0
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        LEASED.give_back(self.0);
    }
}

/// By number: nothing, which loom sees used whenever the slot of that number is. So it finds out when two threads use one.
pub(super) struct Uses([UnsafeCell<()>; NUMBERS]);

// SAFETY: there is nothing in it.
unsafe impl Sync for Uses {}

impl Uses {
    pub(super) const fn new() -> Self {
        Self([const { UnsafeCell::new(()) }; NUMBERS])
    }

    /// The slot of this number is used. (Everybody may use that of number zero, which is vacant.)
    #[inline(always)]
    pub(super) fn note(&self, number: usize) {
        if cfg!(all(test, loom)) && number != 0 {
            self.0[number].with_mut(|_| ());
        }
    }
}

#[cfg(feature = "std")]
pub(super) use of_thread::{current, current_or_lease, near, near_line};

#[cfg(feature = "std")]
mod of_thread {
    use core::cell::Cell;

    use super::{NEAR, Number};
    use crate::{base::atomic::thread_local_const, share::line};

    thread_local_const! {
        /// The number of this thread, or zero. There is nothing to drop, so it can be read as long as the thread lives.
        static NUMBER: Cell<usize> = Cell::new(0);
    }
    thread_local_const! {
        /// The number again, if it is near, else zero.
        static NEAR_NUMBER: Cell<usize> = Cell::new(0);
    }
    thread_local_const! {
        /// The same, times the bytes from one near slot to the next.
        static PLACE: Cell<usize> = Cell::new(0);
    }
    thread_local_const! {
        /// The lease. Touched only when a number is leased: what has something to drop is slower to reach.
        static LEASE: Lease = Lease(Cell::new(None));
    }

    thread_local_const! {
        /// Whether this thread is about to get a number. To note that something is to be dropped at the thread's end, the standard
        /// library may allocate; if the pool is the program's own allocator, that comes back here.
        static LEASING: Cell<bool> = Cell::new(false);
    }

    struct Lease(Cell<Option<Number>>);

    impl Drop for Lease {
        fn drop(&mut self) {
            // Before the number is given back: from now on this thread has no slots.
            be(0);
        }
    }

    /// This thread has this number from now on.
    fn be(number: usize) {
        let near = if number < NEAR { number } else { 0 };
        let _ = NUMBER.try_with(|place| place.set(number));
        let _ = NEAR_NUMBER.try_with(|place| place.set(near));
        let _ = PLACE.try_with(|place| place.set(near * line::BYTES));
    }

    /// The number of this thread if it is near, else zero.
    #[inline(always)]
    pub(in crate::share) fn near() -> usize {
        NEAR_NUMBER.with(Cell::get)
    }

    /// How many bytes behind the first near slot this thread's lies: that of number zero, if its number is not near.
    #[inline(always)]
    pub(in crate::share) fn near_line() -> usize {
        PLACE.with(Cell::get)
    }

    /// The number of this thread; zero if it has none.
    #[inline(always)]
    pub(in crate::share) fn current() -> usize {
        NUMBER.with(Cell::get)
    }

    /// The number of this thread, which gets one now if it has none. Zero if all are leased, while it gets one, and after the
    /// thread's lease has been dropped at its end.
    pub(in crate::share) fn current_or_lease() -> usize {
        if current() == 0 && !LEASING.with(|leasing| leasing.replace(true)) {
            let _ = LEASE.try_with(|lease| {
                lease.0.set(Number::lease());
                let number = lease.0.take();
                be(number.as_ref().map_or(0, Number::get));
                lease.0.set(number);
            });
            LEASING.with(|leasing| leasing.set(false));
        }
        current()
    }
}

/// Without an operating system there are no threads that could be told apart.
#[cfg(not(feature = "std"))]
#[inline(always)]
pub(super) fn current() -> usize {
    0
}

#[cfg(not(feature = "std"))]
#[inline(always)]
pub(super) fn near() -> usize {
    0
}

#[cfg(not(feature = "std"))]
#[inline(always)]
pub(super) fn near_line() -> usize {
    0
}

#[cfg(not(feature = "std"))]
pub(super) fn current_or_lease() -> usize {
    0
}
