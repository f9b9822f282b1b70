//! The vacant slots that are on no thread's shelf.

use super::{
    FULL, Linked,
    chain::{Chain, NONE},
};
use crate::{share::places::Place, traits::InvariantError};

/// # Invariants
///
/// * From `full` on there are full chains, the first slot of each linked to that of the next.
/// * Places from `used` on were never given out.
/// * `room` segments have come.
pub(super) struct Depot {
    full: u32,
    /// Those that came one by one: fewer than a full chain has.
    loose: Chain,
    used: Place,
    room: usize,
}

/// What the depot has given out.
pub(super) enum Given {
    /// A slot that was vacated, and others.
    Vacated(Place, Chain),
    /// So many slots that were never used, in one segment.
    Fresh((Place, u32)),
    /// Nothing: there is no more than in so many segments.
    NullAllocator { have: usize },
}

impl Depot {
    pub(super) const fn new() -> Self {
        Self { full: NONE, loose: Chain::EMPTY, used: Place::ZERO, room: 0 }
    }

    pub(super) fn used(&self) -> Place {
        self.used
    }

    /// How many segments have come.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    pub(super) fn has_grown(&mut self, room: usize) {
        self.room = self.room.max(room);
    }

    /// A slot, and others with it if more than one is wanted: what is at hand, or so many that were never used.
    pub(super) fn give(&mut self, slots: &impl Linked, wanted: u32) -> Given {
        // SAFETY: the depot's chains are of these slots.
        unsafe {
            let mut chain = core::mem::replace(&mut self.loose, Chain::EMPTY);
            if chain.is_empty() && self.full != NONE {
                chain = Chain::full(self.full);
                self.full = (*slots.link(Place::known(self.full))).chain;
            }
            if let Some(place) = chain.take(slots) {
                if wanted == 1 {
                    core::mem::swap(&mut self.loose, &mut chain);
                }
                return Given::Vacated(place, chain);
            }
        }
        let (segment, first) = (self.used.segment(), self.used);
        if segment >= self.room {
            return Given::NullAllocator { have: self.room };
        }
        let left = slots.length(segment) - first.offset();
        let count = wanted.min(left as u32);
        self.used = if count as usize == left { Place::start(segment + 1) } else { first.ahead(count) };
        Given::Fresh((first, count))
    }

    /// Puts a slot back.
    ///
    /// # Safety
    ///
    /// It is there, vacant, and the caller's.
    pub(super) unsafe fn put(&mut self, slots: &impl Linked, place: Place) {
        // SAFETY: the caller's promise.
        unsafe {
            self.loose.put(slots, place);
            if self.loose.is_full() {
                self.put_full(slots, self.loose);
                self.loose = Chain::EMPTY;
            }
        }
    }

    /// Puts a full chain back.
    ///
    /// # Safety
    ///
    /// It is full, and the caller's.
    pub(super) unsafe fn put_full(&mut self, slots: &impl Linked, chain: Chain) {
        debug_assert!(chain.is_full(), "it has {FULL} slots");
        // SAFETY: the first slot is the chain's, hence the caller's.
        unsafe { (*slots.link(Place::known(chain.first))).chain = self.full };
        self.full = chain.first;
    }

    /// Puts the slots of a chain back, as long as it is; says whether there were any.
    ///
    /// # Safety
    ///
    /// It is the caller's.
    pub(super) unsafe fn put_all(&mut self, slots: &impl Linked, mut chain: Chain) -> bool {
        let any = !chain.is_empty();
        if chain.is_full() {
            // SAFETY: the caller's promise.
            unsafe { self.put_full(slots, chain) };
            return any;
        }
        // SAFETY: the slots are the chain's, hence the caller's.
        unsafe {
            while let Some(place) = chain.take(slots) {
                self.put(slots, place);
            }
        }
        any
    }

    /// Verifies the invariants: what is here was given out before, is vacant, and is here once.
    pub(super) fn check(
        &self,
        slots: &impl Linked,
        is_vacant: impl Fn(Place) -> bool,
    ) -> Result<(), InvariantError> {
        let mut left = self.used.number();
        let mut see = |mut chain: Chain| {
            // SAFETY: the chain is the depot's, which is borrowed. Taking from a copy writes nothing.
            while let Some(place) = unsafe { chain.take(slots) } {
                if place >= self.used || !is_vacant(place) {
                    return Err(InvariantError("a slot in the depot is not vacant"));
                }
                left = left.checked_sub(1).ok_or(InvariantError("a slot is in the depot twice"))?;
            }
            Ok(())
        };
        see(self.loose)?;
        let mut full = self.full;
        while full != NONE {
            see(Chain::full(full))?;
            // SAFETY: the slot is the first of a full chain here.
            full = unsafe { (*slots.link(Place::known(full))).chain };
        }
        Ok(())
    }
}
