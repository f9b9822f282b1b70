//! What is measured for a call site.

use std::collections::BTreeMap;

/// Number of times at which the live blocks are noted, at equal numbers of events.
pub(super) const CHECKPOINTS: usize = 7;
/// Threads whose numbers differ by a multiple of this count as one.
pub(super) const THREADS: u32 = 64;
/// A chain has at least this many steps: a buffer that grew once is common, and costs little.
const LEAST_STEPS: u32 = 2;
/// Chains of this many steps do not double: a buffer of 16 bytes would have a MiB.
const SLOW: u64 = 16;

/// The blocks of one size, rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SizeUse {
    /// The size in bytes.
    pub(crate) size: u64,
    /// Number of allocations.
    pub(crate) blocks: u64,
    /// Number of blocks live now, and max number live at once.
    pub(super) live: u64,
    pub(crate) max_live: u64,
}

/// Blocks that grew several times, by resizes or by copies into larger blocks of the same site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chains {
    /// Number of chains.
    pub(crate) count: u64,
    /// Number of times that they grew.
    pub(crate) steps: u64,
    /// Bytes that were copied, or could have been, when they grew.
    pub(crate) copied: u64,
    /// Number of chains by the size at their end.
    pub(crate) ends: BTreeMap<u64, u64>,
}

/// Everything measured for a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measures {
    /// Number of blocks, and of resizes of them.
    pub(crate) blocks: u64,
    pub(crate) resizes: u64,
    /// Bytes requested by both.
    pub(crate) bytes: u64,
    /// Smallest and largest size, exactly; resizes included.
    pub(crate) range: (u64, u64),
    /// The largest alignment requested; 0 if none was.
    pub(crate) align: u32,
    /// Blocks by their size at allocation.
    pub(crate) sizes: Vec<SizeUse>,
    /// Blocks live now, which is at the end of the recording; max number live at once.
    pub(crate) live_blocks: u64,
    pub(crate) max_live_blocks: u64,
    /// Their bytes.
    pub(crate) live_bytes: u64,
    pub(crate) max_live_bytes: u64,
    /// Live blocks after each eighth of the events except the last.
    pub(crate) checkpoints: [u64; CHECKPOINTS],
    /// Blocks freed by the next event of their thread; blocks freed by another thread.
    pub(crate) temporaries: u64,
    pub(crate) remote_frees: u64,
    /// Blocks of each thread that allocated some, the most first. Threads whose numbers differ by a multiple of 64 count
    /// as one.
    pub(crate) by_thread: Vec<u64>,
    /// Whether several threads allocated, resized or freed its blocks.
    pub(crate) is_shared: bool,
    /// The thread that allocated the first of them, and the highest number of one that allocated.
    pub(crate) first_thread: u32,
    pub(crate) highest_thread: u32,
    /// Blocks that died together: their thread freed them after it had allocated the last of them.
    pub(crate) together: u64,
    /// Number of times that blocks died together, and max bytes of blocks at one of these times.
    pub(crate) generations: u64,
    pub(crate) generation_bytes: u64,
    /// Blocks that are live at the end and of whose generation next to none was freed.
    pub(crate) kept: u64,
    /// How its blocks grew.
    pub(crate) chains: Chains,
}

impl Measures {
    pub(super) fn allocate(&mut self, thread: u32, size: u64, align: u32, place: usize) {
        if self.blocks == 0 {
            (self.range, self.first_thread) = ((size, size), thread);
        }
        self.range = (self.range.0.min(size), self.range.1.max(size));
        self.touch(thread);
        self.highest_thread = self.highest_thread.max(thread);
        self.blocks += 1;
        self.bytes = self.bytes.saturating_add(size);
        self.align = self.align.max(align);
        self.live_blocks += 1;
        self.max_live_blocks = self.max_live_blocks.max(self.live_blocks);
        self.grow(size);
        if let Some(size) = self.sizes.get_mut(place) {
            size.blocks += 1;
            size.live += 1;
            size.max_live = size.max_live.max(size.live);
        }
    }

    /// Notes that a thread uses a block.
    pub(super) fn touch(&mut self, thread: u32) {
        self.is_shared |= thread != self.first_thread;
    }

    fn grow(&mut self, bytes: u64) {
        self.live_bytes = self.live_bytes.saturating_add(bytes);
        self.max_live_bytes = self.max_live_bytes.max(self.live_bytes);
    }

    pub(super) fn resize(&mut self, before: u64, size: u64) {
        self.range = (self.range.0.min(size), self.range.1.max(size));
        self.resizes += 1;
        self.bytes = self.bytes.saturating_add(size);
        self.live_bytes = self.live_bytes.saturating_sub(before);
        self.grow(size);
        if size > before {
            self.copy(before);
        }
    }

    /// Notes that a block grew and had this size before.
    pub(super) fn copy(&mut self, before: u64) {
        self.chains.copied = self.chains.copied.saturating_add(before);
    }

    pub(super) fn free(&mut self, size: u64, place: usize, is_temporary: bool, is_remote: bool) {
        self.live_blocks = self.live_blocks.saturating_sub(1);
        self.live_bytes = self.live_bytes.saturating_sub(size);
        self.temporaries += u64::from(is_temporary);
        self.remote_frees += u64::from(is_remote);
        if let Some(size) = self.sizes.get_mut(place) {
            size.live = size.live.saturating_sub(1);
        }
    }

    /// Notes a block that does not grow any more.
    pub(super) fn end_chain(&mut self, steps: u32, size: u64) {
        if steps >= LEAST_STEPS {
            self.chains.count += 1;
            self.chains.steps += u64::from(steps);
            *self.chains.ends.entry(size).or_default() += 1;
        }
    }

    /// Returns the number of calls that allocated or resized its blocks.
    pub(crate) fn calls(&self) -> u64 {
        self.blocks + self.resizes
    }

    /// Returns whether no two threads count as one in `by_thread`.
    pub(crate) fn tells_threads_apart(&self) -> bool {
        self.highest_thread < THREADS
    }

    /// Returns how many threads allocate at least this part of what the thread with the most blocks does.
    pub(crate) fn threads(&self, part: f64) -> usize {
        let least = self.by_thread.first().map_or(0.0, |&most| most as f64 * part);
        self.by_thread.iter().filter(|&&blocks| blocks as f64 >= least).count()
    }

    /// Returns the smallest size, rounded up, that this share of the blocks does not exceed.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let mut sizes: Vec<_> = self.sizes.iter().map(|size| (size.size, size.blocks)).collect();
        sizes.sort_unstable();
        quantile(sizes.into_iter(), self.blocks, share)
    }
}

impl Chains {
    /// Returns whether they grow by small steps: far more often than if they doubled each time.
    pub(crate) fn are_slow(&self) -> bool {
        self.steps >= self.count * SLOW
    }

    /// Returns the smallest size that this share of the chains does not exceed at their end.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        quantile(self.ends.iter().map(|(&size, &count)| (size, count)), self.count, share)
    }
}

/// Returns the first size at which the counts add up to a share of all; the largest, if they do not.
fn quantile(sizes: impl Iterator<Item = (u64, u64)>, all: u64, share: f64) -> u64 {
    let (mut sum, mut last) = (0, 0);
    for (size, count) in sizes {
        (sum, last) = (sum + count, size);
        if sum as f64 >= all as f64 * share {
            break;
        }
    }
    last
}
