//! Iteration over the values of a collection, `retain` and `drain`.

use core::{iter::FusedIterator, marker::PhantomData};

use super::{
    Key, Slots,
    table::{Segment, SlotTable},
};
use crate::{base::drop_each, sync::SlotIndex, traits::Allocator};

/// An iterator over the slot indices below an end, in order.
pub(super) struct SlotIndices {
    front: SlotIndex,
    back: SlotIndex,
}

impl SlotIndices {
    /// Returns the indices before `end`, which may be the end of a segment.
    pub(super) fn to(end: SlotIndex) -> Self {
        Self { front: SlotIndex::ZERO, back: end }
    }
}

impl Iterator for SlotIndices {
    type Item = SlotIndex;

    #[inline]
    fn next(&mut self) -> Option<SlotIndex> {
        let slot_index = self.front;
        if slot_index >= self.back {
            return None;
        }
        self.front = slot_index.next();
        Some(slot_index)
    }
}

/// The number of vacant slots that are skipped at a time.
const STRIDE: u32 = 8;

/// The occupied slots below an end, found from both ends. A slot is read when it is reached, so it may be vacated
/// afterwards.
///
/// # Invariants
///
/// * The slots between `front` and `back` have not been reached yet.
/// * Starting at `front`, the slots before `stop` are in `segment`; `stop` is not behind `back`.
/// * `left` of the slots that have not been reached are occupied.
struct Occupied<T> {
    segment: Segment<T>,
    front: SlotIndex,
    stop: SlotIndex,
    back: SlotIndex,
    left: usize,
}

/// An occupied slot: the address of its value, and its key.
struct Slot<T> {
    value: *mut T,
    key: Key<T>,
}

impl<T> Occupied<T> {
    /// Returns the occupied slots of a collection.
    fn of<A: Allocator>(slots: &Slots<T, A>) -> Self {
        let (front, back) = (SlotIndex::ZERO, slots.fresh);
        Self { segment: Segment::NONE, front, stop: front, back, left: slots.len() }
    }

    /// Returns the occupied slots of a collection and empties it without dropping its values, which the returned
    /// iterator then owns.
    fn taken_from<A: Allocator>(slots: &mut Slots<T, A>) -> Self {
        let filled = Self::of(slots);
        slots.forget_all();
        filled
    }

    /// Returns the next occupied slot from the front.
    ///
    /// # Safety
    ///
    /// The segments of all slots before the end must be in `table`, and these slots must have a generation.
    #[inline]
    unsafe fn next<A: Allocator>(&mut self, table: &SlotTable<T, A>) -> Option<Slot<T>> {
        loop {
            while self.front < self.stop {
                let slot_index = self.front;
                // SAFETY: the slot is in `segment`, before the end.
                let generation = unsafe { self.segment.generation(slot_index).read() };
                if generation % 2 == 1 {
                    self.front = slot_index.next_in_segment();
                    self.left -= 1;
                    // SAFETY: the slot is in `segment`, before the end.
                    let value = unsafe { self.segment.value(slot_index) };
                    return Some(Slot { value, key: Key::new(slot_index, generation) });
                }
                // SAFETY: the slot is in `segment`, before the end.
                self.front = unsafe { self.behind_vacant(slot_index) };
            }
            if !self.advance(table) {
                return None;
            }
        }
    }

    /// Returns the index behind a vacant slot and behind all following whole strides of vacant slots.
    ///
    /// # Safety
    ///
    /// Same as for [`next`](Self::next). In addition, the slot must be in `segment`.
    #[inline]
    unsafe fn behind_vacant(&self, slot_index: SlotIndex) -> SlotIndex {
        let mut slot_index = slot_index.next_in_segment();
        while self.stop.bits() - slot_index.bits() >= STRIDE {
            // SAFETY: at least `STRIDE` slots from here to `stop` are in `segment` and have a generation.
            let generations =
                unsafe { self.segment.generation(slot_index).cast::<[u32; STRIDE as usize]>().read() };
            if generations.iter().fold(0, |any, generation| any | generation) % 2 == 1 {
                break;
            }
            slot_index = slot_index.skip(STRIDE);
        }
        slot_index
    }

    /// Advances to the next segment; returns whether there are slots left.
    #[cold]
    fn advance<A: Allocator>(&mut self, table: &SlotTable<T, A>) -> bool {
        if self.front >= self.back {
            return false;
        }
        let segment = if self.front == SlotIndex::ZERO { 0 } else { self.front.previous().segment() + 1 };
        self.segment = table.segment(segment);
        self.front = SlotIndex::start(segment);
        self.stop = self.back.min(table.end(segment));
        true
    }

