//! Chains of vacant slots, which are linked through themselves.

use super::{FULL, Linked};
use crate::share::places::Place;

/// The end of a chain: the bits of no place.
pub(super) const NONE: u32 = u32::MAX;

/// What a vacant slot has in it.
pub(crate) struct Link {
    /// The slot behind this one in its chain, if it is not the last.
    next: u32,
    /// The first slot of the chain that waits behind this one, for the first of a full chain in the depot; or [`NONE`].
    pub(super) chain: u32,
}

#[cfg(all(test, any(loom, shuttle)))]
impl Link {
    /// That of a slot that was never vacated.
    pub(super) const NEW: Self = Self { next: NONE, chain: NONE };
}

/// Vacant slots that are in nobody else's hands.
///
/// # Invariants
///
/// From `first` on there are `count` slots, each linked by the one before.
#[derive(Clone, Copy)]
pub(super) struct Chain {
    pub(super) first: u32,
    count: u32,
}

impl Chain {
    pub(super) const EMPTY: Self = Self { first: NONE, count: 0 };

    /// The full chain that begins there.
    pub(super) fn full(first: u32) -> Self {
        Self { first, count: FULL }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.count == FULL
    }

    /// Takes the first slot.
    ///
    /// # Safety
    ///
    /// The chain is the caller's, and of these slots.
    #[inline(always)]
    pub(super) unsafe fn take(&mut self, slots: &impl Linked) -> Option<Place> {
        if self.count == 0 {
            return None;
        }
        let place = Place::known(self.first);
        // SAFETY: the slot is in the chain, hence vacant and the caller's.
        self.first = unsafe { (*slots.link(place)).next };
        self.count -= 1;
        Some(place)
    }

    /// Puts a slot in front.
    ///
    /// # Safety
    ///
    /// The slot is there, vacant, and the caller's, and so is the chain.
    #[inline(always)]
    pub(super) unsafe fn put(&mut self, slots: &impl Linked, place: Place) {
        // SAFETY: the caller's promise.
        unsafe { (*slots.link(place)).next = self.first };
        self.first = place.bits();
        self.count += 1;
    }

    /// The first of some slots, and a chain of the others.
    ///
    /// # Safety
    ///
    /// They are there, vacant, the caller's, and in one segment; there is one.
    pub(super) unsafe fn of_fresh(slots: &impl Linked, (first, count): (Place, u32)) -> (Place, Self) {
        let mut chain = Self::EMPTY;
        for ahead in (1..count).rev() {
            // SAFETY: the caller's promise.
            unsafe { chain.put(slots, first.ahead(ahead)) };
        }
        (first, chain)
    }
}
