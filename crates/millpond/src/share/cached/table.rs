//! Where the slots of each thread number are.
//!
//! The hot path knows the *near* numbers alone: a pool of one class of blocks has their slots in itself, one to a line of
//! cache; a pool of several has a pointer to those of each. The slots of the others, which are *far*, are found on the cold
//! path, in lists by the remainder of the number: so a pool has room for as many as there are, and is small.

use core::{alloc::Layout, ptr::NonNull, slice};

use super::{
    by_class_count::ByClassCount,
    numbers::{self, NEAR, Uses},
    slot::{Slot, VACANT},
};
use crate::{
    base::atomic::{AtomicPtr, Ordering},
    pool::ClassMap,
    share::line::{self, Line},
    traits::AtFork,
};

/// # Invariants
///
/// * The slots of number zero are vacant: they are never written to.
/// * Every pointer of a near number points to [`VACANT`], or to slots of that number, one for each class, which stay as long
///   as the table is borrowed. So do those in the lists, which are linked through the [`Header`]s before them, and of
///   which none is of a near number, of another remainder, or of the same number as another one.
pub(super) struct Table<S: ClassMap> {
    near: ByClassCount<S, [Line<Slot>; NEAR], [AtomicPtr<Slot>; NEAR]>,
    far: [AtomicPtr<Slot>; LISTS],
    /// Nothing, but for model checkers.
    pub(super) uses: Uses,
}

/// How many lists there are.
const LISTS: usize = NEAR;

/// What lies before slots that are not in the table.
struct Header {
    number: usize,
    /// How many slots there are.
    classes: usize,
    /// The next ones in the list; [`NONE`] at its end.
    next: *mut Slot,
}

/// In the child of a fork, threads have left their slots as they were, in the midst of a change perhaps.
impl<S: ClassMap> AtFork for Table<S> {
    unsafe fn child(&self) {
        // SAFETY: the caller is alone.
        unsafe { self.forget_all_but(numbers::current()) };
    }
}

/// The slots, one for each class, of numbers that have none.
const NONE: *mut Slot = (&raw const VACANT).cast::<Slot>().cast_mut();

/// Slots of different threads do not share a cache line, nor the one that is fetched along with it.
const ALIGN: usize = line::BYTES;

/// A place is told in lines, by whoever does not know slots.
const _: () = assert!(size_of::<Line<Slot>>() == line::BYTES);

/// The layout of the slots of a number, for so many classes, and of what lies before them.
pub(super) const fn layout_for(classes: usize) -> Layout {
    match Layout::from_size_align(size_of::<Header>() + classes * size_of::<Slot>(), ALIGN) {
        Ok(layout) => layout.pad_to_align(),
        // Never: there are few classes.
        Err(_) => Layout::new::<Line<Slot>>(),
    }
}

/// # Safety
///
/// The slots were made by [`make`].
unsafe fn header(slots: *mut Slot) -> *mut Header {
    slots.cast::<Header>().wrapping_sub(1)
}

/// Makes slots of a number, for so many classes, in memory for them.
///
/// # Safety
///
/// The memory is the caller's, of the layout that [`layout_for`] says.
pub(super) unsafe fn make(memory: NonNull<u8>, number: usize, classes: usize) -> NonNull<Slot> {
    // SAFETY: the memory has room for a header and for so many slots, and is as aligned.
    unsafe {
        let header = memory.cast::<Header>();
        header.write(Header { number, classes, next: NONE });
        let slots = header.add(1).cast::<Slot>();
        (0..classes).for_each(|class| slots.add(class).write(Slot::new()));
        slots
    }
}

/// Where the memory of slots begins.
///
/// # Safety
///
/// They were made by [`make`].
pub(super) unsafe fn memory_of(slots: NonNull<Slot>) -> NonNull<u8> {
    // SAFETY: a header lies before them, at the start.
    unsafe { slots.cast::<Header>().sub(1).cast() }
}

impl<S: ClassMap> Table<S> {
    pub(super) const fn new() -> Self {
        const { assert!(S::CLASSES <= VACANT.len(), "a pool that is cached has at most 65 classes of blocks") };
        Self {
            near: ByClassCount::new(
                [const { Line(Slot::new()) }; NEAR],
                [const { AtomicPtr::new(NONE) }; NEAR],
            ),
            far: [const { AtomicPtr::new(NONE) }; LISTS],
            uses: Uses::new(),
        }
    }

