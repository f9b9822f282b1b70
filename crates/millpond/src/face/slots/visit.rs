//! Going through all values of a collection: to look at them, to keep some, to take them out.

use core::{iter::FusedIterator, marker::PhantomData, mem::forget};

use super::{Key, Slots};
use crate::{contract::Allocator, share::Place};

/// The places below some place, in order.
pub(super) struct Places {
    front: Place,
    back: Place,
}

impl Places {
    /// Those before `end`, which may be the end of a segment.
    pub(super) fn to(end: Place) -> Self {
        Self { front: Place::ZERO, back: end }
    }
}

impl Iterator for Places {
    type Item = Place;

    #[inline]
    fn next(&mut self) -> Option<Place> {
        let place = self.front;
        if place >= self.back {
            return None;
        }
        self.front = place.next();
        Some(place)
    }
}

impl DoubleEndedIterator for Places {
    fn next_back(&mut self) -> Option<Place> {
        if self.front >= self.back {
            return None;
        }
        self.back = self.back.previous();
        Some(self.back)
    }
}

impl<T, A: Allocator> Slots<T, A> {
    /// All values with their keys, in the order of their slots. O(slots ever used at a time).
    pub fn iter(&self) -> SlotsIter<'_, T, A> {
        SlotsIter { places: Places::to(self.fresh), left: self.len(), slots: self }
    }

    /// As [`iter`](Self::iter), with values to be changed.
    pub fn iter_mut(&mut self) -> SlotsIterMut<'_, T, A> {
        let all = self.iter();
        SlotsIterMut { places: all.places, left: all.left, slots: self, values: PhantomData }
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
        for place in Places::to(self.fresh) {
            if let Some(key) = self.key_at(place)
                && let Some(value) = self.get_mut(key)
                && !keep(key, value)
            {
                drop(self.remove(key));
            }
        }
    }

    /// Takes all values out, in the order of their slots. Those that are left when the iterator goes are dropped.
    pub fn drain(&mut self) -> Drain<'_, T, A> {
        Drain { places: Places::to(self.fresh), slots: self }
    }
}

/// All values with their keys: see [`Slots::iter`].
pub struct SlotsIter<'a, T, A: Allocator> {
    places: Places,
    left: usize,
    slots: &'a Slots<T, A>,
}

/// All values with their keys, to be changed: see [`Slots::iter_mut`].
pub struct SlotsIterMut<'a, T, A: Allocator> {
    places: Places,
    left: usize,
    /// No reference to a value is had from it, but each place's once.
    slots: &'a Slots<T, A>,
    values: PhantomData<&'a mut T>,
}

/// All values with their keys, taken out: those that are left when it goes are dropped, and the memory goes back.
pub struct SlotsIntoIter<T, A: Allocator> {
    places: Places,
    slots: Slots<T, A>,
}

/// Both ends of an iterator: `next` and `next_back` look for the next key from theirs, and `of` says what is yielded.
macro_rules! both_ends {
    ([$($generics:tt)*] $name:ty, $item:ty, $left:expr, $of:expr) => {
        impl<$($generics)*> Iterator for $name {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                let key = self.places.find_map(|place| self.slots.key_at(place))?;
                $of(self, key)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                let left = $left(self);
                (left, Some(left))
            }
        }

        impl<$($generics)*> DoubleEndedIterator for $name {
            #[inline]
            fn next_back(&mut self) -> Option<$item> {
                let key = self.places.by_ref().rev().find_map(|place| self.slots.key_at(place))?;
                $of(self, key)
            }
        }

        impl<$($generics)*> ExactSizeIterator for $name {}
        impl<$($generics)*> FusedIterator for $name {}
    };
}

both_ends!(['a, T, A: Allocator] SlotsIter<'a, T, A>, (Key<T>, &'a T), |this: &Self| this.left, |this: &mut Self, key| {
    this.left -= 1;
    Some((key, this.slots.get(key)?))
});

both_ends!(['a, T, A: Allocator] SlotsIterMut<'a, T, A>, (Key<T>, &'a mut T), |this: &Self| this.left, |this: &mut Self, key: Key<T>| {
    this.left -= 1;
    // SAFETY: there is a value, the collection is borrowed mutably, and every place comes once.
    Some((key, unsafe { &mut *this.slots.table.value(key.place()) }))
});

both_ends!([T, A: Allocator] SlotsIntoIter<T, A>, (Key<T>, T), |this: &Self| this.slots.len(), |this: &mut Self, key| {
    Some((key, this.slots.remove(key)?))
});

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

    fn into_iter(self) -> Self::IntoIter {
        SlotsIntoIter { places: Places::to(self.fresh), slots: self }
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

/// Takes values out of a collection: see [`Slots::drain`].
pub struct Drain<'a, T, A: Allocator> {
    places: Places,
    slots: &'a mut Slots<T, A>,
}

impl<T, A: Allocator> Iterator for Drain<'_, T, A> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let key = self.places.find_map(|place| self.slots.key_at(place))?;
        self.slots.remove(key)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.slots.len(), Some(self.slots.len()))
    }
}

impl<T, A: Allocator> ExactSizeIterator for Drain<'_, T, A> {}

impl<T, A: Allocator> Drop for Drain<'_, T, A> {
    /// Drops what is left, also if a destructor panics. (If two do, the program ends.)
    fn drop(&mut self) {
        /// Goes on where a destructor has panicked.
        struct GoOn<'a, 'b, T, A: Allocator>(&'a mut Drain<'b, T, A>);

        impl<T, A: Allocator> Drop for GoOn<'_, '_, T, A> {
            fn drop(&mut self) {
                self.0.for_each(drop);
            }
        }

        let rest = GoOn(self);
        rest.0.for_each(drop);
        forget(rest);
    }
}