    /// Returns the next occupied slot from the back.
    ///
    /// # Safety
    ///
    /// Same as for [`next`](Self::next).
    unsafe fn next_back<A: Allocator>(&mut self, table: &SlotTable<T, A>) -> Option<Slot<T>> {
        while self.front < self.back {
            // For iteration from the back, the end of a segment equals the start of the next one.
            let slot_index = self.back.previous();
            if slot_index < self.front {
                break;
            }
            (self.back, self.stop) = (slot_index, self.stop.min(slot_index));
            // SAFETY: the caller guarantees that the segment of the slot exists and that the slot has a generation.
            let generation = unsafe { table.generation(slot_index).read() };
            if generation % 2 == 1 {
                self.left -= 1;
                // SAFETY: the caller guarantees that the segment of the slot exists.
                let value = unsafe { table.value(slot_index) };
                return Some(Slot { value, key: Key::new(slot_index, generation) });
            }
        }
        None
    }

    /// Drops the remaining values, including those after one whose destructor panics. If a second destructor panics,
    /// the program aborts.
    ///
    /// # Safety
    ///
    /// Same as for [`next`](Self::next). In addition, this must own the values.
    unsafe fn drop_all<A: Allocator>(&mut self, table: &SlotTable<T, A>) {
        if core::mem::needs_drop::<T>() {
            drop_each(|| {
                // SAFETY: the caller guarantees what `next` requires of the table.
                let slot = unsafe { self.next(table) };
                // SAFETY: the caller guarantees that this owns the value, and each slot is found once.
                slot.map(|slot| unsafe { drop(slot.value.read()) }).is_some()
            });
        }
    }
}

impl<T, A: Allocator> Slots<T, A> {
    /// Iterates over all values with their keys, in the order of their slots. O(peak number of slots in use).
    pub fn iter(&self) -> SlotsIter<'_, T, A> {
        SlotsIter { filled: Occupied::of(self), slots: self }
    }

    /// Iterates over all values with their keys as [`iter`](Self::iter) does, with mutable references.
    pub fn iter_mut(&mut self) -> SlotsIterMut<'_, T, A> {
        SlotsIterMut { filled: Occupied::of(self), slots: self, values: PhantomData }
    }

    /// Iterates over the keys of all values, in the order of their slots. O(peak number of slots in use).
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = Key<T>> + ExactSizeIterator {
        self.iter().map(|(key, _)| key)
    }

    /// Iterates over all values, in the order of their slots. O(peak number of slots in use).
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.iter().map(|(_, value)| value)
    }

    /// Iterates over all values as [`values`](Self::values) does, with mutable references.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> + ExactSizeIterator {
        self.iter_mut().map(|(_, value)| value)
    }

    /// Drops the values for which `keep` returns `false`.
    pub fn retain(&mut self, mut keep: impl FnMut(Key<T>, &mut T) -> bool) {
        let mut filled = Occupied::of(self);
        // SAFETY: the segments of all slots below `fresh` exist, and these slots have a generation.
        while let Some(slot) = unsafe { filled.next(&self.table) } {
            // SAFETY: the slot is occupied, and the collection is mutably borrowed.
            if !keep(slot.key, unsafe { &mut *slot.value }) {
                // SAFETY: the slot is occupied, and the reference to its value is not used any more.
                drop(unsafe { self.take(slot.key) });
            }
        }
    }

    /// Removes all values and iterates over them in the order of their slots. Dropping the iterator drops the
    /// remaining values; forgetting it leaks them. All keys become invalid. The memory is kept.
    pub fn drain(&mut self) -> Drain<'_, T, A> {
        let filled = Occupied::taken_from(self);
        Drain { filled, slots: self }
    }
}

/// An iterator over all values with their keys: see [`Slots::iter`].
pub struct SlotsIter<'a, T, A: Allocator> {
    filled: Occupied<T>,
    slots: &'a Slots<T, A>,
}

/// A mutable iterator over all values with their keys: see [`Slots::iter_mut`].
pub struct SlotsIterMut<'a, T, A: Allocator> {
    filled: Occupied<T>,
    /// At most one reference to each value is created from this.
    slots: &'a Slots<T, A>,
    values: PhantomData<&'a mut T>,
}

