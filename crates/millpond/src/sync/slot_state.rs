//! Who is at a slot that threads share: whether there is a value, how often it was used, who reads it, and who is the last.
//!
//! One word: the generation, which is odd while there is a value; whether that is to go; and how many readers it has.
//! Whoever is last, the one that lets it go or the last reader, empties the slot: nobody else can enter any more.

use crate::base::atomic::{AtomicU64, Ordering};

const GENERATION_SHIFT: u32 = 32;
const REMOVING: u64 = 1 << 31;
const READERS: u64 = REMOVING - 1;

/// The state of a slot. All zero is a slot that was never used.
pub(crate) struct SlotState(AtomicU64);

impl SlotState {
    /// The generation that the next value here will have; nobody else fills or empties the slot at this moment.
    #[inline(always)]
    pub(crate) fn next_generation(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) >> GENERATION_SHIFT) as u32 + 1
    }

    /// The generation of the value that is here and not about to go, if there is one.
    #[inline(always)]
    pub(crate) fn generation(&self) -> Option<u32> {
        let state = self.0.load(Ordering::Relaxed);
        let generation = (state >> GENERATION_SHIFT) as u32;
        (generation % 2 == 1 && state & REMOVING == 0).then_some(generation)
    }

    /// The generation of what is here or was here last, whoever reads it or lets it go: zero if nothing ever was.
    pub(crate) fn latest_generation(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) >> GENERATION_SHIFT) as u32
    }

    /// Whether there is a value, for an owner that no thread shares the slot with any more.
    pub(crate) fn is_occupied(&self) -> bool {
        (self.0.load(Ordering::Acquire) >> GENERATION_SHIFT) % 2 == 1
    }

    /// Lets readers in to a value that was just put here.
    #[inline(always)]
    pub(crate) fn publish(&self, generation: u32) {
        self.0.store(u64::from(generation) << GENERATION_SHIFT, Ordering::Release);
    }

    /// Enters as a reader; false if the value of this generation, an odd one, is gone, or about to go. (Nor can anybody enter who would
    /// be the 2³¹st reader.)
    #[inline(always)]
    pub(crate) fn begin_read(&self, generation: u32) -> bool {
        let with_reader = |state: u64| {
            let here = (state >> GENERATION_SHIFT) as u32 == generation && state & REMOVING == 0;
            (here && state & READERS != READERS).then_some(state + 1)
        };
        self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, with_reader).is_ok()
    }

    /// Leaves as a reader; true for the last one of a value that is to go, who must empty the slot.
    #[inline(always)]
    pub(crate) fn end_read(&self) -> bool {
        let state = self.0.fetch_sub(1, Ordering::Release);
        let last = state & (REMOVING | READERS) == REMOVING | 1;
        if last {
            // Not a fence: ThreadSanitizer does not know fences.
            self.0.load(Ordering::Acquire);
        }
        last
    }

    /// Lets the value of this generation go. `None` if it is gone or going already, else whether nobody reads it: then the
    /// caller must empty the slot.
    #[inline(always)]
    pub(crate) fn begin_removal(&self, generation: u32) -> Option<bool> {
        let removing = |state: u64| {
            let here = (state >> GENERATION_SHIFT) as u32 == generation && state & REMOVING == 0;
            here.then_some(state | REMOVING)
        };
        let state = self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, removing).ok()?;
        Some(state & READERS == 0)
    }

    /// Declares the slot empty, which it is. False if it has had its last generation, and must never be used again.
    #[inline(always)]
    pub(crate) fn vacate(&self) -> bool {
        let generation = ((self.0.load(Ordering::Relaxed) >> GENERATION_SHIFT) as u32).wrapping_add(1);
        self.0.store(u64::from(generation) << GENERATION_SHIFT, Ordering::Release);
        generation != 0
    }

    /// A slot in this generation, for tests.
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