    /// The slot of this thread for a class of blocks. A vacant one, if it has none, or if it takes longer to find.
    ///
    /// # Safety
    ///
    /// The class is one of the class map's.
    #[inline(always)]
    pub(super) unsafe fn of_thread(&self, class: usize) -> &Slot {
        // SAFETY: the place of a near number is below what there is, and so is the class, as the caller says. (Relaxed: it
        // was this thread that put the slots there, or a former holder of the number, which is handed over with Acquire.)
        unsafe {
            if S::CLASSES == 1 {
                let place = numbers::near_line();
                self.uses.note(place / line::BYTES);
                &(*self.near.one().as_ptr().byte_add(place)).0
            } else {
                let number = numbers::near();
                self.uses.note(number);
                &*self.near.several().get_unchecked(number).load(Ordering::Relaxed).add(class)
            }
        }
    }

    /// The slots of a number, one for each class: vacant ones, if it has none.
    pub(super) fn of(&self, number: usize) -> &[Slot] {
        self.uses.note(number);
        self.get(number).unwrap_or(&VACANT)
    }

    /// The slots of a number, one for each class, if it has any.
    pub(super) fn get(&self, number: usize) -> Option<&[Slot]> {
        if number == 0 {
            return None;
        }
        let slots = if number >= NEAR {
            // Acquire: see `give`.
            Self::find(self.far[number % LISTS].load(Ordering::Acquire), number)
        } else if S::CLASSES == 1 {
            return Some(slice::from_ref(&self.near.one()[number].0));
        } else {
            self.near.several()[number].load(Ordering::Acquire)
        };
        // SAFETY: these are the number's slots, which stay while the table is borrowed, and a header lies before them.
        (slots != NONE).then(|| unsafe { slice::from_raw_parts(slots, (*header(slots)).classes) })
    }

    /// The slots of a number in a list.
    fn find(mut slots: *mut Slot, number: usize) -> *mut Slot {
        while slots != NONE {
            // SAFETY: slots in a list stay as long as the table is borrowed, and are not linked anew meanwhile.
            let header = unsafe { &*header(slots) };
            if header.number == number {
                break;
            }
            slots = header.next;
        }
        slots
    }

    /// The slot of a number for a class of blocks, if it has magazines.
    pub(super) fn ready(&self, number: usize, class: usize) -> Option<&Slot> {
        self.get(number)?.get(class).filter(|slot| slot.is_ready())
    }

    /// Whether anything may be in the slots of a number, which may be somebody's.
    pub(super) fn is_used(&self, number: usize) -> bool {
        self.get(number).is_some_and(|slots| S::CLASSES > 1 || slots.iter().any(Slot::is_ready))
    }

    /// Gives a number, which has none in the table itself, its slots; false if it has some.
    ///
    /// # Safety
    ///
    /// They were [made](make) for this number, and stay until they are taken away.
    pub(super) unsafe fn give(&self, number: usize, slots: NonNull<Slot>) -> bool {
        let place = if number < NEAR { &self.near.several()[number] } else { &self.far[number % LISTS] };
        loop {
            let first = place.load(Ordering::Acquire);
            if Self::find(first, number) != NONE {
                return false;
            }
            // SAFETY: nobody else knows these slots so far, and a header lies before them.
            unsafe { (*header(slots.as_ptr())).next = first };
            // Release: others look into slots that are not theirs, for statistics, and go through lists.
            if place.compare_exchange(first, slots.as_ptr(), Ordering::Release, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
    }

    /// Takes the slots of a number away: the number has none from now on. Those that are not in the table are returned.
    pub(super) fn take(&mut self, number: usize) -> Option<NonNull<Slot>> {
        if number < NEAR && S::CLASSES == 1 {
            self.near.one_mut()[number].0 = Slot::new();
            return None;
        }
        let place =
            if number < NEAR { &mut self.near.several_mut()[number] } else { &mut self.far[number % LISTS] };
        let first = place.load(Ordering::Relaxed);
        let slots = Self::find(first, number);
        if slots == NONE {
            return None;
        }
        // SAFETY: the slots are in this list, which nobody else uses; a header lies before each.
        unsafe {
            let next = (*header(slots)).next;
            if first == slots {
                place.store(next, Ordering::Relaxed);
            } else {
                let mut before = first;
                while (*header(before)).next != slots {
                    before = (*header(before)).next;
                }
                (*header(before)).next = next;
            }
        }
        NonNull::new(slots)
    }

    /// Forgets the slots of all numbers but this one, without a look at what is in them: who was using them is gone.
    ///
    /// # Safety
    ///
    /// Nobody else uses the table.
    unsafe fn forget_all_but(&self, number: usize) {
        for gone in (1..NEAR).filter(|&gone| gone != number) {
            if S::CLASSES == 1 {
                self.near.one()[gone].0.forget();
            } else {
                self.near.several()[gone].store(NONE, Ordering::Relaxed);
            }
        }
        for list in &self.far {
            let kept = Self::find(list.load(Ordering::Relaxed), number);
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
        let near: &[_] = if S::CLASSES == 1 { &[] } else { self.near.several() };
        for place in near.iter().chain(&self.far) {
            let _ = place.load(Ordering::Relaxed);
        }
    }
}
