//! Which blocks are followed, if following all of them would take too much time or memory.
//!
//! A block is in the sample by a hash of the address at which it was allocated, so its allocation and its free are both
//! seen or both skipped. If one block in `k` is in the sample, a sum over the sampled blocks that are live at some moment,
//! multiplied by `k`, estimates the sum over all: the addresses of live blocks differ, and the hash does not depend on
//! what the program does. `k` is a power of two and only grows, and each sample contains the next one. Large blocks are
//! few but matter most, so all of them are followed; how large is also adapted. A block that is moved stays in the
//! sample, or outside of it.

/// A live block that is followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Block {
    /// When it was allocated.
    pub(crate) birth: u64,
    pub(crate) size: u64,
    /// The stack that allocated it.
    pub(crate) stack: u32,
    /// How small a sample can be that contains it.
    rank: u8,
    /// The number of binary digits of the size with which it was allocated.
    digits: u8,
}

/// Bits of the smallest filter.
const FEWEST_BITS: usize = 1 << 16;
/// Bits of the largest filter.
const MOST_BITS: usize = 1 << 22;
/// Blocks of at least 2 to this power bytes, minus one, are large in the first samples.
const LARGE: u8 = 13;
/// Only one block of 2 to this power is in the smallest sample.
const SMALLEST: u8 = 16;

/// The sample.
pub(crate) struct Sample {
    /// One block of 2 to this power is in the sample.
    power: u8,
    /// All blocks whose size has at least this number of binary digits are followed.
    large: u8,
    /// A bit for each hash of an address at which there may be a block that is followed though its address is not in the
    /// sample: one that is large, or was moved.
    others: Vec<u64>,
    /// Number of bits that are set.
    set: usize,
}

impl Default for Sample {
    fn default() -> Self {
        Self { power: 0, large: LARGE, others: vec![0; FEWEST_BITS / 64], set: 0 }
    }
}

/// Mixes an address: every bit of the result depends on all of its bits.
#[inline]
fn hash(address: u64) -> u64 {
    let mixed = (address ^ address >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// Returns how small a sample can be that contains an address.
#[inline]
fn rank(hash: u64) -> u8 {
    hash.leading_zeros() as u8
}

fn digits(size: u64) -> u8 {
    (u64::BITS - size.leading_zeros()) as u8
}

impl Sample {
    /// Returns for how many blocks a sampled one stands.
    pub(crate) fn factor(&self) -> u64 {
        1 << self.power
    }

    /// Returns whether all blocks are followed.
    pub(crate) fn is_everything(&self) -> bool {
        self.power == 0
    }

    /// Returns the size from which on all blocks are followed.
    pub(crate) fn large(&self) -> u64 {
        1 << (self.large - 1)
    }

    /// Returns the block that is allocated, if it is to be followed.
    #[inline]
    pub(crate) fn block(&self, address: u64, birth: u64, size: u64, stack: u32) -> Option<Block> {
        let block = Block { birth, size, stack, rank: rank(hash(address)), digits: digits(size) };
        self.contains(&block).then_some(block)
    }

    /// Returns whether a block is followed.
    pub(crate) fn contains(&self, block: &Block) -> bool {
        block.rank >= self.power || self.has_all_of(block)
    }

    /// Returns whether all blocks of this kind are followed, so that it stands for itself alone.
    pub(crate) fn has_all_of(&self, block: &Block) -> bool {
        self.power == 0 || block.digits >= self.large
    }

    /// Returns whether an allocation of this size at this address must be followed. If so, a later free of it is.
    #[inline]
    pub(crate) fn notices(&mut self, address: u64, size: u64) -> bool {
        if rank(hash(address)) >= self.power {
            return true;
        }
        let is_large = digits(size) >= self.large;
        if is_large {
            self.expect(address);
        }
        is_large
    }

    /// Returns whether there may be a block that is followed at an address.
    #[inline]
    pub(crate) fn may_have(&self, address: u64) -> bool {
        let hash = hash(address);
        rank(hash) >= self.power || self.others[self.word(hash)] >> (hash % 64) & 1 == 1
    }

    /// Notes that there may be a block that is followed at an address, whatever its hash.
    pub(crate) fn expect(&mut self, address: u64) {
        let hash = hash(address);
        let word = self.word(hash);
        let bit = 1 << (hash % 64);
        self.set += usize::from(self.others[word] & bit == 0);
        self.others[word] |= bit;
    }

    #[inline]
    fn word(&self, hash: u64) -> usize {
        (hash >> 6) as usize % self.others.len()
    }

    /// Takes half as many blocks from now on, and only larger ones are followed all: those that are left out are no longer
    /// [contained](Self::contains). Returns whether that was possible.
    pub(crate) fn thin(&mut self, with_larger: bool) -> bool {
        if self.power == SMALLEST {
            return false;
        }
        self.power += 1;
        self.large += u8::from(with_larger && self.large < 40);
        true
    }

    /// Returns whether the number of expected addresses is so large that [`may_have`](Self::may_have) is often wrong.
    pub(crate) fn is_crowded(&self) -> bool {
        self.set > self.others.len() * 16
    }

    /// Forgets which addresses are expected, except these.
    pub(crate) fn expect_only(&mut self, addresses: impl Iterator<Item = u64> + Clone) {
        let wanted = addresses.clone().count() * 16;
        let bits = wanted.next_power_of_two().clamp(FEWEST_BITS, MOST_BITS);
        (self.others, self.set) = (vec![0; bits / 64], 0);
        let power = self.power;
        addresses.filter(|&address| rank(hash(address)) < power).for_each(|address| self.expect(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(power: u8) -> Sample {
        let mut sample = Sample::default();
        (0..power).for_each(|_| assert!(sample.thin(false)));
        sample
    }

    #[test]
    fn a_sample_has_its_share_of_neighbouring_addresses() {
        for (power, step) in [(0, 16), (1, 16), (3, 32), (3, 4096), (6, 48)] {
            let sample = sample(power);
            let count = 1_u64 << 20;
            let addresses = (0..count).map(|number| 0x7f12_3456_0000 + number * step);
            let found = addresses.filter(|&address| sample.may_have(address)).count() as f64;
            let expected = count as f64 / sample.factor() as f64;
            assert!((found - expected).abs() <= 4.0 * expected.sqrt(), "{power} {step}: {found}");
        }
    }

    #[test]
    fn each_sample_contains_the_next() {
        let (more, less) = (sample(3), sample(4));
        for address in (0..100_000).map(|number| number * 16) {
            assert!(more.may_have(address) || !less.may_have(address));
        }
    }

    #[test]
    fn large_blocks_are_followed_wherever_they_are() {
        let mut sample = sample(SMALLEST);
        let large = sample.large();
        assert!((1..1000).all(|number| sample.notices(number << 20, large)));
        assert!((1..1000).all(|number| sample.may_have(number << 20)));
        assert!(sample.block(1 << 20, 0, large, 0).is_some_and(|block| sample.has_all_of(&block)));
        assert!(!sample.thin(true));
        let few = (1..1000).filter(|number| sample.notices(number << 20, large - 1)).count();
        assert!(few < 10);
        (0..100_000).for_each(|address| sample.expect(address * 16));
        assert!(sample.is_crowded());
        sample.expect_only([1 << 20].into_iter());
        assert!(!sample.is_crowded() && sample.may_have(1 << 20) && !sample.may_have(7 << 20));
    }
}
