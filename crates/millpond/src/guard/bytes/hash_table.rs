//! A hash table that stores its entries inline.
//!
//! Open addressing with linear probing, at most three quarters full. Removing an entry leaves no tombstone, because the
//! entries that follow are moved up. Finding, inserting and removing take O(1) expected time. The home of a key depends
//! on all of its bits, so that keys at equal distances, such as addresses, do not cluster. Running out of memory is an
//! error, not an abort.
//!
//! Source: Knuth, "The Art of Computer Programming", volume 3, section 6.4, algorithms L and R (1973).

use alloc::vec::Vec;

use crate::{base::AllocError, traits::InvariantError};

/// The minimum number of places in a table that is not empty.
const LEAST: usize = 16;

/// An entry of a table. The default is a vacant place.
pub(super) trait Keyed: Copy + Default {
    /// Returns the key; zero for the default, and for no other entry.
    fn key(&self) -> u64;
}

/// The table.
///
/// # Invariants
///
/// * The number of places is zero or a power of two. `taken` of them, at most three quarters, are not vacant.
/// * From the home of an entry to its place, no place is vacant. No two entries have the same key.
#[derive(Debug)]
pub(super) struct Table<E> {
    places: Vec<E>,
    taken: usize,
}

impl<E: Keyed> Table<E> {
    pub(super) const EMPTY: Self = Self { places: Vec::new(), taken: 0 };

    /// Returns the place where the search for a key begins. It is out of bounds if there are no places.
    fn home(&self, key: u64) -> usize {
        let product = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (product ^ (product >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (mixed >> (u64::BITS - self.places.len().trailing_zeros().min(63))) as usize
    }

    fn following(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    fn place(&self, key: u64) -> Option<usize> {
        let mut place = self.home(key);
        loop {
            match self.places.get(place)?.key() {
                0 => return None,
                there if there == key => return Some(place),
                _ => place = self.following(place),
            }
        }
    }

    /// Returns the entry with this key.
    #[inline]
    pub(super) fn find(&self, key: u64) -> Option<&E> {
        self.places.get(self.place(key)?)
    }

    /// Returns the entry with this key, whose key must not be changed.
    #[inline]
    pub(super) fn find_mut(&mut self, key: u64) -> Option<&mut E> {
        let place = self.place(key)?;
        self.places.get_mut(place)
    }

    /// Reserves room for `more` entries, at most twelve.
    pub(super) fn reserve(&mut self, more: usize) -> Result<(), AllocError> {
        let size = self.places.len();
        if self.taken + more > size / 4 * 3 { self.rebuild((size * 2).max(LEAST)) } else { Ok(()) }
    }

    #[cold]
    fn rebuild(&mut self, size: usize) -> Result<(), AllocError> {
        let mut places = Vec::new();
        places.try_reserve_exact(size).map_err(|_| AllocError::Exhausted)?;
        places.resize(size, E::default());
        let old = core::mem::replace(self, Self { places, taken: 0 });
        old.iter().for_each(|&entry| self.insert(entry));
        Ok(())
    }

    /// Inserts an entry whose key is not in the table. There must be room.
    pub(super) fn insert(&mut self, entry: E) {
        let mut place = self.home(entry.key());
        while self.places[place].key() != 0 {
            place = self.following(place);
        }
        self.places[place] = entry;
        self.taken += 1;
    }

    /// Removes the entry with this key, if there is one. Memory that is no longer needed is freed.
    pub(super) fn remove(&mut self, key: u64) {
        let Some(mut hole) = self.place(key) else { return };
        self.taken -= 1;
        let mut place = self.following(hole);
        while self.places[place].key() != 0 {
            let way = |from: usize| place.wrapping_sub(from) & (self.places.len() - 1);
            // An entry that would be searched for from the hole, or from in front of it, is moved there.
            if way(self.home(self.places[place].key())) >= way(hole) {
                self.places[hole] = self.places[place];
                hole = place;
            }
            place = self.following(place);
        }
        self.places[hole] = E::default();
        if self.taken < self.places.len() / 8 && self.places.len() > LEAST {
            // If there is no memory for a smaller table, the larger one stays.
            let _ = self.rebuild(self.places.len() / 2);
        }
    }

    /// Returns all entries, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        self.places.iter().filter(|entry| entry.key() != 0)
    }

    /// Removes all entries. The memory is kept for as many again, unless most of it was unused.
    pub(super) fn clear(&mut self) {
        if self.taken < self.places.len() / 8 {
            *self = Self::EMPTY;
        } else {
            self.places.fill(E::default());
            self.taken = 0;
        }
    }

    /// Verifies the invariants. O(n).
    pub(super) fn check(&self) -> Result<(), InvariantError> {
        let finds = |entry: &E| self.find(entry.key()).is_some_and(|found| core::ptr::eq(found, entry));
        if self.iter().count() != self.taken || !self.iter().all(finds) {
            return Err(InvariantError("an entry of the table of blocks cannot be found"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keyed for u64 {
        fn key(&self) -> u64 {
            *self
        }
    }

    /// Keys at equal distances do not cluster, whatever the distance.
    #[test]
    fn equidistant_keys_stay_near_their_home() {
        for distance in (0..28).map(|log| 1 << log).chain([48, 80, 96, 336, 1008, 4112]) {
            let mut table = Table::EMPTY;
            for number in 1..6_000 {
                table.reserve(1).expect("the heap has room");
                table.insert(!(0x7f12_3456_0000 + number * distance));
            }
            table.check().expect("all are there");
            let ways = table.places.iter().enumerate().filter(|(_, key)| **key != 0);
            let far = ways.map(|(place, &key)| place.wrapping_sub(table.home(key)) % table.places.len());
            let sum: usize = far.sum();
            assert!(sum < 2 * 6_000, "at distances of {distance}, {sum} steps to 6,000 keys");
        }
    }

    #[test]
    fn unused_memory_is_freed() {
        let mut table = Table::EMPTY;
        let fill = |table: &mut Table<u64>, most: u64| {
            for key in 1..=most {
                table.reserve(1).expect("the heap has room");
                table.insert(key);
            }
        };
        fill(&mut table, 10_000);
        let most = table.places.len();
        (1..=10_000).for_each(|key| table.remove(key));
        assert_eq!((table.taken, table.places.len()), (0, LEAST));
        fill(&mut table, 10_000);
        table.clear();
        fill(&mut table, 10);
        assert_eq!(table.places.len(), most, "as many may come again");
        table.clear();
        assert_eq!(table.places.capacity(), 0);
    }
}
