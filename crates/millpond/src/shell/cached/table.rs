//! The slots of each thread index.
//!
//! The hot path knows only the *inline* indices: a pool with one size class has their slots in itself, one per cache
//! line; a pool with several has a pointer to the slots of each. The slots of the other, *indirect* indices are found
//! on the cold path, in lists by the remainder of the index. A pool therefore supports all indices and stays small.

use core::{alloc::Layout, ptr::NonNull, slice};

use super::{
    by_class_count::ByClassCount,
    thread_magazines::{ThreadMagazines, VACANT},
};
use crate::{
    base::atomic::{AtomicPtr, Ordering},
    pool::ClassMap,
    sync::{
        cache_padded::{self, CachePadded},
        thread_index::{self, INLINE, UseProbe},
    },
    traits::AtFork,
};

/// The slots of all thread indices.
///
/// # Invariants
///
/// * The slots of index zero are vacant: they are never written to.
/// * Every pointer of an inline index points to [`VACANT`], or to slots of that index, one per class, which stay valid
///   as long as the table is borrowed. The same holds for the slots in the lists, which are linked through the
///   [`Header`]s in front of them. None of those is of an inline index, of another remainder, or of the same index as
///   another one.
pub(super) struct ThreadTable<S: ClassMap> {
    inline: ByClassCount<S, [CachePadded<ThreadMagazines>; INLINE], [AtomicPtr<ThreadMagazines>; INLINE]>,
    indirect: [AtomicPtr<ThreadMagazines>; LISTS],
    /// Empty, except for model checkers.
    pub(super) use_probe: UseProbe,
}

/// Number of lists.
const LISTS: usize = INLINE;

/// The header in front of slots that are not in the table.
struct Header {
    thread: usize,
    /// Number of slots.
    classes: usize,
    /// The next slots in the list; [`NONE`] at its end.
    next: *mut ThreadMagazines,
}

/// In the child of a fork, other threads have left their slots as they were, possibly in the middle of a change.
// SAFETY: there are no parts, and nothing is locked.
unsafe impl<S: ClassMap> AtFork for ThreadTable<S> {
    unsafe fn child(&self) {
        // SAFETY: the caller is the only thread.
        unsafe { self.reset_all_but(thread_index::current()) };
    }
}

/// The slots, one per class, of thread indices that have none.
const NONE: *mut ThreadMagazines = (&raw const VACANT).cast::<ThreadMagazines>().cast_mut();

/// Slots of different threads do not share a cache line, nor the adjacent line that is prefetched along with it.
const ALIGN: usize = cache_padded::BYTES;

/// Offsets are computed in units of cache lines by code that does not know slots.
const _: () = assert!(size_of::<CachePadded<ThreadMagazines>>() == cache_padded::BYTES);

/// Returns the layout of the slots of a thread index for this number of classes, including the header in front of them.
pub(super) const fn layout_for(classes: usize) -> Layout {
    match Layout::from_size_align(size_of::<Header>() + classes * size_of::<ThreadMagazines>(), ALIGN) {
        Ok(layout) => layout.pad_to_align(),
        // Unreachable: there are few classes.
        Err(_) => Layout::new::<CachePadded<ThreadMagazines>>(),
    }
}

/// Returns the header in front of slots.
///
/// # Safety
///
/// The slots were created by [`make`].
unsafe fn header(caches: *mut ThreadMagazines) -> *mut Header {
    caches.cast::<Header>().wrapping_sub(1)
}

/// Creates the slots of a thread index for this number of classes.
///
/// # Safety
///
/// The memory is the caller's, and has the layout returned by [`layout_for`].
pub(super) unsafe fn make(memory: NonNull<u8>, thread: usize, classes: usize) -> NonNull<ThreadMagazines> {
    // SAFETY: the memory has room for a header and this number of slots, and is aligned for them.
    unsafe {
        let header = memory.cast::<Header>();
        header.write(Header { thread, classes, next: NONE });
        let caches = header.add(1).cast::<ThreadMagazines>();
        (0..classes).for_each(|class| caches.add(class).write(ThreadMagazines::new()));
        caches
    }
}

/// Returns the start of the memory of slots.
///
/// # Safety
///
/// The slots were created by [`make`].
pub(super) unsafe fn memory_of(caches: NonNull<ThreadMagazines>) -> NonNull<u8> {
    // SAFETY: a header precedes them, at the start of the memory.
    unsafe { caches.cast::<Header>().sub(1).cast() }
}

impl<S: ClassMap> ThreadTable<S> {
    pub(super) const fn new() -> Self {
        const { assert!(S::CLASSES <= VACANT.len(), "a pool that is cached has at most 65 classes of blocks") };
        Self {
            inline: ByClassCount::new(
                [const { CachePadded(ThreadMagazines::new()) }; INLINE],
                [const { AtomicPtr::new(NONE) }; INLINE],
            ),
            indirect: [const { AtomicPtr::new(NONE) }; LISTS],
            use_probe: UseProbe::new(),
        }
    }

    /// Returns the current thread's slot for a size class, or a vacant one if it has none or if its index is indirect.
    ///
    /// # Safety
    ///
    /// The class is one of the class map's.
    #[inline(always)]
    pub(super) unsafe fn of_thread(&self, class: usize) -> &ThreadMagazines {
        // SAFETY: an inline index is within bounds, and so is the class, as the caller guarantees. (Relaxed: the slots
        // were stored by this thread, or by a former holder of the index, which is handed over with Acquire.)
        unsafe {
            if S::CLASSES == 1 {
                let place = thread_index::inline_offset();
                self.use_probe.touch(place / cache_padded::BYTES);
                &(*self.inline.one().as_ptr().byte_add(place)).0
            } else {
                let thread = thread_index::inline();
                self.use_probe.touch(thread);
                &*self.inline.several().get_unchecked(thread).load(Ordering::Relaxed).add(class)
            }
        }
    }

