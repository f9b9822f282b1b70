//! Where the slots of each thread number are.
//!
//! A pool of one kind of blocks has the slots of the first numbers in itself, one to a line of cache: the hot path has two
//! loads less to make. All other slots are found by a pointer for each number; in a pool of one kind that is done on the cold
//! path alone.

use core::{marker::PhantomData, ptr::NonNull, slice};

use super::{
    numbers::{self, NEAR, NUMBERS, Uses},
    slot::{Slot, VACANT},
};
use crate::{
    base::atomic::{AtomicPtr, Ordering},
    contract::AtFork,
    pool::Sorter,
    share::line::{self, Line},
};

/// # Invariants
///
/// * `near[0]` is vacant: it is never written to. In a pool of several kinds all of `near` is.
/// * `far[number]` points to [`VACANT`], or to slots of that number, one for each kind, which stay as long as the table is
///   borrowed.
pub(super) struct Table<S> {
    near: [Line<Slot>; NEAR],
    far: [AtomicPtr<Slot>; NUMBERS],
    /// Nothing, but for model checkers.
    pub(super) uses: Uses,
    sorter: PhantomData<fn() -> S>,
}

/// In the child of a fork, threads have left their slots as they were, in the midst of a change perhaps.
impl<S: Sorter> AtFork for Table<S> {
    unsafe fn child(&self) {
        // SAFETY: the caller is alone.
        unsafe { self.forget_all_but(numbers::current()) };
    }
}

/// The slots, one for each kind, of numbers that have none.
const NONE: *mut Slot = (&raw const VACANT).cast::<Slot>().cast_mut();

/// A place is told in lines, by whoever does not know slots.
const _: () = assert!(size_of::<Line<Slot>>() == line::BYTES);

impl<S: Sorter> Table<S> {
    pub(super) const fn new() -> Self {
        Self {
            near: [const { Line(Slot::new()) }; NEAR],
            far: [const { AtomicPtr::new(NONE) }; NUMBERS],
            uses: Uses::new(),
            sorter: PhantomData,
        }
    }

    const fn is_near(number: usize) -> bool {
        S::KINDS == 1 && number < NEAR
    }

    /// The slot of this thread for a kind of blocks. A vacant one, if it has none, or if it takes longer to find.
    ///
    /// # Safety
    ///
    /// The kind is one of the sorter's.
    #[inline(always)]
    pub(super) unsafe fn of_thread(&self, kind: usize) -> &Slot {
        // SAFETY: a thread's number and its place are below what there is, and so is the kind, as the caller says. (Relaxed:
        // it was this thread that put the slots there, or a former holder of the number, which is handed over with Acquire.)
        unsafe {
            if S::KINDS == 1 {
                let place = numbers::near();
                self.uses.note(place / line::BYTES);
                &(*self.near.as_ptr().byte_add(place)).0
            } else {
                let number = numbers::current();
                self.uses.note(number);
                &*self.far.get_unchecked(number).load(Ordering::Relaxed).add(kind)
            }
        }
    }

    /// The slots of a number, one for each kind: vacant ones, if it has none.
    pub(super) fn of(&self, number: usize) -> &[Slot] {
        self.uses.note(number);
        self.get(number).unwrap_or(&VACANT)
    }

    /// The slots of a number, one for each kind, if it has any.
    pub(super) fn get(&self, number: usize) -> Option<&[Slot]> {
        if number == 0 {
            None
        } else if Self::is_near(number) {
            Some(slice::from_ref(&self.near[number].0))
        } else {
            let slots = self.far[number].load(Ordering::Acquire);
            // SAFETY: these are the number's slots, which stay while the table is borrowed.
            (slots != NONE).then(|| unsafe { slice::from_raw_parts(slots, S::KINDS) })
        }
    }

    /// The slot of a number for a kind of blocks, if it has magazines.
    pub(super) fn ready(&self, number: usize, kind: usize) -> Option<&Slot> {
        self.get(number)?.get(kind).filter(|slot| slot.is_ready())
    }

    /// Whether anything may be in the slots of a number, which may be somebody's.
    pub(super) fn is_used(&self, number: usize) -> bool {
        self.get(number).is_some_and(|slots| S::KINDS > 1 || slots.iter().any(Slot::is_ready))
    }

    /// Gives a number, which is far, its slots; false if it has some.
    ///
    /// # Safety
    ///
    /// So many slots are there, and stay until they are taken away.
    pub(super) unsafe fn give(&self, number: usize, slots: NonNull<Slot>) -> bool {
        // Release: statistics look into slots that are not theirs.
        self.far[number].compare_exchange(NONE, slots.as_ptr(), Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Takes the slots of a number away: the number has none from now on. Those that are not in the table are returned.
    pub(super) fn take(&mut self, number: usize) -> Option<NonNull<Slot>> {
        if Self::is_near(number) {
            self.near[number].0 = Slot::new();
            return None;
        }
        let place = core::mem::replace(&mut self.far[number], AtomicPtr::new(NONE));
        NonNull::new(place.load(Ordering::Relaxed)).filter(|slots| slots.as_ptr() != NONE)
    }

    /// Forgets the slots of all numbers but this one, without a look at what is in them: who was using them is gone.
    ///
    /// # Safety
    ///
    /// Nobody else uses the table.
    unsafe fn forget_all_but(&self, number: usize) {
        for gone in (1..NUMBERS).filter(|&gone| gone != number) {
            if Self::is_near(gone) {
                self.near[gone].0.forget();
            } else {
                self.far[gone].store(NONE, Ordering::Relaxed);
            }
        }
    }

    /// Looks at every pointer, as model checkers ask for.
    #[cfg(all(test, any(loom, shuttle)))]
    pub(super) fn touch(&self) {
        for place in &self.far {
            let _ = place.load(Ordering::Relaxed);
        }
    }
}
