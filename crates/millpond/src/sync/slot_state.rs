//! The state of a slot that threads share: whether it has a value, how often it was used, how many readers it has, and
//! which of them is the last.
//!
//! The state is one word: the generation, which is odd while there is a value; whether the value is being removed; and
//! the number of readers. The last thread, either the one that removes the value or the last reader, empties the slot:
//! no other thread can enter it any more.

use crate::base::atomic::{AtomicU64, Ordering};

const GENERATION_SHIFT: u32 = 32;
const REMOVING: u64 = 1 << 31;
const READERS: u64 = REMOVING - 1;

/// The state of a slot. All bits are zero if the slot was never used.
pub(crate) struct SlotState(AtomicU64);

impl SlotState {
    /// Returns the generation of the next value in this slot. No other thread fills or empties the slot at the same
    /// time.
    #[inline(always)]
    pub(crate) fn next_generation(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) >> GENERATION_SHIFT) as u32 + 1
    }

    /// Returns the generation of the value in the slot, if there is one that is not being removed.
    #[inline(always)]
    pub(crate) fn generation(&self) -> Option<u32> {
        let state = self.0.load(Ordering::Relaxed);
        let generation = (state >> GENERATION_SHIFT) as u32;
        (generation % 2 == 1 && state & REMOVING == 0).then_some(generation)
    }

    /// Returns the generation of the current or last value, regardless of readers and removal; zero if there never was
    /// one.
    pub(crate) fn latest_generation(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) >> GENERATION_SHIFT) as u32
    }

    /// Returns whether there is a value, for an owner that does not share the slot with other threads any more.
    pub(crate) fn is_occupied(&self) -> bool {
        (self.0.load(Ordering::Acquire) >> GENERATION_SHIFT) % 2 == 1
    }

    /// Admits readers to a value that was just written.
    #[inline(always)]
    pub(crate) fn publish(&self, generation: u32) {
        debug_assert_eq!(generation % 2, 1, "the generations of values are odd");
        self.0.store(u64::from(generation) << GENERATION_SHIFT, Ordering::Release);
    }

    /// Enters the slot as a reader. Returns `false` if the value of this generation, which is odd, is removed or being
    /// removed, or if there are already 2³¹ − 1 readers.
    #[inline(always)]
    pub(crate) fn begin_read(&self, generation: u32) -> bool {
        let with_reader = |state: u64| {
            let here = (state >> GENERATION_SHIFT) as u32 == generation && state & REMOVING == 0;
            (here && state & READERS != READERS).then_some(state + 1)
        };
        self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, with_reader).is_ok()
    }

    /// Leaves the slot as a reader. Returns `true` for the last reader of a value that is being removed, which must
    /// empty the slot.
    #[inline(always)]
    pub(crate) fn end_read(&self) -> bool {
        let state = self.0.fetch_sub(1, Ordering::Release);
        debug_assert_ne!(state & READERS, 0, "a reader leaves that has not entered");
        let last = state & (REMOVING | READERS) == REMOVING | 1;
        if last {
            // Not a fence: ThreadSanitizer does not support fences.
            self.0.load(Ordering::Acquire);
        }
        last
    }

    /// Removes the value of this generation. Returns `None` if it is removed or being removed already, otherwise
    /// whether there are no readers: if so, the caller must empty the slot.
    #[inline(always)]
    pub(crate) fn begin_removal(&self, generation: u32) -> Option<bool> {
        let removing = |state: u64| {
            let here = (state >> GENERATION_SHIFT) as u32 == generation && state & REMOVING == 0;
            here.then_some(state | REMOVING)
        };
        let state = self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, removing).ok()?;
        Some(state & READERS == 0)
    }

    /// Marks the slot, which is empty, as such. Returns `false` if this was its last generation, in which case it must
    /// never be used again.
    #[inline(always)]
    pub(crate) fn vacate(&self) -> bool {
        let generation = ((self.0.load(Ordering::Relaxed) >> GENERATION_SHIFT) as u32).wrapping_add(1);
        debug_assert_eq!(generation % 2, 0, "the slot was vacant");
        self.0.store(u64::from(generation) << GENERATION_SHIFT, Ordering::Release);
        generation != 0
    }

    /// Returns a slot in this generation, for tests.
    #[cfg(test)]
    pub(crate) fn at(generation: u32) -> Self {
        Self(AtomicU64::new(u64::from(generation) << GENERATION_SHIFT))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn last_reader_vacates() {
        let slot = SlotState::at(0);
        assert_eq!((slot.generation(), slot.next_generation()), (None, 1));
        slot.publish(1);
        assert!(slot.begin_read(1) && slot.begin_read(1) && !slot.begin_read(3));
        assert!(!slot.end_read());
        assert_eq!(slot.begin_removal(1), Some(false));
        assert_eq!((slot.begin_removal(1), slot.begin_read(1), slot.generation()), (None, false, None));
        assert!(slot.is_occupied() && slot.end_read() && slot.vacate());
        assert!(!slot.is_occupied() && !slot.begin_read(1) && !slot.begin_read(3));
        slot.publish(3);
        assert_eq!((slot.begin_removal(1), slot.begin_removal(3)), (None, Some(true)));
    }

    #[test]
    fn retired_after_last_generation() {
        let slot = SlotState::at(u32::MAX);
        assert_eq!(slot.begin_removal(u32::MAX), Some(true));
        assert!(!slot.vacate());
        assert!(!slot.is_occupied());
    }
}
