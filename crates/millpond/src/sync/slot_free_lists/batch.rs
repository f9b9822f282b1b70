//! Chains of vacant slots, which are linked through themselves.

use super::{BATCH_SIZE, SlotStorage};
use crate::sync::slot_index::SlotIndex;

/// The end of a chain: the bits of no place.
pub(crate) const NONE: u32 = u32::MAX;

/// What a vacant slot has in it.
pub(crate) struct FreeLink {
    /// The slot behind this one in its chain, if it is not the last.
    next: u32,
    /// The first slot of the chain that waits behind this one, for the first of a full chain in the depot; or [`NONE`].
    pub(crate) batch: u32,
}

#[cfg(all(test, any(loom, shuttle)))]
impl FreeLink {
    /// That of a slot that was never vacated.
    pub(crate) const NEW: Self = Self { next: NONE, batch: NONE };
}

/// Vacant slots that are in nobody else's hands.
///
/// # Invariants
///
/// From `first` on there are `count` slots, each linked by the one before.
#[derive(Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) first: u32,
    count: u32,
}

impl Batch {
    pub(crate) const EMPTY: Self = Self { first: NONE, count: 0 };

    /// The full chain that begins there.
    pub(crate) fn full(first: u32) -> Self {
        Self { first, count: BATCH_SIZE }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.count == BATCH_SIZE
    }

    /// Takes the first slot.
    ///
    /// # Safety
    ///
    /// The chain is the caller's, and of these slots.
    #[inline(always)]
    pub(crate) unsafe fn pop(&mut self, slots: &impl SlotStorage) -> Option<SlotIndex> {
        if self.count == 0 {
            return None;
        }
        let slot = SlotIndex::from_valid_bits(self.first);
        // SAFETY: the slot is in the chain, hence vacant and the caller's.
        self.first = unsafe { (*slots.link(slot)).next };
        self.count -= 1;
        Some(slot)
    }

    /// Puts a slot in front.
    ///
    /// # Safety
    ///
    /// The slot is there, vacant, and the caller's, and so is the chain.
    #[inline(always)]
    pub(crate) unsafe fn push(&mut self, slots: &impl SlotStorage, slot: SlotIndex) {
        // SAFETY: the caller's promise.
        unsafe { (*slots.link(slot)).next = self.first };
        self.first = slot.bits();
        self.count += 1;
    }

    /// The first of some slots, and a chain of the others.
    ///
    /// # Safety
    ///
    /// They are there, vacant, the caller's, and in one segment; there is one.
    pub(crate) unsafe fn from_fresh(
        slots: &impl SlotStorage,
        (first, count): (SlotIndex, u32),
    ) -> (SlotIndex, Self) {
        let mut batch = Self::EMPTY;
        for ahead in (1..count).rev() {
            // SAFETY: the caller's promise.
            unsafe { batch.push(slots, first.skip(ahead)) };
        }
        (first, batch)
    }
}
