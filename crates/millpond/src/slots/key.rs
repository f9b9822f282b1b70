//! The keys of collections: a slot index and a generation.

use core::{fmt, hash, marker::PhantomData, num::NonZero};

use crate::sync::SlotIndex;

/// The key of a value in a [`Slots`](crate::Slots) or [`SharedSlots`](crate::SharedSlots). It has eight bytes, and so
/// has `Option<Key<T>>`.
///
/// A key identifies a slot and a generation of the slot. After the value has been removed, the key finds nothing,
/// even if the slot holds another value. A key belongs to the collection that created it; another collection of the
/// same type may have a different value for the same key.
///
/// # Invariants
///
/// The lower half of `bits` is a slot index; the upper half is a generation, which is odd.
pub struct Key<T> {
    bits: NonZero<u64>,
    of: PhantomData<fn() -> T>,
}

/// The difference between two generations, in the bits of a key.
const STEP: NonZero<u64> = NonZero::<u64>::MIN.saturating_add(1).saturating_pow(32);

impl<T> Key<T> {
    /// Creates the key of a slot: with the given generation if it is odd, otherwise with the next one.
    #[inline(always)]
    pub(super) fn new(slot_index: SlotIndex, generation: u32) -> Self {
        let bits = u64::from(generation) << 32 | u64::from(slot_index.bits());
        Self { bits: STEP | bits, of: PhantomData }
    }

    /// Creates a key from its bits.
    ///
    /// # Safety
    ///
    /// The bits must be those of a key.
    #[inline(always)]
    pub(super) unsafe fn from_valid_bits(bits: NonZero<u64>) -> Self {
        Self { bits, of: PhantomData }
    }

    /// Returns the bits of the key of the next value in this slot. Meaningless if this is the last generation.
    #[inline(always)]
    pub(super) fn following(self) -> NonZero<u64> {
        STEP | self.bits.get().wrapping_add(2 * STEP.get())
    }

    #[inline(always)]
    pub(super) fn slot_index(self) -> SlotIndex {
        SlotIndex::from_valid_bits(self.bits.get() as u32)
    }

    #[inline(always)]
    pub(super) fn generation(self) -> u32 {
        (self.bits.get() >> 32) as u32
    }

    /// Returns the index of the slot. Slots are numbered from zero, and vacant slots are reused before new ones are
    /// used.
    #[inline(always)]
    #[must_use]
    pub fn index(self) -> u32 {
        self.slot_index().position()
    }

    /// Converts the key to an integer that can be stored elsewhere. See [`from_bits`](Self::from_bits).
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.bits.get()
    }

    /// Converts an integer from [`to_bits`](Self::to_bits) back to the key. Returns `None` if the integer is not a
    /// key.
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
        let slot_index = SlotIndex::from_bits(bits as u32)?;
        (bits & STEP.get() != 0).then(|| Self::new(slot_index, (bits >> 32) as u32))
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
        self.bits == other.bits
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Key<T> {
    /// Compares the slots first, then the generations.
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.slot_index(), self.generation()).cmp(&(other.slot_index(), other.generation()))
    }
}

impl<T> hash::Hash for Key<T> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.bits.hash(state);
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} of generation {})", self.index(), self.generation())
    }
}
