//! Thread indices: small numbers that are held for as long as a thread (or a handle) lives and reused by later threads.
//!
//! The holder of an index owns the slot of that index in every pool and its free lists in every collection. Returning
//! an index is a Release and acquiring one an Acquire: the next holder sees everything that the last one did, and
//! inherits what it left.
//!
//! Acquiring an index costs O(words), returning one O(1); both are lock-free.

use core::marker::PhantomData;

use super::ordering::{Correct, Orderings};
use crate::base::atomic::{AtomicUsize, Ordering, UnsafeCell};

/// Number of indices, including zero, which is never handed out: it means that a thread has none.
pub(crate) const MAX_THREADS: usize = if cfg!(all(test, any(loom, shuttle))) {
    4
} else if cfg!(feature = "std") {
    1024
} else {
    64
};

/// Number of inline indices, including zero: see `ThreadTable`.
pub(crate) const INLINE: usize = if cfg!(all(test, any(loom, shuttle))) { 2 } else { 32 };

const BITS: usize = usize::BITS as usize;

/// The set of indices in use, one bit each. (`T` provides the orderings, which models weaken.)
pub(crate) struct ThreadIndices<T = Correct> {
    words: [AtomicUsize; MAX_THREADS.div_ceil(BITS)],
    orderings: PhantomData<fn() -> T>,
}

#[cfg(not(all(test, any(loom, shuttle))))]
static IN_USE: ThreadIndices = ThreadIndices::new();

// New in each run of a model.
#[cfg(all(test, any(loom, shuttle)))]
crate::base::atomic::lazy_static! {
    static ref IN_USE: ThreadIndices = ThreadIndices::new();
}

impl<T: Orderings> ThreadIndices<T> {
    pub(crate) const fn new() -> Self {
        Self { words: [const { AtomicUsize::new(0) }; MAX_THREADS.div_ceil(BITS)], orderings: PhantomData }
    }

    /// Takes an index if it is not in use.
    fn try_acquire(&self, index: usize) -> bool {
        let bit = 1 << (index % BITS);
        self.words[index / BITS].fetch_or(bit, T::ACQUIRE) & bit == 0
    }

    /// Takes the lowest index that is not in use.
    pub(crate) fn acquire(&self) -> Option<usize> {
        self.words.iter().enumerate().find_map(|(place, word)| {
            loop {
                // Index zero is never handed out.
                let in_use = word.load(Ordering::Relaxed) | usize::from(place == 0);
                let index = place * BITS + in_use.trailing_ones() as usize;
                if index >= MAX_THREADS.min((place + 1) * BITS) {
                    return None;
                }
                if self.try_acquire(index) {
                    return Some(index);
                }
            }
        })
    }

    pub(crate) fn release(&self, index: usize) {
        self.words[index / BITS].fetch_and(!(1 << (index % BITS)), T::RELEASE);
    }
}

/// An index in use. Dropping it returns the index.
pub(crate) struct ThreadIndex(usize);

impl ThreadIndex {
    /// Acquires the lowest index not in use; returns `None` if all are.
    pub(crate) fn acquire() -> Option<Self> {
        IN_USE.acquire().map(Self)
    }

    /// Acquires this index, unless it is in use.
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

/// Empty cells by index, which loom sees accessed whenever the slot of that index is. Loom therefore detects when two
/// threads use one slot.
pub(crate) struct UseProbe([UnsafeCell<()>; MAX_THREADS]);

// SAFETY: the cells are empty.
unsafe impl Sync for UseProbe {}

impl UseProbe {
    pub(crate) const fn new() -> Self {
        Self([const { UnsafeCell::new(()) }; MAX_THREADS])
    }

    /// Records that the slot of this index is used. (Every thread may use that of index zero, which is vacant.)
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
    use crate::sync::cache_padded;

    #[cfg(not(all(test, any(loom, shuttle))))]
    std::thread_local! {
        static CURRENT: Current = const { Current::none() };
        static LEASE: Lease = const { Lease(Cell::new(None)) };
    }

    #[cfg(all(test, any(loom, shuttle)))]
    crate::base::atomic::thread_local! {
        static CURRENT: Current = Current::none();
        static LEASE: Lease = Lease(Cell::new(None));
    }

    /// The index of a thread. It needs no drop, so it can be read as long as the thread lives.
    struct Current {
        /// The index, or zero.
        index: Cell<usize>,
        /// The index if it is inline, else zero.
        inline: Cell<usize>,
        /// The same, multiplied by the distance in bytes between inline slots.
        inline_offset: Cell<usize>,
        /// Whether the thread is acquiring an index. To register a destructor for the thread's end, the standard
        /// library may allocate; if the pool is the program's own allocator, the call arrives here again.
        acquiring: Cell<bool>,
    }

    impl Current {
        const fn none() -> Self {
            Self {
                index: Cell::new(0),
                inline: Cell::new(0),
                inline_offset: Cell::new(0),
                acquiring: Cell::new(false),
            }
        }
    }

    /// What returns the index at the end of the thread. Accessed only when an index is acquired: a variable that needs
    /// drop is slower to access.
    struct Lease(Cell<Option<ThreadIndex>>);

    impl Drop for Lease {
        fn drop(&mut self) {
            // Before the index is returned: from now on this thread has no slots.
            set_current(0);
        }
    }

    /// Sets the current thread's index.
    fn set_current(index: usize) {
        let inline = if index < INLINE { index } else { 0 };
        let _ = CURRENT.try_with(|current| {
            current.index.set(index);
            current.inline.set(inline);
            current.inline_offset.set(inline * cache_padded::BYTES);
        });
    }

    /// Returns the index of the current thread if it is inline, else zero.
    #[inline(always)]
    pub(crate) fn inline() -> usize {
        CURRENT.with(|current| current.inline.get())
    }

    /// Returns the offset in bytes of the current thread's slot from the first inline slot: that of index zero if its
    /// index is not inline.
    #[inline(always)]
    pub(crate) fn inline_offset() -> usize {
        CURRENT.with(|current| current.inline_offset.get())
    }

    /// Returns the index of the current thread; zero if it has none.
    #[inline(always)]
    pub(crate) fn current() -> usize {
        CURRENT.with(|current| current.index.get())
    }

    /// Returns the index of the current thread, which acquires one if it has none. Returns zero if all are in use,
    /// while the thread is acquiring one, and after the thread's lease has been dropped at its end.
    pub(crate) fn current_or_acquire() -> usize {
        if current() == 0 && !CURRENT.with(|current| current.acquiring.replace(true)) {
            let _ = LEASE.try_with(|lease| {
                let index = ThreadIndex::acquire();
                set_current(index.as_ref().map_or(0, ThreadIndex::get));
                lease.0.set(index);
            });
            CURRENT.with(|current| current.acquiring.set(false));
        }
        current()
    }
}

/// Without an operating system, threads cannot be told apart.
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
