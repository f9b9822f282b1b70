//! Going through all values of a collection: to look at them, to keep some, to take them out.

use core::mem::forget;

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
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Key<T>, &T)> {
        Places::to(self.fresh).filter_map(|place| {
            let key = self.key_at(place)?;
            Some((key, self.get(key)?))
        })
    }

    /// As [`iter`](Self::iter), with values to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (Key<T>, &mut T)> {
        let this = &*self;
        Places::to(self.fresh).filter_map(move |place| {
            let key = this.key_at(place)?;
            // SAFETY: as in `get_mut`: there is a value, the collection is borrowed mutably, and every place comes once.
            Some((key, unsafe { &mut *this.table.value(place) }))
        })
    }

    /// The keys of all values, in the order of their slots. O(slots ever used at a time).
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = Key<T>> {
        Places::to(self.fresh).filter_map(|place| self.key_at(place))
    }

    /// All values, in the order of their slots. O(slots ever used at a time).
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }

    /// As [`values`](Self::values), to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
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
