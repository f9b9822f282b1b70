//! Thread numbers: small, leased for as long as a thread (or a handle) lives, used again by the next.
//!
//! Whoever has a number owns the slot of that number in every pool, and its shelf in every collection. Giving it back is a
//! Release, leasing it an Acquire: the next holder sees all that the last one did, and inherits what is there.
//!
//! Leasing costs O(words), giving back O(1); both are lock-free.

use crate::base::atomic::{AtomicUsize, Ordering, UnsafeCell, static_const};

/// How many numbers there are, the number zero included, which nobody gets: it means that one has none.
pub(crate) const MAX_THREADS: usize = if cfg!(all(test, any(loom, shuttle))) {
    4
} else if cfg!(feature = "std") {
    1024
} else {
    64
};

/// So many numbers, the zero included, are near: see [`Table`](super::cached::table::Table).
pub(crate) const INLINE: usize = if cfg!(all(test, any(loom, shuttle))) { 2 } else { 32 };

const BITS: usize = usize::BITS as usize;

/// Which numbers are leased: one bit each. (Not `ORDERED`, numbers are handed over without what was done with them: that is
/// for models, which must notice.)
pub(crate) struct ThreadIndices<const ORDERED: bool = true>([AtomicUsize; MAX_THREADS.div_ceil(BITS)]);

static_const! {
    static IN_USE: ThreadIndices = ThreadIndices::new();
}

impl<const ORDERED: bool> ThreadIndices<ORDERED> {
    const ACQUIRE: Ordering = if ORDERED { Ordering::Acquire } else { Ordering::Relaxed };
    const RELEASE: Ordering = if ORDERED { Ordering::Release } else { Ordering::Relaxed };

    pub(crate) const fn new() -> Self {
        Self([const { AtomicUsize::new(0) }; MAX_THREADS.div_ceil(BITS)])
    }

    /// Takes a number if nobody has it.
    fn try_acquire(&self, index: usize) -> bool {
        let bit = 1 << (index % BITS);
        self.0[index / BITS].fetch_or(bit, Self::ACQUIRE) & bit == 0
    }

    /// Takes the lowest number that nobody has.
    pub(crate) fn acquire(&self) -> Option<usize> {
        self.0.iter().enumerate().find_map(|(index, word)| {
            loop {
                // The number zero is never leased.
                let in_use = word.load(Ordering::Relaxed) | usize::from(index == 0);
                let index = index * BITS + in_use.trailing_ones() as usize;
                if index >= MAX_THREADS.min((index + 1) * BITS) {
                    return None;
                }
                if self.try_acquire(index) {
                    return Some(index);
                }
            }
        })
    }

    pub(crate) fn release(&self, index: usize) {
        self.0[index / BITS].fetch_and(!(1 << (index % BITS)), Self::RELEASE);
    }
}

/// A number that is leased. Dropping it gives it back.
pub(crate) struct ThreadIndex(usize);

impl ThreadIndex {
    /// The lowest number that nobody has; `None` if all are leased.
    pub(crate) fn acquire() -> Option<Self> {
        IN_USE.acquire().map(Self)
    }

    /// This number, unless somebody has it.
    pub(crate) fn try_acquire(index: usize) -> Option<Self> {
        IN_USE.try_acquire(index).then(|| Self(index))
    }

    pub(crate) fn get(&self) -> usize {
        self.0
    }
}

impl Drop for ThreadIndex {
    fn drop(&mut self) {
        IN_USE.release(self.0);
    }
}

/// By number: nothing, which loom sees used whenever the slot of that number is. So it finds out when two threads use one.
pub(crate) struct UseProbe([UnsafeCell<()>; MAX_THREADS]);

// SAFETY: there is nothing in it.
unsafe impl Sync for UseProbe {}

impl UseProbe {
    pub(crate) const fn new() -> Self {
        Self([const { UnsafeCell::new(()) }; MAX_THREADS])
    }

