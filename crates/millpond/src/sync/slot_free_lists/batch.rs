//! Batches of vacant slots, which are linked through themselves.

use super::{BATCH_SIZE, SlotStorage};
use crate::sync::slot_index::SlotIndex;

/// The end of a batch: bits that are not those of any index.
pub(crate) const NONE: u32 = u32::MAX;

/// The contents of a vacant slot.
pub(crate) struct FreeLink {
    /// The next slot of the batch, or [`NONE`] for the last.
    next: u32,
    /// For the first slot of a full batch in the depot: the first slot of the next full batch, or [`NONE`].
    pub(crate) batch: u32,
}

#[cfg(all(test, any(loom, shuttle)))]
impl FreeLink {
    /// The link of a slot that was never vacated.
    pub(crate) const NEW: Self = Self { next: NONE, batch: NONE };
}

/// Vacant slots that belong to one owner.
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

    /// Returns the full batch that begins at `first`.
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

    /// Pops the first slot.
    ///
    /// # Safety
    ///
    /// The batch is the caller's, and of these slots.
    #[inline(always)]
    pub(crate) unsafe fn pop(&mut self, slots: &impl SlotStorage) -> Option<SlotIndex> {
        if self.count == 0 {
            return None;
        }
        let slot = SlotIndex::from_valid_bits(self.first);
        // SAFETY: the slot is in the batch, and therefore vacant and the caller's.
        self.first = unsafe { (*slots.link(slot)).next };
        self.count -= 1;
        Some(slot)
    }

    /// Pushes a slot.
    ///
    /// # Safety
    ///
    /// The slot exists, is vacant, and is the caller's, and so is the batch.
    #[inline(always)]
    pub(crate) unsafe fn push(&mut self, slots: &impl SlotStorage, slot: SlotIndex) {
        // SAFETY: the slot exists, is vacant, and is the caller's, as the caller guarantees.
        unsafe { (*slots.link(slot)).next = self.first };
        self.first = slot.bits();
        self.count += 1;
    }

    /// Returns the first of a range of fresh slots, and a batch of the others.
    ///
    /// # Safety
    ///
    /// The slots exist, are vacant, are the caller's, and lie in one segment; there is at least one.
    pub(crate) unsafe fn from_fresh(
        slots: &impl SlotStorage,
        (first, count): (SlotIndex, u32),
    ) -> (SlotIndex, Self) {
        let mut batch = Self::EMPTY;
        for ahead in (1..count).rev() {
            // SAFETY: the slots exist, are vacant, and are the caller's, as the caller guarantees.
            unsafe { batch.push(slots, first.skip(ahead)) };
        }
        (first, batch)
    }
}
