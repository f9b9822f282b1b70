//! All figures of a pool at a moment, and what has changed between two.

use super::{PoolStats, Report, Requested};

/// Everything that is known about a pool at a moment, in figures: see [`Inspect::metrics`](crate::Inspect::metrics).
/// Sizes are in bytes.
///
/// What nobody counts is `None`: what was ever allocated, for example, without [`Stats`](crate::Stats).
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Inspect, Local, Stats};
///
/// let pool = Local::new(Stats::new(Blocks::<Fixed<64>>::new()));
/// pool.allocate(Layout::new::<[u8; 50]>())?;
/// let metrics = pool.metrics();
/// assert_eq!((metrics.chunks, metrics.held, metrics.capacity(), metrics.live), (1, 256, 256, 64));
/// assert_eq!((metrics.waste(), metrics.largest_free), (0, Some(64)));
/// assert_eq!(metrics.peak.map(|peak| peak.bytes), Some(50)); // as was requested
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Metrics {
    /// Chunks taken from the parent and not given back.
    pub chunks: usize,
    /// Bytes in these chunks.
    pub held: usize,
    /// Bytes in live blocks, as handed out.
    pub live: usize,
    /// Bytes that can still be handed out without asking the parent.
    pub free: usize,
    /// The largest size that would be served without asking the parent.
    pub largest_free: Option<usize>,
    /// Live blocks: from [`Counted`](crate::Counted) or [`Stats`](crate::Stats).
    pub live_blocks: Option<usize>,
    /// What was requested for live blocks: from [`Stats`](crate::Stats), as all that follows.
    pub requested: Option<usize>,
    /// The most that was live at a time, as requested.
    pub peak: Option<Requested>,
    /// All that was ever handed out.
    pub allocated: Option<Requested>,
    /// All that was ever given back, by freeing or by a reset.
    pub freed: Option<Requested>,
    /// Requests that came to nothing.
    pub failed: Option<usize>,
    /// From [`Limit`](crate::Limit): how many bytes or blocks it still lets through.
    pub left: Option<usize>,
}

impl Metrics {
    /// Puts together what a pool and the guards around it say.
    #[must_use]
    pub fn new(stats: PoolStats, largest_free: Option<usize>, report: Report) -> Self {
        let counts = report.counts;
        Self {
            chunks: stats.chunks,
            held: stats.held,
            live: stats.live,
            free: stats.free,
            largest_free,
            live_blocks: report.live_blocks,
            requested: counts.map(|counts| counts.live.bytes),
            peak: counts.map(|counts| counts.peak),
            allocated: counts.map(|counts| counts.total),
            freed: counts.map(|counts| counts.total.wrapping_sub(counts.live)),
            failed: counts.map(|counts| counts.failed),
            left: report.left,
        }
    }

    /// Bytes that blocks can have, live or free, without asking the parent.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.live + self.free
    }

    /// Bytes of chunks that no block can have: headers, posts, rests. While others are at work, some may count twice.
    #[must_use]
    pub fn waste(&self) -> usize {
        self.held.saturating_sub(self.capacity())
    }

    /// What has changed since an earlier moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Delta {
        let difference = |now: Option<Requested>, then: Option<Requested>| Some(now?.wrapping_sub(then?));
        Delta {
            allocated: difference(self.allocated, earlier.allocated),
            freed: difference(self.freed, earlier.freed),
            failed: self.failed.zip(earlier.failed).map(|(now, then)| now.wrapping_sub(then)),
            chunks: change(earlier.chunks, self.chunks),
            held: change(earlier.held, self.held),
            live: change(earlier.live, self.live),
        }
    }
}

/// What has happened to a pool between two looks: see [`Metrics::since`] and [`Intervals`](crate::Intervals).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Delta {
    /// What was handed out: from [`Stats`](crate::Stats), as the next two.
    pub allocated: Option<Requested>,
    /// What was given back, by freeing or by a reset.
    pub freed: Option<Requested>,
    /// Requests that came to nothing.
    pub failed: Option<usize>,
    /// How many chunks the pool has more than before.
    pub chunks: isize,
    /// How many bytes of its parent it has more than before.
    pub held: isize,
    /// How many bytes are in live blocks more than before.
    pub live: isize,
}

/// By how much a number has grown.
fn change(then: usize, now: usize) -> isize {
    now.wrapping_sub(then).cast_signed()
}

impl Requested {
    /// The difference of two counts that only grow, and may have wrapped around.
    fn wrapping_sub(self, other: Self) -> Self {
        Self { blocks: self.blocks.wrapping_sub(other.blocks), bytes: self.bytes.wrapping_sub(other.bytes) }
    }
}
