//! The use of memory by some of a program's allocations.

use millpond_trace::analysis::{LIFETIMES_NS, Site as Stack};

/// A block is short-lived if it lives for less than this share of the recording.
const SHORT: f64 = 0.01;
/// The share of blocks that decides about their lifetime class.
const MOST: f64 = 0.5;
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
    /// Blocks never freed, and their bytes.
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
}

/// How long most blocks live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lifetime {
    /// Nearly all are freed by the next event of their thread.
    Temporary,
    /// Half of them live for less than a hundredth of the recording.
    Short,
    /// Most live longer, and are freed.
    Long,
    /// Half of them are never freed.
    Kept,
}

impl Usage {
    /// Adds what a stack did.
    pub(crate) fn add(&mut self, stack: &Stack) {
        self.allocations += stack.allocations + stack.resizes;
        self.resizes += stack.resizes;
        self.bytes = self.bytes.saturating_add(stack.bytes);
        self.live_blocks += u64::from(stack.live_blocks);
        self.live_bytes = self.live_bytes.saturating_add(stack.live_bytes);
        self.peak_blocks += u64::from(stack.peak_blocks);
        self.peak_bytes = self.peak_bytes.saturating_add(stack.peak_bytes);
        self.temporaries += stack.temporaries;
        self.remote_frees += stack.remote_frees;
        for (sum, &count) in self.lifetimes.iter_mut().zip(&stack.lifetimes_ns) {
            *sum += u64::from(count);
        }
    }

    /// Returns the number of blocks that were allocated.
    pub(crate) fn blocks(&self) -> u64 {
        self.allocations - self.resizes
    }

    /// Returns an upper bound of the lifetime of half of the blocks that were freed, at most twice as much as it is.
    pub(crate) fn median_lifetime_ns(&self) -> Option<u64> {
        let freed: u64 = self.lifetimes.iter().sum();
        let mut count = 0;
        let class = self.lifetimes.iter().position(|&more| {
            count += more;
            freed > 0 && 2 * count >= freed
        });
        class.map(|class| 1 << (8 + class))
    }

    /// Classifies the lifetimes in a recording of so many nanoseconds.
    pub(crate) fn lifetime(&self, wall_ns: u64) -> Lifetime {
        let share = |blocks: u64| blocks as f64 / self.blocks().max(1) as f64;
        let short = wall_ns as f64 * SHORT;
        match self.median_lifetime_ns() {
            _ if share(self.temporaries) >= NEARLY_ALL => Lifetime::Temporary,
            _ if share(self.live_blocks) >= MOST => Lifetime::Kept,
            Some(median) if (median as f64) < short => Lifetime::Short,
            _ => Lifetime::Long,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The use of 100 blocks, of which some are never freed, some temporary, and half of the rest freed within a
    /// microsecond.
    fn usage(live_blocks: u64, temporaries: u64) -> Usage {
        let mut lifetimes = [0; LIFETIMES_NS];
        lifetimes[1] = (100 - live_blocks).div_ceil(2);
        lifetimes[LIFETIMES_NS - 1] = (100 - live_blocks) / 2;
        Usage { allocations: 150, resizes: 50, live_blocks, temporaries, lifetimes, ..Usage::default() }
    }

    #[test]
    fn lifetimes_have_four_classes() {
        assert_eq!(usage(10, 90).lifetime(100_000), Lifetime::Temporary);
        assert_eq!(usage(50, 50).lifetime(100_000), Lifetime::Kept);
        assert_eq!(usage(49, 49).lifetime(100_000), Lifetime::Short);
        assert_eq!(usage(49, 49).lifetime(50_000), Lifetime::Long);
        assert_eq!(Usage::default().lifetime(0), Lifetime::Long);
    }

    #[test]
    fn the_median_is_a_bound() {
        assert_eq!(usage(0, 0).median_lifetime_ns(), Some(512));
        assert_eq!(usage(100, 0).median_lifetime_ns(), None);
    }
}