    /// The slot of this number is used. (Everybody may use that of number zero, which is vacant.)
    #[inline(always)]
    pub(crate) fn touch(&self, index: usize) {
        if cfg!(all(test, loom)) && index != 0 {
            self.0[index].with_mut(|_| ());
        }
    }
}

#[cfg(feature = "std")]
pub(crate) use per_thread::{current, current_or_acquire, inline, inline_offset};

#[cfg(feature = "std")]
mod per_thread {
    use core::cell::Cell;

    use super::{INLINE, ThreadIndex};
    use crate::{base::atomic::thread_local_const, sync::cache_padded};

    thread_local_const! {
        /// The number of this thread, or zero. There is nothing to drop, so it can be read as long as the thread lives.
        static INDEX: Cell<usize> = Cell::new(0);
    }
    thread_local_const! {
        /// The number again, if it is near, else zero.
        static INLINE_INDEX: Cell<usize> = Cell::new(0);
    }
    thread_local_const! {
        /// The same, times the bytes from one near slot to the next.
        static INLINE_OFFSET: Cell<usize> = Cell::new(0);
    }
    thread_local_const! {
        /// The lease. Touched only when a number is leased: what has something to drop is slower to reach.
        static ACQUIRE: Registration = Registration(Cell::new(None));
    }

    thread_local_const! {
        /// Whether this thread is about to get a number. To note that something is to be dropped at the thread's end, the standard
        /// library may allocate; if the pool is the program's own allocator, that comes back here.
        static ACQUIRING: Cell<bool> = Cell::new(false);
    }

    struct Registration(Cell<Option<ThreadIndex>>);

    impl Drop for Registration {
        fn drop(&mut self) {
            // Before the number is given back: from now on this thread has no slots.
            set_current(0);
        }
    }

    /// This thread has this number from now on.
    fn set_current(index: usize) {
        let inline = if index < INLINE { index } else { 0 };
        let _ = INDEX.try_with(|place| place.set(index));
        let _ = INLINE_INDEX.try_with(|place| place.set(inline));
        let _ = INLINE_OFFSET.try_with(|place| place.set(inline * cache_padded::BYTES));
    }

    /// The number of this thread if it is near, else zero.
    #[inline(always)]
    pub(crate) fn inline() -> usize {
        INLINE_INDEX.with(Cell::get)
    }

    /// How many bytes behind the first near slot this thread's lies: that of number zero, if its number is not near.
    #[inline(always)]
    pub(crate) fn inline_offset() -> usize {
        INLINE_OFFSET.with(Cell::get)
    }

    /// The number of this thread; zero if it has none.
    #[inline(always)]
    pub(crate) fn current() -> usize {
        INDEX.with(Cell::get)
    }

    /// The number of this thread, which gets one now if it has none. Zero if all are leased, while it gets one, and after the
    /// thread's lease has been dropped at its end.
    pub(crate) fn current_or_acquire() -> usize {
        if current() == 0 && !ACQUIRING.with(|leasing| leasing.replace(true)) {
            let _ = ACQUIRE.try_with(|acquire| {
                acquire.0.set(ThreadIndex::acquire());
                let index = acquire.0.take();
                set_current(index.as_ref().map_or(0, ThreadIndex::get));
                acquire.0.set(index);
            });
            ACQUIRING.with(|leasing| leasing.set(false));
        }
        current()
    }
}

/// Without an operating system there are no threads that could be told apart.
#[cfg(not(feature = "std"))]
#[inline(always)]
pub(crate) fn current() -> usize {
    0
}

#[cfg(not(feature = "std"))]
#[inline(always)]
pub(crate) fn inline() -> usize {
    0
}

#[cfg(not(feature = "std"))]
#[inline(always)]
pub(crate) fn inline_offset() -> usize {
    0
}

#[cfg(not(feature = "std"))]
pub(crate) fn current_or_acquire() -> usize {
    0
}
