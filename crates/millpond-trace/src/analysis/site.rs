//! What is known about one stack.

use super::class;

/// Number of classes of [`Site::lifetimes_ns`].
pub const LIFETIMES_NS: usize = 28;
/// Number of classes of [`Site::lifetimes_events`].
pub const LIFETIMES_EVENTS: usize = 22;
/// Number of times at which the live bytes of each site are noted.
pub const CHECKPOINTS: usize = 3;

/// Lifetimes below this power of two, in nanoseconds, are in one class.
const SHORTEST: u32 = 7;

/// One stack: what it did, and what became of the blocks that it allocated.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The stack, a number in [`Stacks`](crate::Stacks).
    pub stack: u32,
    /// Number of allocations by this stack.
    pub allocations: u64,
    /// Number of resizes by this stack, of blocks of any site.
    pub resizes: u64,
    /// Number of frees by this stack, of blocks of any site.
    pub frees: u64,
    /// Bytes requested by its allocations and resizes.
    pub bytes: u64,
    /// Its blocks that are live at the end.
    pub live_blocks: u32,
    /// The bytes of its blocks that are live at the end.
    pub live_bytes: u64,
    /// Max bytes of its blocks live at the same time.
    pub max_live_bytes: u64,
    /// Its blocks that are live when most bytes of the program are live for the first time.
    pub peak_blocks: u32,
    /// The bytes of these blocks.
    pub peak_bytes: u64,
    /// Number of its blocks that the thread freed with its next event after the allocation.
    pub temporaries: u64,
    /// Number of its blocks that another thread freed.
    pub remote_frees: u64,
    /// Smallest and largest size of its blocks, resizes included; `u64::MAX` and 0 if it has none.
    pub sizes: (u64, u64),
    /// Bytes that resizes of its blocks have to copy if they move: the smaller of the old and the new size of each.
    pub copied: u64,
    /// The threads that allocated its blocks, and those that freed them: bit `n` stands for the threads whose number is
    /// `n` modulo 64.
    pub threads: (u64, u64),
    /// The live bytes of its blocks after one, two and three quarters of the timeline of the recorded time, rounded.
    pub checkpoints: [f32; CHECKPOINTS],
    /// Number of its blocks by lifetime: class 0 is below 2⁸ nanoseconds, class `n` from 2⁷⁺ⁿ to below 2⁸⁺ⁿ, the last
    /// has no end. Counts stop at their largest value.
    pub lifetimes_ns: [u32; LIFETIMES_NS],
    /// The same by events between allocation and free: class `n` is from 2ⁿ to below 2ⁿ⁺¹.
    pub lifetimes_events: [u32; LIFETIMES_EVENTS],
}

impl Site {
    /// Returns how many bytes per second the live bytes grew over the second half of the recorded time, if they are still
    /// growing at the end: larger at the end than at every checkpoint, each of which is at least as large as the one
    /// before.
    pub fn growth(&self, wall_ns: u64) -> Option<f64> {
        let [_, half, late] = self.checkpoints.map(f64::from);
        let end = self.live_bytes as f64;
        (self.checkpoints.is_sorted() && late < end && wall_ns > 0)
            .then(|| (end - half) / (wall_ns as f64 / 2e9))
    }

    /// Adds the figures of a site in another trace.
    pub(super) fn add(&mut self, other: &Self) {
        self.allocations += other.allocations;
        self.resizes += other.resizes;
        self.frees += other.frees;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.live_blocks = self.live_blocks.saturating_add(other.live_blocks);
        self.live_bytes = self.live_bytes.saturating_add(other.live_bytes);
        self.max_live_bytes = self.max_live_bytes.max(other.max_live_bytes);
        self.peak_blocks = self.peak_blocks.saturating_add(other.peak_blocks);
        self.peak_bytes = self.peak_bytes.saturating_add(other.peak_bytes);
        self.temporaries += other.temporaries;
        self.remote_frees += other.remote_frees;
        self.sizes = (self.sizes.0.min(other.sizes.0), self.sizes.1.max(other.sizes.1));
        self.copied = self.copied.saturating_add(other.copied);
        let add = |sum: &mut u32, count: &u32| *sum = sum.saturating_add(*count);
        self.lifetimes_ns.iter_mut().zip(&other.lifetimes_ns).for_each(|(sum, count)| add(sum, count));
        self.lifetimes_events
            .iter_mut()
            .zip(&other.lifetimes_events)
            .for_each(|(sum, count)| add(sum, count));
    }

