//! The use of memory by some of a program's allocations.

use std::fmt;

use millpond_trace::analysis::{CHECKPOINTS, LIFETIMES_NS, Site as Stack, Totals};

/// A block is short-lived if it lives for less than this share of the recording.
const SHORT: f64 = 0.01;
/// The share of blocks that decides about their lifetime class.
const MOST: f64 = 0.5;
/// Checkpoints are rounded to 24 binary digits, so live bytes that differ by less than this part are the same.
const ROUNDING: u64 = 1 << 23;
/// The share of temporary blocks from which on the lifetime class says so.
const NEARLY_ALL: f64 = 0.9;

/// What some stacks allocated, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Allocations, counting resizes.
    pub(crate) allocations: u64,
    /// Resizes among them, of blocks of any stack.
    pub(crate) resizes: u64,
    /// Bytes requested by them.
    pub(crate) bytes: u64,
    /// Blocks live at the end of the recording, and their bytes.
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
    /// Blocks live when most bytes of the program are live, and their bytes.
    pub(crate) peak_blocks: u64,
    pub(crate) peak_bytes: u64,
    /// Blocks freed by the next event of the thread that had allocated them.
    pub(crate) temporaries: u64,
    /// Blocks freed by another thread than the one that had allocated them.
    pub(crate) remote_frees: u64,
    /// Number of freed blocks by lifetime: class `n` is below 2⁸⁺ⁿ nanoseconds.
    lifetimes: [u64; LIFETIMES_NS],
    /// Bytes live after one, two and three quarters of the recording.
    checkpoints: [u64; CHECKPOINTS],
}

/// How long most blocks live, as far as they were recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lifetime {
    /// Nearly all are freed by the next event of their thread.
    Temporary,
    /// Half of them live for less than a hundredth of the recording.
    Short,
    /// Most live longer, and are freed.
    Long,
    /// Half of them are live at the end of the recording.
    Kept,
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Temporary => "temporary",
            Self::Short => "short",
            Self::Long => "long",
            Self::Kept => "kept",
        })
    }
}

impl Usage {
    /// Adds what a stack did.
    pub(crate) fn add(&mut self, stack: &Stack) {
        self.merge(&Self {
            allocations: stack.allocations + stack.resizes,
            resizes: stack.resizes,
            bytes: stack.bytes,
            live_blocks: stack.live_blocks.into(),
            live_bytes: stack.live_bytes,
            peak_blocks: stack.peak_blocks.into(),
            peak_bytes: stack.peak_bytes,
            temporaries: stack.temporaries,
            remote_frees: stack.remote_frees,
            lifetimes: stack.lifetimes_ns.map(u64::from),
            checkpoints: stack.checkpoints.map(|bytes| bytes as u64),
        });
    }

