//! Random numbers: what decides the order in which the hardened modes hand out blocks.

use core::cell::Cell;

use crate::os;

/// Seeds that are asked of the system at once.
const SEEDS: usize = 16;
/// Numbers that are made of one seed.
const NUMBERS_PER_SEED: u8 = 64;

/// Random numbers of one thread: those of SplitMix64 (Steele, Lea, Flood 2014), which begins anew with a seed of the
/// system every 64 numbers, so that what a program learns of the order of its blocks soon tells nothing.
pub(crate) struct Random {
    seeds: [Cell<u64>; SEEDS],
    seeds_left: Cell<u8>,
    state: Cell<u64>,
    numbers_left: Cell<u8>,
}

impl Random {
    pub(crate) const fn new() -> Self {
        Self {
            seeds: [const { Cell::new(0) }; SEEDS],
            seeds_left: Cell::new(0),
            state: Cell::new(0),
            numbers_left: Cell::new(0),
        }
    }

    /// Returns a number.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        match self.numbers_left.get() {
            0 => {
                self.state.set(self.seed());
                self.numbers_left.set(NUMBERS_PER_SEED - 1);
            }
            left => self.numbers_left.set(left - 1),
        }
        self.state.set(self.state.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        mix(self.state.get())
    }

    /// Returns a number below `bound`, which is less than 2^32.
    pub(crate) fn below(&self, bound: usize) -> usize {
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }

    /// Puts blocks into random order (Fisher, Yates 1938).
    pub(crate) fn shuffle(&self, blocks: &mut [usize]) {
        for last in (1..blocks.len()).rev() {
            blocks.swap(last, self.below(last + 1));
        }
    }

    #[cold]
    #[inline(never)]
    fn seed(&self) -> u64 {
        if self.seeds_left.get() == 0 {
            let mut seeds = [0; SEEDS];
            fill(&mut seeds);
            self.seeds.iter().zip(seeds).for_each(|(place, seed)| place.set(seed));
            self.seeds_left.set(SEEDS as u8);
        }
        let left = self.seeds_left.get() - 1;
        self.seeds_left.set(left);
        self.seeds[usize::from(left)].replace(0)
    }
}

/// Fills an array with random numbers of the system; if it has none yet, with numbers that depend on the time and on
/// addresses.
pub(crate) fn fill(numbers: &mut [u64]) {
    if !os::random(numbers) {
        let mut state = (&raw const *numbers).addr() as u64 ^ os::milliseconds() << 48;
        for number in numbers {
            state = mix(state.wrapping_add(1));
            *number = state;
        }
    }
}

/// Returns a number in which each bit depends on every bit of another.
#[inline]
pub(crate) fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_below_their_bound_and_reach_it() {
        let random = Random::new();
        let mut seen = [false; 10];
        (0..1000).for_each(|_| seen[random.below(10)] = true);
        assert_eq!(seen, [true; 10]);
    }

    #[test]
    fn a_shuffle_keeps_the_blocks() {
        let random = Random::new();
        let mut blocks: [usize; 61] = core::array::from_fn(|index| index);
        random.shuffle(&mut blocks);
        assert!(!blocks.is_sorted());
        blocks.sort_unstable();
        assert!(blocks.iter().copied().eq(0..61));
    }
}