    /// Returns the number of its blocks that were freed.
    pub fn freed(&self) -> u64 {
        self.allocations - u64::from(self.live_blocks)
    }
}

/// The part of a site that every event changes, in a cache line of its own.
#[repr(align(64))]
#[derive(Clone, Default)]
pub(super) struct Hot {
    pub(super) allocations: u64,
    pub(super) bytes: u64,
    pub(super) live_bytes: u64,
    pub(super) max_live_bytes: u64,
    pub(super) frees: u64,
    pub(super) temporaries: u64,
    pub(super) allocators: u64,
    pub(super) live_blocks: u32,
    pub(super) stack: u32,
}

/// The part of a site that changes when a block is freed or resized.
#[derive(Clone)]
pub(super) struct Cold {
    pub(super) sizes: (u64, u64),
    pub(super) remote_frees: u64,
    pub(super) freers: u64,
    pub(super) resizes: u64,
    pub(super) copied: u64,
    pub(super) peak_bytes: u64,
    pub(super) peak_blocks: u32,
    pub(super) checkpoints: [f32; CHECKPOINTS],
    pub(super) lifetimes_ns: [u32; LIFETIMES_NS],
    pub(super) lifetimes_events: [u32; LIFETIMES_EVENTS],
}

impl Default for Cold {
    fn default() -> Self {
        Self {
            sizes: (u64::MAX, 0),
            remote_frees: 0,
            freers: 0,
            resizes: 0,
            copied: 0,
            peak_bytes: 0,
            peak_blocks: 0,
            checkpoints: [0.0; CHECKPOINTS],
            lifetimes_ns: [0; LIFETIMES_NS],
            lifetimes_events: [0; LIFETIMES_EVENTS],
        }
    }
}

impl Cold {
    /// Notes a size of a block.
    #[inline]
    pub(super) fn size(&mut self, size: u64) {
        self.sizes = (self.sizes.0.min(size), self.sizes.1.max(size));
    }

    /// Notes the lifetime of a block.
    #[inline]
    pub(super) fn lifetime(&mut self, ns: u64, events: u64) {
        let by_ns = &mut self.lifetimes_ns[class(ns, SHORTEST, LIFETIMES_NS)];
        *by_ns = by_ns.saturating_add(1);
        let by_events = &mut self.lifetimes_events[class(events, 0, LIFETIMES_EVENTS)];
        *by_events = by_events.saturating_add(1);
    }
}

impl Site {
    pub(super) fn new(hot: &Hot, cold: &Cold) -> Self {
        Self {
            stack: hot.stack,
            allocations: hot.allocations,
            resizes: cold.resizes,
            frees: hot.frees,
            bytes: hot.bytes,
            live_blocks: hot.live_blocks,
            live_bytes: hot.live_bytes,
            max_live_bytes: hot.max_live_bytes,
            peak_blocks: cold.peak_blocks,
            peak_bytes: cold.peak_bytes,
            temporaries: hot.temporaries,
            remote_frees: cold.remote_frees,
            sizes: cold.sizes,
            copied: cold.copied,
            threads: (hot.allocators, cold.freers),
            checkpoints: cold.checkpoints,
            lifetimes_ns: cold.lifetimes_ns,
            lifetimes_events: cold.lifetimes_events,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_takes_at_most_340_bytes() {
        assert_eq!(size_of::<Hot>(), 64);
        assert!(size_of::<Hot>() + size_of::<Cold>() <= 340, "{}", size_of::<Cold>());
    }
}
