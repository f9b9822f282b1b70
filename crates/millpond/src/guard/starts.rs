//! Which entry of a list begins at an address: a hash table of numbers.
//!
//! Open addressing with linear probing, at most half full; what is removed leaves no mark, because what follows is moved up.
//! Finding, inserting and removing are O(1) expected. The table holds numbers alone: where an entry begins, its list knows.
//!
//! Source: Knuth, "The Art of Computer Programming", volume 3, section 6.4, algorithms L and R (1973).

use alloc::vec::Vec;

use crate::base::AllocError;

/// The number of no entry.
pub(super) const NONE: u32 = u32::MAX;

/// The least number of places in a table that has any.
const LEAST: usize = 16;

/// The table.
///
/// # Invariants
///
/// * There are no places, or a power of two of them, of which `taken`, at most half, hold a number.
/// * From the home of an entry to its place, no place is empty.
#[derive(Debug)]
pub(super) struct Starts {
    places: Vec<u32>,
    taken: usize,
}

impl Starts {
    pub(super) const EMPTY: Self = Self { places: Vec::new(), taken: 0 };

    /// Where the search for an address begins: its product's upper bits depend on all of its own.
    fn home(&self, start: usize) -> usize {
        let mixed = (start as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as usize & (self.places.len() - 1)
    }

    fn following(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    /// The number of the entry that begins at `start`, if there is one.
    pub(super) fn find(&self, start: usize, start_of: impl Fn(u32) -> usize) -> Option<u32> {
        self.place(start, start_of).map(|place| self.places[place])
    }

    fn place(&self, start: usize, start_of: impl Fn(u32) -> usize) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let mut place = self.home(start);
        loop {
            match self.places[place] {
                NONE => return None,
                number if start_of(number) == start => return Some(place),
                _ => place = self.following(place),
            }
        }
    }

    /// Makes sure that there is room for one more.
    pub(super) fn reserve(&mut self, start_of: impl Fn(u32) -> usize) -> Result<(), AllocError> {
        if self.taken < self.places.len() / 2 {
            return Ok(());
        }
        let size = (self.places.len() * 2).max(LEAST);
        let mut places = Vec::new();
        places.try_reserve_exact(size).map_err(|_| AllocError::Exhausted)?;
        places.resize(size, NONE);
        let old = core::mem::replace(self, Self { places, taken: 0 });
        for number in old.places.into_iter().filter(|&number| number != NONE) {
            self.insert(start_of(number), number);
        }
        Ok(())
    }

    /// Enters a number for an address that has none. There is room.
    pub(super) fn insert(&mut self, start: usize, number: u32) {
        let mut place = self.home(start);
        while self.places[place] != NONE {
            place = self.following(place);
        }
        self.places[place] = number;
        self.taken += 1;
    }

    /// Removes the number of the entry that begins at `start`, if there is one.
    pub(super) fn remove(&mut self, start: usize, start_of: impl Fn(u32) -> usize) {
        let Some(mut hole) = self.place(start, &start_of) else { return };
        self.taken -= 1;
        let mut place = self.following(hole);
        while self.places[place] != NONE {
            let way = |from: usize| place.wrapping_sub(from) & (self.places.len() - 1);
            // Whatever would be sought for from the hole, or from in front of it, is moved there.
            if way(self.home(start_of(self.places[place]))) >= way(hole) {
                self.places[hole] = self.places[place];
                hole = place;
            }
            place = self.following(place);
        }
        self.places[hole] = NONE;
    }

    /// Removes all.
    pub(super) fn clear(&mut self) {
        self.places.fill(NONE);
        self.taken = 0;
    }

    /// Whether it holds `count` numbers.
    pub(super) fn has(&self, count: usize) -> bool {
        self.taken == count && self.places.iter().filter(|&&number| number != NONE).count() == count
    }
}
