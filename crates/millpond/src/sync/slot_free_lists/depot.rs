//! The vacant slots that are in no thread's free list.

use super::{
    BATCH_SIZE, SlotStorage,
    batch::{Batch, NONE},
};
use crate::{sync::slot_index::SlotIndex, traits::InvariantError};

/// The vacant slots of a collection that are in no thread's free lists.
///
/// # Invariants
///
/// * From `full` on there are full batches, the first slot of each linked to that of the next.
/// * Places from `used` on were never handed out.
/// * `room` segments exist.
pub(crate) struct Depot {
    full: u32,
    /// Slots that were returned one by one: fewer than a full batch.
    loose: Batch,
    used: SlotIndex,
    room: usize,
}

/// The result of a request to the depot.
pub(crate) enum Grant {
    /// A slot that was vacated before, and others.
    Vacated(SlotIndex, Batch),
    /// The first of a range of slots in one segment that were never used, and their number.
    Fresh((SlotIndex, u32)),
    /// Nothing: `have` segments exist, and all their slots are in use.
    Empty { have: usize },
}

impl Depot {
    pub(crate) const fn new() -> Self {
        Self { full: NONE, loose: Batch::EMPTY, used: SlotIndex::ZERO, room: 0 }
    }

    pub(crate) fn used(&self) -> SlotIndex {
        self.used
    }

    /// Returns the number of segments that exist.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    pub(crate) fn has_grown(&mut self, room: usize) {
        self.room = self.room.max(room);
    }

    /// Hands out a slot, and others with it if `wanted` is more than one: vacated slots if there are any, otherwise up
    /// to `wanted` that were never used.
    pub(crate) fn give(&mut self, slots: &impl SlotStorage, wanted: u32) -> Grant {
        // SAFETY: the depot's batches are of these slots.
        unsafe {
            let mut batch = core::mem::replace(&mut self.loose, Batch::EMPTY);
            if batch.is_empty() && self.full != NONE {
                batch = Batch::full(self.full);
                self.full = (*slots.link(SlotIndex::from_valid_bits(self.full))).batch;
            }
            if let Some(slot) = batch.pop(slots) {
                if wanted == 1 {
                    core::mem::swap(&mut self.loose, &mut batch);
                }
                return Grant::Vacated(slot, batch);
            }
        }
        let (segment, first) = (self.used.segment(), self.used);
        if segment >= self.room {
            return Grant::Empty { have: self.room };
        }
        let left = slots.segment_len(segment) - first.offset();
        let count = wanted.min(left as u32);
        self.used = if count as usize == left { SlotIndex::start(segment + 1) } else { first.skip(count) };
        Grant::Fresh((first, count))
    }

    /// Returns a slot to the depot.
    ///
    /// # Safety
    ///
    /// The slot exists, is vacant, and is the caller's.
    pub(crate) unsafe fn push(&mut self, slots: &impl SlotStorage, slot: SlotIndex) {
        // SAFETY: the slot exists, is vacant, and is the caller's, as the caller guarantees.
        unsafe {
            self.loose.push(slots, slot);
            if self.loose.is_full() {
                self.push_full(slots, self.loose);
                self.loose = Batch::EMPTY;
            }
        }
    }

    /// Returns a full batch to the depot.
    ///
    /// # Safety
    ///
    /// The batch is full, and is the caller's.
    pub(crate) unsafe fn push_full(&mut self, slots: &impl SlotStorage, batch: Batch) {
        debug_assert!(batch.is_full(), "it has {BATCH_SIZE} slots");
        // SAFETY: the first slot is in the batch, and therefore the caller's.
        unsafe { (*slots.link(SlotIndex::from_valid_bits(batch.first))).batch = self.full };
        self.full = batch.first;
    }

    /// Returns the slots of a batch of any length to the depot; returns whether there were any.
    ///
    /// # Safety
    ///
    /// The batch is the caller's.
    pub(crate) unsafe fn push_all(&mut self, slots: &impl SlotStorage, mut batch: Batch) -> bool {
        let any = !batch.is_empty();
        if batch.is_full() {
            // SAFETY: the batch is full, and is the caller's.
            unsafe { self.push_full(slots, batch) };
            return any;
        }
        // SAFETY: the slots are in the batch, and therefore the caller's.
        unsafe {
            while let Some(slot) = batch.pop(slots) {
                self.push(slots, slot);
            }
        }
        any
    }

    /// Checks the invariants: each slot here was handed out before, is vacant, and is here once.
    pub(crate) fn check(
        &self,
        slots: &impl SlotStorage,
        is_vacant: impl Fn(SlotIndex) -> bool,
    ) -> Result<(), InvariantError> {
        let mut left = self.used.position();
        let mut see = |mut batch: Batch| {
            // SAFETY: the batch is the depot's, which is borrowed. Popping from a copy writes nothing.
            while let Some(slot) = unsafe { batch.pop(slots) } {
                if slot >= self.used || !is_vacant(slot) {
                    return Err(InvariantError("a slot in the depot is not vacant"));
                }
                left = left.checked_sub(1).ok_or(InvariantError("a slot is in the depot twice"))?;
            }
            Ok(())
        };
        see(self.loose)?;
        let mut full = self.full;
        while full != NONE {
            see(Batch::full(full))?;
            // SAFETY: the slot is the first of a full batch in the depot.
            full = unsafe { (*slots.link(SlotIndex::from_valid_bits(full))).batch };
        }
        Ok(())
    }
}
