//! What stands for a value in a collection: a number and a generation.

use core::{fmt, hash, marker::PhantomData, num::NonZero};

/// What stands for a value in a [`Slots`](crate::Slots) or [`SharedSlots`](crate::SharedSlots): eight bytes, and so is
/// `Option<Key<T>>`.
///
/// A key says which slot, and the how many-th value there. So one whose value was removed is good for nothing, whoever has
/// the slot now. It belongs to the collection that made it; another one of the same type may have a value for it.
pub struct Key<T> {
    index: u32,
    generation: NonZero<u32>,
    of: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// The key of the value of this generation at this index; there is a value only in odd generations.
    #[inline(always)]
    pub(super) fn new(index: u32, generation: u32) -> Self {
        let generation = NonZero::new(generation).unwrap_or(NonZero::<u32>::MAX);
        Self { index, generation, of: PhantomData }
    }

    #[inline(always)]
    pub(super) fn generation(self) -> u32 {
        self.generation.get()
    }

    /// The number of the slot. Slots are numbered from zero, and those that are free are used before new ones.
    #[inline(always)]
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// Slot and generation as one number, to be stored elsewhere; see [`from_bits`](Self::from_bits).
    #[must_use]
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation.get()) << 32 | u64::from(self.index)
    }

    /// The key that [`to_bits`](Self::to_bits) was asked of; none for a number that no key has.
    ///
    /// ```
    /// use millpond::{Key, Slots};
    ///
    /// let mut slots = Slots::new();
    /// let key = slots.insert("kept");
    /// assert_eq!(Key::from_bits(key.to_bits()), Some(key));
    /// assert_eq!(Key::<&str>::from_bits(7), None);
    /// ```
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        let generation = (bits >> 32) as u32;
        (generation % 2 == 1).then(|| Self::new(bits as u32, generation))
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Key<T> {
    /// By slot first.
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}

impl<T> hash::Hash for Key<T> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.to_bits().hash(state);
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} of generation {})", self.index, self.generation)
    }
}
