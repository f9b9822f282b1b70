//! Going through all values of a collection: to look at them, to keep some, to take them out.

use core::{iter::FusedIterator, marker::PhantomData, mem::forget};

use super::{
    Key, Slots,
    table::{Segment, SlotTable},
};
use crate::{sync::SlotIndex, traits::Allocator};

/// The places below some place, in order.
pub(super) struct SlotIndices {
    front: SlotIndex,
    back: SlotIndex,
}

impl SlotIndices {
    /// Those before `end`, which may be the end of a segment.
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

/// How many vacant slots are stepped over at once.
const STRIDE: u32 = 8;

/// The filled slots below some place, found from both ends. One is read when it is reached, so it may be vacated then.
///
/// # Invariants
///
/// * Places between `front` and `back` were not reached yet.
/// * From `front` on, the places before `stop` are in `segment`; `stop` is not behind `back`.
/// * `left` of them are filled.
struct Occupied<T> {
    segment: Segment<T>,
    front: SlotIndex,
    stop: SlotIndex,
    back: SlotIndex,
    left: usize,
}

/// A slot that was found filled: where its value is, and its key.
struct Slot<T> {
    value: *mut T,
    key: Key<T>,
}

impl<T> Occupied<T> {
    /// Those of a collection.
    fn of<A: Allocator>(slots: &Slots<T, A>) -> Self {
        let (front, back) = (SlotIndex::ZERO, slots.fresh);
        Self { segment: Segment::NONE, front, stop: front, back, left: slots.len() }
    }

    /// Those of a collection that is made empty without dropping its values: whoever has this owns them.
    fn taken_from<A: Allocator>(slots: &mut Slots<T, A>) -> Self {
        let filled = Self::of(slots);
        slots.forget_all();
        filled
    }

    /// The next one from the front.
    ///
    /// # Safety
    ///
    /// All slots before the end have come to this table, and have a generation.
    #[inline]
    unsafe fn next<A: Allocator>(&mut self, table: &SlotTable<T, A>) -> Option<Slot<T>> {
        loop {
            while self.front < self.stop {
                let slot_index = self.front;
                // SAFETY: the place is in the segment, and before the end.
                let generation = unsafe { self.segment.generation(slot_index).read() };
                if generation % 2 == 1 {
                    self.front = slot_index.next_in_segment();
                    self.left -= 1;
                    // SAFETY: as above.
                    let value = unsafe { self.segment.value(slot_index) };
                    return Some(Slot { value, key: Key::new(slot_index, generation) });
                }
                // SAFETY: as above.
                self.front = unsafe { self.behind_vacant(slot_index) };
            }
            if !self.advance(table) {
                return None;
            }
        }
    }

    /// Steps over a vacant slot, and over all that are vacant behind it as far as whole strides of them go.
    ///
    /// # Safety
    ///
    /// As for [`next`](Self::next); the place is in the segment.
    #[inline]
    unsafe fn behind_vacant(&self, slot_index: SlotIndex) -> SlotIndex {
        let mut slot_index = slot_index.next_in_segment();
        while self.stop.bits() - slot_index.bits() >= STRIDE {
            // SAFETY: so many places are in the segment, and have a generation.
            let generations =
                unsafe { self.segment.generation(slot_index).cast::<[u32; STRIDE as usize]>().read() };
            if generations.iter().fold(0, |any, generation| any | generation) % 2 == 1 {
                break;
            }
            slot_index = slot_index.skip(STRIDE);
        }
        slot_index
    }

    /// Goes on to the next segment, if places are left.
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

    /// The next one from the back.
    ///
    /// # Safety
    ///
    /// As for [`next`](Self::next).
    unsafe fn next_back<A: Allocator>(&mut self, table: &SlotTable<T, A>) -> Option<Slot<T>> {
        while self.front < self.back {
            // The end of one segment and the start of the next are the same to who comes from behind.
            let slot_index = self.back.previous();
            if slot_index < self.front {
                break;
            }
            (self.back, self.stop) = (slot_index, self.stop.min(slot_index));
            // SAFETY: the caller says that the place has come and has a generation.
            let generation = unsafe { table.generation(slot_index).read() };
            if generation % 2 == 1 {
                self.left -= 1;
                // SAFETY: as above.
                let value = unsafe { table.value(slot_index) };
                return Some(Slot { value, key: Key::new(slot_index, generation) });
            }
        }
        None
    }

    /// Drops the values that are left, also if a destructor panics. (If two do, the program ends.)
    ///
    /// # Safety
    ///
    /// As for [`next`](Self::next), and the values are owned by this.
    unsafe fn drop_all<A: Allocator>(&mut self, table: &SlotTable<T, A>) {
        /// Goes on where a destructor has panicked.
        struct ContinueOnPanic<'a, T, A: Allocator>(&'a mut Occupied<T>, &'a SlotTable<T, A>);

        impl<T, A: Allocator> ContinueOnPanic<'_, T, A> {
            fn drop_all(&mut self) {
                // SAFETY: the caller of the outer function promises it.
                while let Some(slot) = unsafe { self.0.next(self.1) } {
                    // SAFETY: the value is owned by this, and found once.
                    drop(unsafe { slot.value.read() });
                }
            }
        }

        impl<T, A: Allocator> Drop for ContinueOnPanic<'_, T, A> {
            fn drop(&mut self) {
                self.drop_all();
            }
        }

