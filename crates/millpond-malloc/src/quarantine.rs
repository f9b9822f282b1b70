//! Freed blocks of a thread that are not reused yet, in [`Mode::Full`](crate::settings::Mode::Full).
//!
//! A block that comes in takes a random place among the first half of the places of its class, and the block that was
//! there the place of the block that is longest in the second half. So a block is reused after at least as many frees
//! as there are places in the second half; the exact number is random.

use core::{cell::Cell, ptr::null_mut};

use crate::{
    classes::{self, SIZES},
    os,
    random::Random,
};

/// Places of a class at most.
const PLACES: usize = 128;
/// Bytes of blocks of a class at most, except for its last two blocks.
const MOST_BYTES: usize = 32 << 10;

/// The number of places of each class.
const LENGTHS: [u8; classes::COUNT] = {
    let mut lengths = [0; classes::COUNT];
    let mut class = 1;
    while class < classes::COUNT {
        let places = MOST_BYTES / SIZES[class] as usize;
        // An even number: each half has as many.
        lengths[class] = if places < 2 {
            2
        } else if places > PLACES {
            PLACES as u8
        } else {
            places as u8 & !1
        };
        class += 1;
    }
    lengths
};

/// The quarantine of one thread.
pub(crate) struct Quarantine {
    /// The places of all classes; 0 where no block is. Null: not mapped yet.
    places: Cell<*mut usize>,
    /// For each class, the place in its second half that is exchanged next.
    oldest: [Cell<u8>; classes::COUNT],
}

impl Quarantine {
    pub(crate) const fn new() -> Self {
        Self { places: Cell::new(null_mut()), oldest: [const { Cell::new(0) }; classes::COUNT] }
    }

    /// Puts a block in, and returns the one that leaves, or 0. Without memory for places it is the same block.
    pub(crate) fn exchange(&self, class: usize, block: usize, random: &Random) -> usize {
        if self.places.get().is_null() && !self.map() {
            return block;
        }
        let half = usize::from(LENGTHS[class]) / 2;
        let oldest = usize::from(self.oldest[class].get());
        // SAFETY: the mapping has places for each class, belongs to this thread, and `oldest` is below the half.
        unsafe {
            let places = self.places.get().add(class * PLACES);
            let moved = places.add(random.below(half)).replace(block);
            if moved == 0 {
                return 0;
            }
            self.oldest[class].set(if oldest + 1 < half { oldest as u8 + 1 } else { 0 });
            places.add(half + oldest).replace(moved)
        }
    }

    /// Takes all blocks of a class out, and passes them to a function.
    pub(crate) fn drain(&self, class: usize, take: impl FnOnce(&[usize])) {
        if self.places.get().is_null() {
            return;
        }
        // SAFETY: the mapping has places for each class, and belongs to this thread.
        let places = unsafe {
            let first = self.places.get().add(class * PLACES);
            core::slice::from_raw_parts_mut(first, LENGTHS[class].into())
        };
        let mut count = 0;
        for index in 0..places.len() {
            if places[index] != 0 {
                places.swap(count, index);
                count += 1;
            }
        }
        take(&places[..count]);
        places.fill(0);
    }

    /// Maps the places of all classes; returns whether there was memory.
    #[cold]
    fn map(&self) -> bool {
        let places = os::keeping_errno(|| os::map(classes::COUNT * PLACES * size_of::<usize>()));
        self.places.set(places.map_or(null_mut(), |places| places.as_ptr().cast()));
        places.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_leave_late_and_once() {
        let (quarantine, random) = (Quarantine::new(), Random::new());
        let mut left = Vec::new();
        for block in 1..=1000 {
            match quarantine.exchange(4, block, &random) {
                0 => {}
                out => {
                    assert!(block - out >= PLACES / 2, "{out} left when {block} came");
                    left.push(out);
                }
            }
        }
        quarantine.drain(4, |rest| left.extend(rest));
        left.sort_unstable();
        assert!(left.into_iter().eq(1..=1000));
        quarantine.drain(4, |rest| assert!(rest.is_empty()));
    }
}