    /// Returns the sums that call stacks have.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            calls: self.allocations,
            bytes: self.bytes,
            live_blocks: self.live_blocks,
            live_bytes: self.live_bytes,
            peak_blocks: self.peak_blocks,
            peak_bytes: self.peak_bytes,
            temporaries: self.temporaries,
        }
    }

    /// Returns by how many bytes the live blocks grew over the second half of the recording, if they were still growing at
    /// its end: more than after each quarter, each of which has at least as much as the one before.
    pub(crate) fn growth(&self) -> Option<u64> {
        let [_, half, late] = self.checkpoints;
        let is_growing = self.checkpoints.is_sorted() && late + self.live_bytes / ROUNDING < self.live_bytes;
        is_growing.then(|| self.live_bytes - half)
    }

    /// Adds what other stacks did.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.allocations += other.allocations;
        self.resizes += other.resizes;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.live_blocks += other.live_blocks;
        self.live_bytes = self.live_bytes.saturating_add(other.live_bytes);
        self.peak_blocks += other.peak_blocks;
        self.peak_bytes = self.peak_bytes.saturating_add(other.peak_bytes);
        self.temporaries += other.temporaries;
        self.remote_frees += other.remote_frees;
        for (sum, count) in self.lifetimes.iter_mut().zip(other.lifetimes) {
            *sum += count;
        }
        for (sum, bytes) in self.checkpoints.iter_mut().zip(other.checkpoints) {
            *sum = sum.saturating_add(bytes);
        }
    }

    /// Returns the number of blocks that were allocated.
    pub(crate) fn blocks(&self) -> u64 {
        self.allocations - self.resizes
    }

    /// Returns an upper bound of the lifetime of half of the blocks that were freed, in a recording of `wall_ns`
    /// nanoseconds. It is at most twice as much as the median, except in the shortest and the longest class, for which it
    /// is 256 ns and the whole recording.
    pub(crate) fn median_lifetime_ns(&self, wall_ns: u64) -> Option<u64> {
        let freed: u64 = self.lifetimes.iter().sum();
        let mut count = 0;
        let class = self.lifetimes.iter().position(|&more| {
            count += more;
            freed > 0 && 2 * count >= freed
        });
        let bound = |class| {
            if class + 1 < LIFETIMES_NS { 1u64 << (8 + class) } else { wall_ns.max(1u64 << (7 + class)) }
        };
        class.map(bound)
    }

    /// Classifies the lifetimes in a recording of `wall_ns` nanoseconds; returns `None` if no block was allocated, but
    /// blocks of others were resized.
    pub(crate) fn lifetime(&self, wall_ns: u64) -> Option<Lifetime> {
        let share = |blocks: u64| blocks as f64 / self.blocks() as f64;
        let short = wall_ns as f64 * SHORT;
        let lifetime = match self.median_lifetime_ns(wall_ns) {
            _ if self.blocks() == 0 => return None,
            _ if share(self.temporaries) >= NEARLY_ALL => Lifetime::Temporary,
            _ if share(self.live_blocks) >= MOST => Lifetime::Kept,
            Some(median) if (median as f64) < short => Lifetime::Short,
            _ => Lifetime::Long,
        };
        Some(lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The use of 100 blocks, of which some are live at the end, some temporary, and half of the rest freed within a
    /// microsecond.
    fn usage(live_blocks: u64, temporaries: u64) -> Usage {
        let mut lifetimes = [0; LIFETIMES_NS];
        lifetimes[1] = (100 - live_blocks).div_ceil(2);
        lifetimes[LIFETIMES_NS - 1] = (100 - live_blocks) / 2;
        Usage { allocations: 150, resizes: 50, live_blocks, temporaries, lifetimes, ..Usage::default() }
    }

    #[test]
    fn lifetimes_have_four_classes() {
        assert_eq!(usage(10, 90).lifetime(100_000), Some(Lifetime::Temporary));
        assert_eq!(usage(50, 50).lifetime(100_000), Some(Lifetime::Kept));
        assert_eq!(usage(49, 49).lifetime(100_000), Some(Lifetime::Short));
        assert_eq!(usage(49, 49).lifetime(50_000), Some(Lifetime::Long));
        let only_resizes = Usage { allocations: 50, resizes: 50, ..Usage::default() };
        assert_eq!(only_resizes.lifetime(100_000), None);
    }

    #[test]
    fn rounding_is_no_growth() {
        let live_bytes = 100_000_003;
        let usage = |checkpoints: [f32; 3]| Usage {
            live_bytes,
            checkpoints: checkpoints.map(|bytes| bytes as u64),
            ..Usage::default()
        };
        assert_eq!(usage([live_bytes as f32; 3]).growth(), None);
        assert_eq!(usage([0.0, 6e7, 9e7]).growth(), Some(40_000_003));
        assert_eq!(usage([6e7, 3e7, 9e7]).growth(), None);
    }

    #[test]
    fn the_median_is_a_bound() {
        assert_eq!(usage(0, 0).median_lifetime_ns(100_000), Some(512));
        assert_eq!(usage(100, 0).median_lifetime_ns(100_000), None);
    }

    #[test]
    fn the_longest_class_has_no_end() {
        let mut lifetimes = [0; LIFETIMES_NS];
        lifetimes[LIFETIMES_NS - 1] = 10;
        let usage = Usage { allocations: 10, lifetimes, ..Usage::default() };
        let two_hours = 7_200_000_000_000;
        assert_eq!(usage.median_lifetime_ns(two_hours), Some(two_hours));
        assert_eq!(usage.lifetime(two_hours), Some(Lifetime::Long));
    }
}