        if core::mem::needs_drop::<T>() {
            let mut left = ContinueOnPanic(self, table);
            left.drop_all();
            forget(left);
        }
    }
}

impl<T, A: Allocator> Slots<T, A> {
    /// All values with their keys, in the order of their slots. O(slots ever used at a time).
    pub fn iter(&self) -> SlotsIter<'_, T, A> {
        SlotsIter { filled: Occupied::of(self), slots: self }
    }

    /// As [`iter`](Self::iter), with values to be changed.
    pub fn iter_mut(&mut self) -> SlotsIterMut<'_, T, A> {
        SlotsIterMut { filled: Occupied::of(self), slots: self, values: PhantomData }
    }

    /// The keys of all values, in the order of their slots. O(slots ever used at a time).
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = Key<T>> + ExactSizeIterator {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their slots. O(slots ever used at a time).
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.iter().map(|(_, value)| value)
    }

    /// As [`values`](Self::values), to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> + ExactSizeIterator {
        self.iter_mut().map(|(_, value)| value)
    }

    /// Drops the values that `keep` does not want to keep.
    pub fn retain(&mut self, mut keep: impl FnMut(Key<T>, &mut T) -> bool) {
        let mut filled = Occupied::of(self);
        // SAFETY: the slots below `fresh` have come, and have a generation.
        while let Some(slot) = unsafe { filled.next(&self.table) } {
            // SAFETY: the slot is filled, and the collection is borrowed mutably.
            if !keep(slot.key, unsafe { &mut *slot.value }) {
                // SAFETY: as above, and the value is not used any more.
                drop(unsafe { self.take(slot.key) });
            }
        }
    }

    /// Takes all values out, in the order of their slots. Those that are left when the iterator is dropped are
    /// dropped; if it is forgotten, they leak. Every key is good for nothing from now on; the memory is kept.
    pub fn drain(&mut self) -> Drain<'_, T, A> {
        let filled = Occupied::taken_from(self);
        Drain { filled, slots: self }
    }
}

/// All values with their keys: see [`Slots::iter`].
pub struct SlotsIter<'a, T, A: Allocator> {
    filled: Occupied<T>,
    slots: &'a Slots<T, A>,
}

/// All values with their keys, to be changed: see [`Slots::iter_mut`].
pub struct SlotsIterMut<'a, T, A: Allocator> {
    filled: Occupied<T>,
    /// No reference to a value is had from it, but each place's once.
    slots: &'a Slots<T, A>,
    values: PhantomData<&'a mut T>,
}

/// All values with their keys, taken out: those that are left when it is dropped are dropped, and the memory goes back.
pub struct SlotsIntoIter<T, A: Allocator> {
    filled: Occupied<T>,
    slots: Slots<T, A>,
}

/// Takes values out of a collection: see [`Slots::drain`].
pub struct Drain<'a, T, A: Allocator> {
    filled: Occupied<T>,
    slots: &'a mut Slots<T, A>,
}

/// Both ends of an iterator, which yields what `of` makes of each slot.
macro_rules! both_ends {
    ([$($generics:tt)*] $name:ty, $item:ty, $of:expr) => {
        impl<$($generics)*> Iterator for $name {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                // SAFETY: the slots of the collection had come to this table, and had a generation.
                unsafe { self.filled.next(&self.slots.table) }.map($of)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                (self.filled.left, Some(self.filled.left))
            }
        }

        impl<$($generics)*> DoubleEndedIterator for $name {
            #[inline]
            fn next_back(&mut self) -> Option<$item> {
                // SAFETY: as in `next`.
                unsafe { self.filled.next_back(&self.slots.table) }.map($of)
            }
        }

        impl<$($generics)*> ExactSizeIterator for $name {}
        impl<$($generics)*> FusedIterator for $name {}
    };
}

both_ends!(['a, T, A: Allocator] SlotsIter<'a, T, A>, (Key<T>, &'a T), |slot| {
    // SAFETY: the slot is filled, and the collection is borrowed.
    (slot.key, unsafe { &*slot.value })
});
both_ends!(['a, T, A: Allocator] SlotsIterMut<'a, T, A>, (Key<T>, &'a mut T), |slot| {
    // SAFETY: the slot is filled, the collection is borrowed mutably, and every slot is found once.
    (slot.key, unsafe { &mut *slot.value })
});
both_ends!([T, A: Allocator] SlotsIntoIter<T, A>, (Key<T>, T), |slot| {
    // SAFETY: the collection was made empty when the iterator was made, and every slot is found once.
    (slot.key, unsafe { slot.value.read() })
});
both_ends!([T, A: Allocator] Drain<'_, T, A>, T, |slot| {
    // SAFETY: as above.
    unsafe { slot.value.read() }
});

impl<T, A: Allocator> Drop for SlotsIntoIter<T, A> {
    fn drop(&mut self) {
        // SAFETY: it is the table of the collection that was made empty, and nothing is put into it.
        unsafe { self.filled.drop_all(&self.slots.table) };
    }
}

impl<T, A: Allocator> Drop for Drain<'_, T, A> {
    fn drop(&mut self) {
        // SAFETY: as above; the collection is borrowed until now.
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

/// Puts values in whose keys are found later: by [`iter`](Slots::iter), or [`keys`](Slots::keys).
impl<T, A: Allocator> Extend<T> for Slots<T, A> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| _ = self.insert(value));
    }
}

/// In the order in which they come.
impl<T> FromIterator<T> for Slots<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut slots = Self::new();
        slots.extend(values);
        slots
    }
}
