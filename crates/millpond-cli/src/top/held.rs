//! What live blocks add up to, with the range in which the sums of all blocks lie if only a sample is followed.

use super::sample::{Block, Sample};
use crate::estimate::Estimate;

/// Live blocks of some stacks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Held {
    /// Those that stand for themselves.
    whole: Sum,
    /// Those that are a sample.
    part: Sum,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    blocks: u64,
    bytes: u64,
    /// The sum of the squares of the sizes.
    squares: f64,
    /// The sums of the ages in nanoseconds and of their squares.
    ages: f64,
    age_squares: f64,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.squares += other.squares;
        self.ages += other.ages;
        self.age_squares += other.age_squares;
    }
}

/// A block that is not in the sample can have this many bytes at most, and `factor` of them count as one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unseen {
    /// See [`Sample::factor`].
    pub(crate) factor: u64,
    /// The largest block that may have been left out.
    pub(crate) largest: u64,
}

/// Of fewer blocks, the sum of squares says little about those that were not seen.
const ENOUGH: u64 = 10;

impl Held {
    /// Returns by how many bytes these blocks differ from those `before`, of which `new` have been allocated since, if both
    /// are samples of one in `unseen.factor`. Blocks that were live before, and still are, add no uncertainty.
    pub(crate) fn growth(&self, before: &Self, new: &Self, unseen: Unseen) -> Estimate {
        let difference = |now: u64, before: u64| now as f64 - before as f64;
        let whole = difference(self.whole.bytes, before.whole.bytes);
        let part = difference(self.part.bytes, before.part.bytes);
        if unseen.factor == 1 {
            return Estimate::exact(whole + part);
        }
        let kept = self.part.blocks.saturating_sub(new.part.blocks);
        let changed = new.part.blocks + before.part.blocks.saturating_sub(kept);
        let kept_squares = self.part.squares - new.part.squares;
        let squares = new.part.squares + (before.part.squares - kept_squares).abs();
        let unknown = if changed < ENOUGH { 4.0 * unseen.largest as f64 } else { 0.0 };
        let factor = unseen.factor as f64;
        let (growth, half) = (whole + factor * part, factor * (2.0 * squares.sqrt() + unknown));
        Estimate { median: growth, least: growth - half, most: growth + half }
    }

    /// Adds a block.
    #[inline]
    pub(crate) fn note(&mut self, block: &Block, sample: &Sample, now: u64) {
        let sum = if sample.has_all_of(block) { &mut self.whole } else { &mut self.part };
        let age = now.saturating_sub(block.birth) as f64;
        sum.blocks += 1;
        sum.bytes = sum.bytes.saturating_add(block.size);
        sum.squares += block.size as f64 * block.size as f64;
        sum.ages += age;
        sum.age_squares += age * age;
    }

    /// Adds other blocks.
    pub(crate) fn add(&mut self, other: &Self) {
        self.whole.add(&other.whole);
        self.part.add(&other.part);
    }

    /// Returns the number of blocks.
    pub(crate) fn blocks(&self, unseen: Unseen) -> Estimate {
        let part = self.part.blocks as f64;
        let (least, most) = range(part);
        scaled(self.whole.blocks as f64, part, least.max(part / unseen.factor as f64), most, unseen.factor)
    }

    /// Returns their bytes.
    pub(crate) fn bytes(&self, unseen: Unseen) -> Estimate {
        let Sum { bytes, squares, .. } = self.part;
        let part = bytes as f64;
        // The number of blocks of one size that would vary as much.
        let like = if squares > 0.0 { part * part / squares } else { 0.0 };
        let (least, most) = range(like);
        let (least, most) = if like > 0.0 {
            (least / like * part, most / like * part)
        } else {
            (0.0, most * unseen.largest as f64)
        };
        scaled(self.whole.bytes as f64, part, least.max(part / unseen.factor as f64), most, unseen.factor)
    }

