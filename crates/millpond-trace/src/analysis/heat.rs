//! Sizes and lifetimes of blocks in one map.

use super::class;

/// Counts of freed blocks by size and lifetime, both in powers of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeatMap {
    cells: Box<[(u64, u64)]>,
}

impl HeatMap {
    /// Number of classes of sizes: class 0 is 0 and 1 byte, class `n` from 2ⁿ to below 2ⁿ⁺¹ bytes, the last has no end.
    pub const SIZES: usize = 48;
    /// Number of classes of lifetimes: class 0 is 0 and 1 ns, class `n` from 2ⁿ to below 2ⁿ⁺¹ ns, the last has no end.
    pub const LIFETIMES: usize = 48;

    pub(super) fn new() -> Self {
        Self { cells: vec![(0, 0); Self::SIZES * Self::LIFETIMES].into() }
    }

    /// Returns the number of blocks of a class of sizes and a class of lifetimes, and their bytes.
    pub fn get(&self, size: usize, lifetime: usize) -> (u64, u64) {
        self.cells[size * Self::LIFETIMES + lifetime]
    }

    /// Notes a block that was freed.
    #[inline]
    pub(super) fn note(&mut self, size: u64, lifetime: u64) {
        let (size_class, lifetime) = (class(size, 0, Self::SIZES), class(lifetime, 0, Self::LIFETIMES));
        let (count, bytes) = &mut self.cells[size_class * Self::LIFETIMES + lifetime];
        *count += 1;
        *bytes = bytes.saturating_add(size);
    }
}
