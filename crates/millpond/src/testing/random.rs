//! Random numbers that are the same on every platform, and numbers that are encoded in bytes.
//!
//! Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014): `SplitMix64`.

/// A sequence of numbers.
pub(super) enum Random<'a> {
    /// Determined by a seed, and infinite.
    Seed(u64),
    /// Encoded in bytes: a fuzzer that changes a byte changes a number, and none before it. After the last byte all
    /// numbers are zero.
    Bytes(&'a [u8]),
}

impl Random<'_> {
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = *state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Returns a number below `end`, which is not zero. Takes as many bytes as `end - 1` has.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let number = match self {
            Self::Seed(state) => Self::next(state),
            Self::Bytes(bytes) => {
                let wanted = (usize::BITS - (end - 1).leading_zeros()).div_ceil(8) as usize;
                let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
                *bytes = rest;
                taken.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
            }
        };
        (number % end as u64) as usize
    }

    pub(super) fn coin(&mut self) -> bool {
        match self {
            Self::Seed(state) => Self::next(state) & 1 == 1,
            Self::Bytes(_) => self.below(2) == 1,
        }
    }

    /// Returns whether there are numbers left.
    pub(super) fn goes_on(&self) -> bool {
        !matches!(self, Self::Bytes([]))
    }
}