    /// Returns their mean age in nanoseconds; `None` if no block is known or too few are.
    pub(crate) fn age(&self, unseen: Unseen) -> Option<Estimate> {
        let factor = unseen.factor as f64;
        let weight = self.whole.blocks as f64 + factor * self.part.blocks as f64;
        let is_exact = unseen.factor == 1;
        if weight == 0.0 || !is_exact && self.whole.blocks + self.part.blocks < FEW {
            return None;
        }
        let mean = (self.whole.ages + factor * self.part.ages) / weight;
        if is_exact || self.part.blocks == 0 && unseen.largest == 0 {
            return Some(Estimate::exact(mean));
        }
        let square = (self.whole.age_squares + factor * self.part.age_squares) / weight;
        let spread = (square - mean * mean).max(0.0).sqrt();
        let half = 2.0 * spread * (factor / weight).sqrt();
        Some(Estimate { median: mean, least: (mean - half).max(0.0), most: mean + half })
    }
}

/// The mean age of fewer sampled blocks is not shown.
const FEW: u64 = 10;

/// Returns in which range the mean of a count lies, with a confidence of about 95 %, of which `count` was seen, if each of
/// many things is counted by chance. The square root of such a count deviates by less than 1 as often as that.
fn range(count: f64) -> (f64, f64) {
    let (least, most) = ((count.sqrt() - 1.0).max(0.0), (count + 1.0).sqrt() + 1.0);
    (least * least, most * most)
}

/// Returns a sum of a whole and `factor` times a part.
fn scaled(whole: f64, part: f64, least: f64, most: f64, factor: u64) -> Estimate {
    if factor == 1 {
        return Estimate::exact(whole + part);
    }
    let factor = factor as f64;
    Estimate { median: whole + factor * part, least: whole + factor * least, most: whole + factor * most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_contains_what_a_sample_was_taken_of() {
        let mut random = 1_u64;
        let (mut inside, mut all) = (0, 0);
        for power in [1, 3, 5] {
            let mut sample = Sample::default();
            (0..power).for_each(|_| assert!(sample.thin(false)));
            let unseen = Unseen { factor: sample.factor(), largest: 4000 };
            for round in 0..200 {
                let (mut held, mut blocks, mut bytes) = (Held::default(), 0.0, 0.0);
                for number in 0..(round % 20 * 50) {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let (address, size) = ((round << 32) + number * 32, 16 << (random >> 61));
                    (blocks, bytes) = (blocks + 1.0, bytes + size as f64);
                    let block = sample.block(address, 0, size, 0);
                    block.iter().for_each(|block| held.note(block, &sample, 5));
                }
                for (estimate, truth) in [(held.blocks(unseen), blocks), (held.bytes(unseen), bytes)] {
                    all += 1;
                    inside += i32::from(estimate.least <= truth && truth <= estimate.most);
                }
            }
        }
        assert!(inside * 100 >= all * 93, "{inside} of {all}");
    }

    #[test]
    fn growth_has_the_range_of_what_has_changed() {
        let mut sample = Sample::default();
        assert!(sample.thin(false));
        let unseen = Unseen { factor: 2, largest: 100 };
        let held = |addresses: std::ops::Range<u64>| {
            let mut held = Held::default();
            let blocks = addresses.filter_map(|number| sample.block(number * 64, 0, 100, 0));
            blocks.for_each(|block| held.note(&block, &sample, 5));
            held
        };
        let (before, now, new) = (held(0..100_000), held(1000..103_000), held(100_000..103_000));
        let growth = now.growth(&before, &new, unseen);
        assert!(growth.least <= 200_000.0 && 200_000.0 <= growth.most, "{growth:?}");
        assert!(growth.most - growth.least < 60_000.0, "{growth:?}");
        let none = before.growth(&before, &Held::default(), unseen);
        assert_eq!((none.median, none.most), (0.0, 800.0), "one in 2 was not seen");
    }

    #[test]
    fn without_a_sample_there_is_no_range() {
        let (sample, unseen) = (Sample::default(), Unseen { factor: 1, largest: 0 });
        let mut held = Held::default();
        for (address, size) in [(16, 100), (32, 50)] {
            held.note(&sample.block(address, address, size, 0).unwrap(), &sample, 132);
        }
        assert_eq!(held.bytes(unseen), Estimate::exact(150.0));
        assert_eq!(held.blocks(unseen), Estimate::exact(2.0));
        assert_eq!(held.age(unseen), Some(Estimate::exact(108.0)));
        assert_eq!(Held::default().age(unseen), None);
    }
}
