//! Slots whose keys are known before their values exist, and access to several values at once.

use super::{Key, Slots};
use crate::{base::AllocError, shell::out_of_memory, traits::Allocator};

/// A vacant slot of a [`Slots`]: see [`Slots::vacant_entry`].
///
/// Dropping it has no effect.
pub struct VacantEntry<'a, T, A: Allocator> {
    slots: &'a mut Slots<T, A>,
    key: Key<T>,
}

impl<'a, T, A: Allocator> VacantEntry<'a, T, A> {
    /// Returns the key that the value will have.
    #[must_use]
    pub fn key(&self) -> Key<T> {
        self.key
    }

    /// Inserts the value into the slot.
    pub fn insert(self, value: T) -> &'a mut T {
        let slot_index = self.key.slot_index();
        self.slots.insert(value);
        // SAFETY: the value was inserted into the slot of the key, because the collection is borrowed and has not
        // changed since the key was determined.
        unsafe { &mut *self.slots.table.value(slot_index) }
    }
}

impl<T, A: Allocator> Slots<T, A> {
    /// Returns the slot that the next value will have. Ends the program if there is no memory. O(1).
    ///
    /// [`insert_with`](Self::insert_with) is shorter if a closure can make the value.
    ///
    /// ```
    /// use millpond::{Key, Slots};
    ///
    /// struct Node {
    ///     this: Key<Node>,
    /// }
    ///
    /// let mut slots = Slots::new();
    /// let entry = slots.vacant_entry();
    /// let this = entry.key();
    /// entry.insert(Node { this });
    /// assert!(slots[this].this == this);
    /// ```
    pub fn vacant_entry(&mut self) -> VacantEntry<'_, T, A> {
        match self.make_room() {
            Ok(()) => self.next_entry(),
            Err(error) => out_of_memory(core::alloc::Layout::new::<T>(), error),
        }
    }

    /// Returns the slot that the next value will have, or an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`reserve`](Self::reserve).
    pub fn try_vacant_entry(&mut self) -> Result<VacantEntry<'_, T, A>, AllocError> {
        self.make_room()?;
        Ok(self.next_entry())
    }

    /// Ensures that there is a slot for one more value.
    #[inline]
    pub(super) fn make_room(&mut self) -> Result<(), AllocError> {
        if self.vacated_keys.last().is_none() && self.fresh == self.ready {
            self.make_ready()
        } else {
            Ok(())
        }
    }

    /// Returns the slot of the next value. There must be room for it.
    fn next_entry(&mut self) -> VacantEntry<'_, T, A> {
        // SAFETY: these are the bits of a key; and a slot that is prepared has a generation.
        let key = unsafe {
            match self.vacated_keys.last() {
                Some(bits) => Key::from_valid_bits(bits),
                None => Key::new(self.fresh, self.newest.generation(self.fresh).read()),
            }
        };
        VacantEntry { slots: self, key }
    }

    /// Returns mutable references to the values of several keys, or `None` if one of the values has been removed or
    /// if two keys are equal. O(`N`²).
    ///
    /// ```
    /// let mut slots = millpond::Slots::new();
    /// let (one, other) = (slots.insert(1), slots.insert(2));
    /// let [first, second] = slots.get_disjoint_mut([one, other]).expect("both are there");
    /// std::mem::swap(first, second);
    /// assert_eq!((slots[one], slots[other]), (2, 1));
    /// assert!(slots.get_disjoint_mut([one, one]).is_none());
    /// ```
    #[must_use]
    pub fn get_disjoint_mut<const N: usize>(&mut self, keys: [Key<T>; N]) -> Option<[&mut T; N]> {
        let alone = |(index, key): (usize, &Key<T>)| !keys[..index].contains(key);
        if !keys.iter().all(|key| self.contains(*key)) || !keys.iter().enumerate().all(alone) {
            return None;
        }
        // SAFETY: every slot holds a value. The slots are different because the keys are, and a slot has only one
        // valid key at a time. The values are mutably borrowed with the collection.
        Some(keys.map(|key| unsafe { &mut *self.table.value(key.slot_index()) }))
    }
}
