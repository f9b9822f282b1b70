//! Where the slots of each thread number are.
//!
//! The hot path knows the *near* numbers alone: a pool of one class of blocks has their slots in itself, one to a line of
//! cache; a pool of several has a pointer to those of each. The slots of the others, which are *far*, are found on the cold
//! path, in lists by the remainder of the number: so a pool has room for as many as there are, and is small.

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

/// # Invariants
///
/// * The slots of number zero are vacant: they are never written to.
/// * Every pointer of a near number points to [`VACANT`], or to slots of that number, one for each class, which stay as long
///   as the table is borrowed. So do those in the lists, which are linked through the [`Header`]s before them, and of
///   which none is of a near number, of another remainder, or of the same number as another one.
pub(super) struct ThreadTable<S: ClassMap> {
    inline: ByClassCount<S, [CachePadded<ThreadMagazines>; INLINE], [AtomicPtr<ThreadMagazines>; INLINE]>,
    indirect: [AtomicPtr<ThreadMagazines>; LISTS],
    /// Nothing, but for model checkers.
    pub(super) use_probe: UseProbe,
}

/// How many lists there are.
const LISTS: usize = INLINE;

/// What lies before slots that are not in the table.
struct Header {
    thread: usize,
    /// How many slots there are.
    classes: usize,
    /// The next ones in the list; [`NONE`] at its end.
    next: *mut ThreadMagazines,
}

/// In the child of a fork, threads have left their slots as they were, in the midst of a change perhaps.
impl<S: ClassMap> AtFork for ThreadTable<S> {
    unsafe fn child(&self) {
        // SAFETY: the caller is alone.
        unsafe { self.reset_all_but(thread_index::current()) };
    }
}

/// The slots, one for each class, of numbers that have none.
const NONE: *mut ThreadMagazines = (&raw const VACANT).cast::<ThreadMagazines>().cast_mut();

/// Slots of different threads do not share a cache line, nor the one that is fetched along with it.
const ALIGN: usize = cache_padded::BYTES;

/// A place is told in lines, by whoever does not know slots.
const _: () = assert!(size_of::<CachePadded<ThreadMagazines>>() == cache_padded::BYTES);

/// The layout of the slots of a number, for so many classes, and of what lies before them.
pub(super) const fn layout_for(classes: usize) -> Layout {
    match Layout::from_size_align(size_of::<Header>() + classes * size_of::<ThreadMagazines>(), ALIGN) {
        Ok(layout) => layout.pad_to_align(),
        // Never: there are few classes.
        Err(_) => Layout::new::<CachePadded<ThreadMagazines>>(),
    }
}

/// # Safety
///
/// The slots were made by [`make`].
unsafe fn header(caches: *mut ThreadMagazines) -> *mut Header {
    caches.cast::<Header>().wrapping_sub(1)
}

/// Makes slots of a number, for so many classes, in memory for them.
///
/// # Safety
///
/// The memory is the caller's, of the layout that [`layout_for`] says.
pub(super) unsafe fn make(memory: NonNull<u8>, thread: usize, classes: usize) -> NonNull<ThreadMagazines> {
    // SAFETY: the memory has room for a header and for so many slots, and is as aligned.
    unsafe {
        let header = memory.cast::<Header>();
        header.write(Header { thread, classes, next: NONE });
        let caches = header.add(1).cast::<ThreadMagazines>();
        (0..classes).for_each(|class| caches.add(class).write(ThreadMagazines::new()));
        caches
    }
}

/// Where the memory of slots begins.
///
/// # Safety
///
/// They were made by [`make`].
pub(super) unsafe fn memory_of(caches: NonNull<ThreadMagazines>) -> NonNull<u8> {
    // SAFETY: a header lies before them, at the start.
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

    /// The slot of this thread for a class of blocks. A vacant one, if it has none, or if it takes longer to find.
    ///
    /// # Safety
    ///
    /// The class is one of the class map's.
    #[inline(always)]
    pub(super) unsafe fn of_thread(&self, class: usize) -> &ThreadMagazines {
        // SAFETY: the place of a near number is below what there is, and so is the class, as the caller says. (Relaxed: it
        // was this thread that put the slots there, or a former holder of the number, which is handed over with Acquire.)
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

    /// The slots of a number, one for each class: vacant ones, if it has none.
    pub(super) fn of(&self, thread: usize) -> &[ThreadMagazines] {
        self.use_probe.touch(thread);
        self.get(thread).unwrap_or(&VACANT)
    }

    /// The slots of a number, one for each class, if it has any.
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
        // SAFETY: these are the number's slots, which stay while the table is borrowed, and a header lies before them.
        (caches != NONE).then(|| unsafe { slice::from_raw_parts(caches, (*header(caches)).classes) })
    }

    /// The slots of a number in a list.
    fn find(mut caches: *mut ThreadMagazines, thread: usize) -> *mut ThreadMagazines {
        while caches != NONE {
            // SAFETY: slots in a list stay as long as the table is borrowed, and are not linked anew meanwhile.
            let header = unsafe { &*header(caches) };
            if header.thread == thread {
                break;
            }
            caches = header.next;
        }
        caches
    }

    /// The slot of a number for a class of blocks, if it has magazines.
    pub(super) fn ready(&self, thread: usize, class: usize) -> Option<&ThreadMagazines> {
        self.get(thread)?.get(class).filter(|cache| cache.is_ready())
    }

    /// Whether anything may be in the slots of a number, which may be somebody's.
    pub(super) fn is_used(&self, thread: usize) -> bool {
        self.get(thread).is_some_and(|caches| S::CLASSES > 1 || caches.iter().any(ThreadMagazines::is_ready))
    }

    /// Gives a number, which has none in the table itself, its slots; false if it has some.
    ///
    /// # Safety
    ///
    /// They were [made](make) for this number, and stay until they are taken away.
    pub(super) unsafe fn give(&self, thread: usize, caches: NonNull<ThreadMagazines>) -> bool {
        let place =
            if thread < INLINE { &self.inline.several()[thread] } else { &self.indirect[thread % LISTS] };
        loop {
            let first = place.load(Ordering::Acquire);
            if Self::find(first, thread) != NONE {
                return false;
            }
            // SAFETY: nobody else knows these slots so far, and a header lies before them.
            unsafe { (*header(caches.as_ptr())).next = first };
            // Release: others look into slots that are not theirs, for statistics, and go through lists.
            if place.compare_exchange(first, caches.as_ptr(), Ordering::Release, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
    }

    /// Takes the slots of a number away: the number has none from now on. Those that are not in the table are returned.
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
        // SAFETY: the slots are in this list, which nobody else uses; a header lies before each.
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

    /// Forgets the slots of all numbers but this one, without a look at what is in them: who was using them is gone.
    ///
    /// # Safety
    ///
    /// Nobody else uses the table.
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
                // SAFETY: a header lies before the slots, and nobody else uses the list.
                unsafe { (*header(kept)).next = NONE };
            }
            list.store(kept, Ordering::Relaxed);
        }
    }

    /// Looks at every pointer, as model checkers ask for.
    #[cfg(all(test, any(loom, shuttle)))]
    pub(super) fn touch(&self) {
        let inline: &[_] = if S::CLASSES == 1 { &[] } else { self.inline.several() };
        for place in inline.iter().chain(&self.indirect) {
            let _ = place.load(Ordering::Relaxed);
        }
    }
}
