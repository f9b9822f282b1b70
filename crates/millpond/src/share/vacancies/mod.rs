//! The vacant slots of a collection that threads share: some for each thread, and all others behind a lock.
//!
//! Vacant slots are linked through themselves, in chains. A thread has a *shelf* in each collection that it uses, found by
//! the thread's number: a chain that it takes from and puts to, and a full one to spare. When both are empty (or full), it
//! visits the depot and exchanges a whole chain. So between two visits lie as many operations as a chain has slots, and
//! nothing else is shared: no lock, no atomic read-modify-write.
//!
//! * Take and put: O(1). One in [`FULL`] visits the depot, for a few instructions; slots that were never used are linked
//!   after that, outside of the lock, and few at first.
//! * Slots held back from other threads: two chains for each number that is leased or was. When the parent refuses, those of
//!   numbers that nobody has are taken.
//! * Memory: none for chains; a line of 128 bytes for each shelf, from the parent. Where there is none, and where threads
//!   have no numbers, slots come from the depot one by one.
//!
//! Source: Bonwick and Adams, "Magazines and Vmem" (2001); the chains are their predecessors, "The Slab Allocator" (1994),
//! put in their place, since whoever vacates a slot has its memory at hand.

mod chain;
mod depot;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
mod shelves;

use core::ops::Range;

use lock_api::RawMutex;

