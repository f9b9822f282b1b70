//! Counts for spans of time, and how two spans become one.

use millpond_trace::analysis::{self, HeatMap, Timeline};

use super::BINS;
use crate::profile::Heap;

/// Number of classes of sizes: powers of two.
pub(crate) const SIZE_CLASSES: usize = HeatMap::SIZES;

/// How many of everything are counted.
#[derive(Clone, Copy)]
pub(super) struct Space {
    pub(super) units: usize,
    pub(super) sizes: usize,
    /// Including the one that stands for all others.
    pub(super) threads: usize,
}

/// A number of blocks and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

impl Blocks {
    #[inline]
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    #[inline]
    pub(super) fn remove(&mut self, bytes: u64) {
        self.count -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What a unit did in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// Allocations and resizes, and the bytes that they requested.
    pub(crate) calls: Blocks,
    /// Its blocks that were freed, and those of them that the thread freed with its next event.
    pub(crate) frees: u64,
    pub(crate) temporaries: u64,
    /// Resizes of its blocks, and the bytes that they have to copy if the blocks move.
    pub(crate) resizes: Blocks,
}

/// What is live at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) bytes: u64,
    pub(crate) units: Vec<Blocks>,
    /// Blocks by size, for the sizes that are counted each by itself.
    pub(crate) sizes: Vec<u64>,
    /// By class of size.
    pub(crate) classes: Vec<Blocks>,
}

/// A span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bin {
    pub(crate) units: Vec<Calls>,
    /// Allocations and resizes by size.
    pub(crate) sizes: Vec<u64>,
    /// Freed blocks by class of size and class of lifetime.
    pub(crate) heat: Vec<Blocks>,
    /// Freed blocks by allocating and freeing thread.
    pub(crate) flows: Vec<Blocks>,
    /// Blocks that ended, by how often they were resized.
    pub(crate) chains: Vec<u64>,
    /// What was live when most bytes were, and at the end.
    pub(crate) peak: Live,
    pub(crate) end: Live,
    /// What the live blocks took when most bytes were live, if the trace has addresses or usable sizes.
    pub(crate) heap: Option<Heap>,
}

impl Live {
    pub(super) fn new(space: Space) -> Self {
        Self {
            bytes: 0,
            units: vec![Blocks::default(); space.units],
            sizes: vec![0; space.sizes],
            classes: vec![Blocks::default(); SIZE_CLASSES],
        }
    }
}

impl Bin {
    pub(super) fn new(space: Space) -> Self {
        Self {
            units: vec![Calls::default(); space.units],
            sizes: vec![0; space.sizes],
            heat: vec![Blocks::default(); SIZE_CLASSES * HeatMap::LIFETIMES],
            flows: vec![Blocks::default(); space.threads * space.threads],
            chains: vec![0; analysis::CHAINS],
            peak: Live::default(),
            end: Live::default(),
            heap: None,
        }
    }

    /// Adds the span that follows.
    pub(super) fn merge(&mut self, next: Self) {
        for (unit, more) in self.units.iter_mut().zip(next.units) {
            unit.calls.merge(more.calls);
            unit.resizes.merge(more.resizes);
            unit.frees += more.frees;
            unit.temporaries += more.temporaries;
        }
        for (sums, more) in [(&mut self.heat, next.heat), (&mut self.flows, next.flows)] {
            sums.iter_mut().zip(more).for_each(|(sum, more)| sum.merge(more));
        }
        for (sums, more) in [(&mut self.sizes, next.sizes), (&mut self.chains, next.chains)] {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        if next.peak.bytes > self.peak.bytes {
            (self.peak, self.heap) = (next.peak, next.heap);
        }
        self.end = next.end;
    }
}

/// Returns how many bins of a timeline are in a span.
fn per_bin(timeline: &Timeline) -> usize {
    timeline.bins.len().div_ceil(BINS).max(1)
}

/// Returns the nanoseconds in a span.
pub(super) fn width(timeline: &Timeline) -> u64 {
    timeline.width.saturating_mul(per_bin(timeline) as u64)
}

/// Returns the max bytes live in each span.
pub(super) fn peaks(timeline: &Timeline) -> Vec<u64> {
    let most = |bins: &[analysis::Bin]| bins.iter().map(|bin| bin.max).max().unwrap_or(0);
    timeline.bins.chunks(per_bin(timeline)).map(most).collect()
}
