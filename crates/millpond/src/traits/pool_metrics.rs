//! All metrics of a pool at one moment, and the difference between two moments.

use super::{PoolStats, Report, Requested};

/// Everything that is known about a pool at one moment: see [`Inspect::metrics`](crate::Inspect::metrics). Sizes are in
/// bytes.
///
/// A metric that nothing counts is `None`: for example, the total ever allocated, without
/// [`Stats`](crate::guard::Stats).
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Inspect, Local, guard::Stats};
///
/// let pool = Local::new(Stats::new(Blocks::<Fixed<64>>::new()));
/// pool.allocate(Layout::new::<[u8; 50]>())?;
/// let metrics = pool.metrics();
/// assert_eq!((metrics.chunks, metrics.held, metrics.capacity(), metrics.live), (1, 256, 256, 64));
/// assert_eq!((metrics.waste(), metrics.largest_free), (0, Some(64)));
/// assert_eq!(metrics.peak.map(|peak| peak.bytes), Some(50)); // as requested
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Metrics {
    /// Chunks taken from the parent and not returned.
    pub chunks: usize,
    /// Bytes in these chunks.
    pub held: usize,
    /// Bytes in live blocks, as handed out.
    pub live: usize,
    /// Bytes that can be handed out without a request to the parent.
    pub free: usize,
    /// The largest size that would be served without a request to the parent.
    pub largest_free: Option<usize>,
    /// Number of live blocks: from [`Counted`](crate::guard::Counted) or [`Stats`](crate::guard::Stats).
    pub live_blocks: Option<usize>,
    /// Bytes that were requested for live blocks: from [`Stats`](crate::guard::Stats), as all fields that follow except
    /// `left`.
    pub requested: Option<usize>,
    /// The maximum that was live at a time, as requested.
    pub peak: Option<Requested>,
    /// Everything that was ever handed out.
    pub allocated: Option<Requested>,
    /// Everything that was ever freed, individually or by a reset.
    pub freed: Option<Requested>,
    /// Requests that failed.
    pub failed: Option<usize>,
    /// The bytes or blocks that are left: from [`Limit`](crate::guard::Limit).
    pub left: Option<usize>,
}

impl Metrics {
    /// Combines the statistics of a pool with the report of the guards around it.
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

    /// Returns the number of bytes that blocks can have, live or free, without a request to the parent.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.live + self.free
    }

    /// Returns the number of bytes in chunks that no block can have: headers, boundary tags, remainders. While other
    /// threads allocate, some bytes may count twice.
    #[must_use]
    pub fn waste(&self) -> usize {
        self.held.saturating_sub(self.capacity())
    }

    /// Returns the changes since an earlier moment.
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

/// The changes of a pool between two moments: see [`Metrics::since`] and [`Intervals`](crate::observe::Intervals).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Delta {
    /// What was handed out: from [`Stats`](crate::guard::Stats), as the next two fields.
    pub allocated: Option<Requested>,
    /// What was freed, individually or by a reset.
    pub freed: Option<Requested>,
    /// Requests that failed.
    pub failed: Option<usize>,
    /// The change in the number of chunks.
    pub chunks: isize,
    /// The change in the number of bytes taken from the parent.
    pub held: isize,
    /// The change in the number of bytes in live blocks.
    pub live: isize,
}

/// Returns by how much a number has grown.
fn change(then: usize, now: usize) -> isize {
    now.wrapping_sub(then).cast_signed()
}

impl Requested {
    /// Returns the difference of two counts that only grow and may have wrapped around.
    fn wrapping_sub(self, other: Self) -> Self {
        Self { blocks: self.blocks.wrapping_sub(other.blocks), bytes: self.bytes.wrapping_sub(other.bytes) }
    }
}