    /// Returns the slots of a thread index, one per class: vacant ones if it has none.
    pub(super) fn of(&self, thread: usize) -> &[ThreadMagazines] {
        self.use_probe.touch(thread);
        self.get(thread).unwrap_or(&VACANT)
    }

    /// Returns the slots of a thread index, one per class, if it has any.
    pub(super) fn get(&self, thread: usize) -> Option<&[ThreadMagazines]> {
        if thread == 0 {
            return None;
        }
        let caches = if thread >= INLINE {
            // Acquire: see `give`.
            Self::find(self.indirect[thread % LISTS].load(Ordering::Acquire), thread)
        } else if S::CLASSES == 1 {
            return Some(slice::from_ref(&self.inline.one()[thread].0));
        } else {
            self.inline.several()[thread].load(Ordering::Acquire)
        };
        // SAFETY: these are the slots of the index, which stay valid while the table is borrowed, and a header precedes
        // them.
        (caches != NONE).then(|| unsafe { slice::from_raw_parts(caches, (*header(caches)).classes) })
    }

    /// Finds the slots of a thread index in a list.
    fn find(mut caches: *mut ThreadMagazines, thread: usize) -> *mut ThreadMagazines {
        while caches != NONE {
            // SAFETY: slots in a list stay valid as long as the table is borrowed, and are not relinked meanwhile.
            let header = unsafe { &*header(caches) };
            if header.thread == thread {
                break;
            }
            caches = header.next;
        }
        caches
    }

    /// Returns the slot of a thread index for a size class, if it has magazines.
    pub(super) fn ready(&self, thread: usize, class: usize) -> Option<&ThreadMagazines> {
        self.get(thread)?.get(class).filter(|cache| cache.is_ready())
    }

    /// Returns whether the slots of a thread index, which may be in use, may hold anything.
    pub(super) fn is_used(&self, thread: usize) -> bool {
        self.get(thread).is_some_and(|caches| S::CLASSES > 1 || caches.iter().any(ThreadMagazines::is_ready))
    }

    /// Stores the slots of a thread index; returns `false` if it already has some.
    ///
    /// # Safety
    ///
    /// The slots were [created](make) for this index, and stay valid until they are taken.
    pub(super) unsafe fn give(&self, thread: usize, caches: NonNull<ThreadMagazines>) -> bool {
        let place =
            if thread < INLINE { &self.inline.several()[thread] } else { &self.indirect[thread % LISTS] };
        loop {
            let first = place.load(Ordering::Acquire);
            if Self::find(first, thread) != NONE {
                return false;
            }
            // SAFETY: no other thread knows these slots yet, and a header precedes them.
            unsafe { (*header(caches.as_ptr())).next = first };
            // Release: other threads read slots that are not theirs, for statistics, and traverse the lists.
            if place.compare_exchange(first, caches.as_ptr(), Ordering::Release, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
    }

    /// Removes the slots of a thread index. Returns those that are not in the table.
    pub(super) fn take(&mut self, thread: usize) -> Option<NonNull<ThreadMagazines>> {
        if thread < INLINE && S::CLASSES == 1 {
            self.inline.one_mut()[thread].0 = ThreadMagazines::new();
            return None;
        }
        let place = if thread < INLINE {
            &mut self.inline.several_mut()[thread]
        } else {
            &mut self.indirect[thread % LISTS]
        };
        let first = place.load(Ordering::Relaxed);
        let caches = Self::find(first, thread);
        if caches == NONE {
            return None;
        }
        // SAFETY: the slots are in this list, which no other thread uses; a header precedes each.
        unsafe {
            let next = (*header(caches)).next;
            if first == caches {
                place.store(next, Ordering::Relaxed);
            } else {
                let mut before = first;
                while (*header(before)).next != caches {
                    before = (*header(before)).next;
                }
                (*header(before)).next = next;
            }
        }
        NonNull::new(caches)
    }

    /// Removes the slots of all thread indices except this one, without reading them: the threads that used them do not
    /// exist.
    ///
    /// # Safety
    ///
    /// No other thread uses the table.
    unsafe fn reset_all_but(&self, thread: usize) {
        for gone in (1..INLINE).filter(|&gone| gone != thread) {
            if S::CLASSES == 1 {
                self.inline.one()[gone].0.reset();
            } else {
                self.inline.several()[gone].store(NONE, Ordering::Relaxed);
            }
        }
        for list in &self.indirect {
            let kept = Self::find(list.load(Ordering::Relaxed), thread);
            if kept != NONE {
                // SAFETY: a header precedes the slots, and no other thread uses the list.
                unsafe { (*header(kept)).next = NONE };
            }
            list.store(kept, Ordering::Relaxed);
        }
    }

    /// Touches every pointer, as model checkers require.
    #[cfg(all(test, any(loom, shuttle)))]
    pub(super) fn touch(&self) {
        let inline: &[_] = if S::CLASSES == 1 { &[] } else { self.inline.several() };
        for place in inline.iter().chain(&self.indirect) {
            let _ = place.load(Ordering::Relaxed);
        }
    }
}