pub(crate) use self::chain::Link;
use self::{
    chain::Chain,
    depot::{Depot, Given},
    shelves::Shelves,
};
use super::{
    growth::Growth,
    line::Line,
    numbers::{self, NUMBERS, Number},
    places::Place,
};
use crate::{
    base::{
        AllocError, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    traits::{Allocator, InvariantError, at_fork},
};

/// How many slots a full chain has.
pub(crate) const FULL: u32 = if cfg!(all(test, any(loom, shuttle))) { 2 } else { 32 };

/// Minus one.
const LESS: usize = usize::MAX;

/// Slots whose vacant ones are linked.
///
/// # Safety
///
/// A slot has a [`Link`] of its own, which nobody else touches while it is vacant.
pub(crate) unsafe trait Linked {
    /// What memory comes from.
    type Parent: Allocator;

    fn parent(&self) -> &Self::Parent;

    /// Where a slot's link is.
    ///
    /// # Safety
    ///
    /// The slot is there, as this thread knows, and is vacant, and the caller's.
    unsafe fn link(&self, place: Place) -> *mut Link;

    /// How many places a segment has that is there.
    fn length(&self, segment: usize) -> usize;

    /// Makes room for one more segment than `have`, all of which are there, unless another thread has.
    fn grow(&self, have: usize) -> Result<(), AllocError>;
}

/// Which slots of a collection are vacant, and how many are not.
///
/// # Invariants
///
/// Every slot below the depot's `used` that is not in somebody's hands is in one chain, of a shelf or of the depot.
pub(crate) struct Vacancies<L> {
    depot: Line<Mutex<L, Depot>>,
    shelves: Shelves,
    growth: Growth,
    /// What threads without a shelf have counted.
    live: AtomicUsize,
}

impl<L: RawMutex> Vacancies<L> {
    pub(crate) const fn new() -> Self {
        let depot = Line(Mutex::new(Depot::new()));
        Self { depot, shelves: Shelves::new(), growth: Growth::new(), live: AtomicUsize::new(0) }
    }

    /// The first place that was in nobody's hands yet.
    pub(crate) fn used(&self) -> Place {
        self.depot.0.lock().used()
    }

    /// How many slots count as filled. While other threads are at work, that of a moment that may never have been.
    pub(crate) fn live(&self) -> usize {
        let shelved = self.shelves.iter().fold(0, |sum: usize, shelf| sum.wrapping_add(shelf.live()));
        // A slot that is filled by one thread and vacated by another may count once only, if that happens meanwhile.
        shelved.wrapping_add(self.live.load(Ordering::Relaxed)).cast_signed().max(0).cast_unsigned()
    }

    /// Where the shelves lie: addresses.
    pub(crate) fn memory(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        self.shelves.memory()
    }

    /// Verifies what the depot has, of which every slot has to be vacant, as `is_vacant` says.
    ///
    /// # Errors
    ///
    /// The first invariant found broken.
    pub(crate) fn check(
        &self,
        slots: &impl Linked,
        is_vacant: impl Fn(Place) -> bool,
    ) -> Result<(), InvariantError> {
        self.depot.0.lock().check(slots, is_vacant)
    }

    /// Counts a slot less, before it is put back.
    pub(crate) fn discount(&self) {
        match self.shelves.of_thread() {
            Some(shelf) => shelf.count(LESS),
            None => self.count(LESS),
        }
    }

    /// Counts for a thread without a shelf.
    fn count(&self, change: usize) {
        self.live.fetch_add(change, Ordering::Relaxed);
    }

    /// Takes a slot that is vacant, and counts it. The collection grows if there is none.
    ///
    /// # Errors
    ///
    /// What the parent says.
    #[inline]
    pub(crate) fn take(&self, slots: &impl Linked) -> Result<Place, AllocError> {
        // SAFETY: the shelf is this thread's.
        let place = unsafe { self.shelves.of_thread().and_then(|shelf| shelf.take(slots)) };
        place.map_or_else(|| self.take_cold(slots), Ok)
    }

    /// Puts a slot back, and counts it less if that was not done before.
    ///
    /// # Safety
    ///
    /// The slot is there, as this thread knows, and is vacant, and the caller's, and of this collection.
    #[inline]
    pub(crate) unsafe fn put(&self, slots: &impl Linked, place: Place, is_counted: bool) {
        let change = if is_counted { LESS } else { 0 };
        // SAFETY: the shelf is this thread's, and the caller's promise.
        unsafe {
            if !self.shelves.of_thread().is_some_and(|shelf| shelf.put(slots, place, change)) {
                self.put_cold(slots, place, change);
            }
        }
    }

    /// Takes a slot when the shelf has none.
    #[cold]
    #[inline(never)]
    fn take_cold(&self, slots: &impl Linked) -> Result<Place, AllocError> {
        // SAFETY: the number is this thread's.
        unsafe { self.take_at(numbers::current_or_lease(), slots) }
    }

    /// Puts a slot back when the shelf has no room.
    ///
    /// # Safety
    ///
    /// As for [`put`](Self::put).
    #[cold]
    #[inline(never)]
    unsafe fn put_cold(&self, slots: &impl Linked, place: Place, change: usize) {
        // SAFETY: the number is this thread's, and the caller's promise.
        unsafe { self.put_at(numbers::current_or_lease(), slots, place, change) };
    }

    /// Takes a slot with this number.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or zero.
    unsafe fn take_at(&self, number: usize, slots: &impl Linked) -> Result<Place, AllocError> {
        // SAFETY: the number is the caller's, hence its shelf; the slots that come are its own.
        unsafe {
            let Some(shelf) = self.shelves.ensure(number, slots.parent()) else {
                let (place, _) = self.fetch(slots, 1)?;
                self.count(1);
                return Ok(place);
            };
            if let Some(place) = shelf.take(slots) {
                return Ok(place);
            }
            let (place, rest) = self.fetch(slots, shelf.next_fresh())?;
            shelf.count(1);
            // The parent may have called back, and then there is something on the shelf by now.
            if let Some(rest) = shelf.refill(rest) {
                self.depot.0.lock().put_all(slots, rest);
            }
            Ok(place)
        }
    }

    /// Puts a slot back with this number, and counts.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or zero, and the rest as for [`put`](Self::put).
    unsafe fn put_at(&self, number: usize, slots: &impl Linked, place: Place, change: usize) {
        // SAFETY: the number is the caller's, hence its shelf, and the caller's promise.
        unsafe {
            let Some(shelf) = self.shelves.ensure(number, slots.parent()) else {
                self.count(change);
                return self.depot.0.lock().put(slots, place);
            };
            if let Some(full) = shelf.make_room() {
                self.depot.0.lock().put_full(slots, full);
            }
            shelf.put(slots, place, change);
        }
    }

    /// Takes a slot, and others with it if more than one is wanted, from the depot or from the parent.
    fn fetch(&self, slots: &impl Linked, wanted: u32) -> Result<(Place, Chain), AllocError> {
        loop {
            // The lock is free again when that is known.
            let given = self.depot.0.lock().give(slots, wanted);
            let have = match given {
                Given::Vacated(place, rest) => return Ok((place, rest)),
                // SAFETY: the slots have just been given out.
                Given::Fresh(places) => return Ok(unsafe { Chain::of_fresh(slots, places) }),
                Given::NullAllocator { have } => have,
            };
            let turn = self.growth.begin();
            let grown = slots.grow(have);
            if grown.is_ok() {
                self.depot.0.lock().has_grown(have + 1);
            }
            let others_have_grown = self.growth.end(turn, grown.is_ok());
            // Others may have grown even before this thread began.
            let has_grown = grown.is_ok() || others_have_grown || self.depot.0.lock().room() > have;
            if let Err(error) = grown
                && !has_grown
                && !self.search(slots)
            {
                return Err(error);
            }
        }
    }

    /// Takes what is on the shelves of numbers that nobody has; says whether there was anything.
    fn search(&self, slots: &impl Linked) -> bool {
        let mut found = false;
        for number in 1..NUMBERS {
            // SAFETY: the number was nobody's, and is now this call's.
            unsafe {
                if self.shelves.get(number).is_some()
                    && let Some(number) = Number::claim(number)
                {
                    found |= self.clear(number.get(), slots);
                }
            }
        }
        found
    }

    /// Puts what is on the shelf of a number into the depot; says whether there was anything.
    ///
    /// # Safety
    ///
    /// The number is the caller's.
    unsafe fn clear(&self, number: usize, slots: &impl Linked) -> bool {
        // SAFETY: the number is the caller's, and so are the slots on its shelf.
        unsafe {
            let chains = self.shelves.get(number).into_iter().flat_map(|shelf| shelf.clear());
            chains.fold(false, |any, chain| self.depot.0.lock().put_all(slots, chain) | any)
        }
    }

    /// Returns the memory of the shelves.
    ///
    /// # Safety
    ///
    /// The parent is the one that it came from, and nobody takes or puts any more.
    pub(crate) unsafe fn free(&mut self, parent: &impl Allocator) {
        // SAFETY: the caller's promise.
        unsafe { self.shelves.free(parent) };
    }
}

at_fork!([L: RawMutex] Vacancies<L>: depot.0, growth);