/// An owning iterator over all values with their keys. Dropping it drops the remaining values and releases the
/// memory.
pub struct SlotsIntoIter<T, A: Allocator> {
    filled: Occupied<T>,
    slots: Slots<T, A>,
}

/// A draining iterator: see [`Slots::drain`].
pub struct Drain<'a, T, A: Allocator> {
    filled: Occupied<T>,
    slots: &'a mut Slots<T, A>,
}

/// Implements iteration from both ends. `of` converts each slot to an item.
macro_rules! both_ends {
    ([$($generics:tt)*] $name:ty, $item:ty, $of:expr) => {
        impl<$($generics)*> Iterator for $name {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                // SAFETY: the iterator was created from this collection, so the segments of its slots are in the
                // table, and the slots have a generation.
                unsafe { self.filled.next(&self.slots.table) }.map($of)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                (self.filled.left, Some(self.filled.left))
            }
        }

        impl<$($generics)*> DoubleEndedIterator for $name {
            #[inline]
            fn next_back(&mut self) -> Option<$item> {
                // SAFETY: same as in `next`.
                unsafe { self.filled.next_back(&self.slots.table) }.map($of)
            }
        }

        impl<$($generics)*> ExactSizeIterator for $name {}
        impl<$($generics)*> FusedIterator for $name {}
    };
}

both_ends!(['a, T, A: Allocator] SlotsIter<'a, T, A>, (Key<T>, &'a T), |slot| {
    // SAFETY: the slot is occupied, and the collection is borrowed.
    (slot.key, unsafe { &*slot.value })
});
both_ends!(['a, T, A: Allocator] SlotsIterMut<'a, T, A>, (Key<T>, &'a mut T), |slot| {
    // SAFETY: the slot is occupied, the collection is mutably borrowed, and each slot is found once.
    (slot.key, unsafe { &mut *slot.value })
});
both_ends!([T, A: Allocator] SlotsIntoIter<T, A>, (Key<T>, T), |slot| {
    // SAFETY: the collection was emptied when the iterator was created, which owns the values; each slot is found
    // once.
    (slot.key, unsafe { slot.value.read() })
});
both_ends!([T, A: Allocator] Drain<'_, T, A>, T, |slot| {
    // SAFETY: the collection was emptied when the iterator was created, which owns the values; each slot is found
    // once.
    unsafe { slot.value.read() }
});

impl<T, A: Allocator> Drop for SlotsIntoIter<T, A> {
    fn drop(&mut self) {
        // SAFETY: this is the table of the collection that was emptied, and nothing has been inserted since. The
        // iterator owns the values.
        unsafe { self.filled.drop_all(&self.slots.table) };
    }
}

impl<T, A: Allocator> Drop for Drain<'_, T, A> {
    fn drop(&mut self) {
        // SAFETY: this is the table of the collection that was emptied. It is still borrowed, so nothing has been
        // inserted since. The iterator owns the values.
        unsafe { self.filled.drop_all(&self.slots.table) };
    }
}

impl<'a, T, A: Allocator> IntoIterator for &'a Slots<T, A> {
    type Item = (Key<T>, &'a T);
    type IntoIter = SlotsIter<'a, T, A>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T, A: Allocator> IntoIterator for &'a mut Slots<T, A> {
    type Item = (Key<T>, &'a mut T);
    type IntoIter = SlotsIterMut<'a, T, A>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

/// Takes the values out with their keys, in the order of their slots.
///
/// ```
/// let slots: millpond::Slots<_> = ["a", "b"].into_iter().collect();
/// let keys: Vec<_> = slots.keys().collect();
/// assert!(slots.into_iter().eq([(keys[0], "a"), (keys[1], "b")]));
/// ```
impl<T, A: Allocator> IntoIterator for Slots<T, A> {
    type Item = (Key<T>, T);
    type IntoIter = SlotsIntoIter<T, A>;

    fn into_iter(mut self) -> Self::IntoIter {
        let filled = Occupied::taken_from(&mut self);
        SlotsIntoIter { filled, slots: self }
    }
}

/// Inserts values without returning their keys. Use [`iter`](Slots::iter) or [`keys`](Slots::keys) to find the keys.
impl<T, A: Allocator> Extend<T> for Slots<T, A> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| _ = self.insert(value));
    }
}

/// Inserts values in the order of the iterator.
impl<T> FromIterator<T> for Slots<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut slots = Self::new();
        slots.extend(values);
        slots
    }
}
