//! What guards report.

/// A number of blocks and their total bytes, as requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Requested {
    /// The number of blocks.
    pub blocks: usize,
    /// The bytes that were requested for them.
    pub bytes: usize,
}

/// What [`Stats`](crate::guard::Stats) has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Counts {
    /// What is live now.
    pub live: Requested,
    /// The maximum that was live at a time, for blocks and bytes separately.
    pub peak: Requested,
    /// Everything that was ever handed out. A block that grew counts once, with the bytes that it gained.
    pub total: Requested,
    /// Requests that failed.
    pub failed: usize,
}

/// The report of the guards around a pool. Of two guards of the same kind, the outer one reports.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Inspect, Local, guard::{Limit, Stats}};
///
/// let pool = Local::new(Limit::blocks(Stats::new(Blocks::<Fixed<64>>::new()), 1));
/// pool.allocate(Layout::new::<u64>())?;
/// let report = pool.report();
/// assert_eq!(report.left, Some(0));
/// assert_eq!(report.counts.map(|counts| counts.total.bytes), Some(8));
/// assert_eq!(report.live_blocks, Some(1));
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Report {
    /// From [`Stats`](crate::guard::Stats): everything that it counts.
    pub counts: Option<Counts>,
    /// From [`Counted`](crate::guard::Counted) or [`Stats`](crate::guard::Stats): the number of live blocks.
    pub live_blocks: Option<usize>,
    /// From [`Limit`](crate::guard::Limit): the bytes or blocks that are left.
    pub left: Option<usize>,
}

impl Requested {
    /// Returns the sum of two amounts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { blocks: self.blocks + other.blocks, bytes: self.bytes + other.bytes }
    }
}

impl Counts {
    /// Returns the sum of two counts. The two peaks need not have occurred at the same time.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            live: self.live.plus(other.live),
            peak: self.peak.plus(other.peak),
            total: self.total.plus(other.total),
            failed: self.failed + other.failed,
        }
    }
}

impl Report {
    /// Combines the reports of two pools side by side: sums of what both report, and what only one reports.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            counts: either(self.counts, other.counts, Counts::plus),
            live_blocks: either(self.live_blocks, other.live_blocks, usize::saturating_add),
            left: either(self.left, other.left, usize::saturating_add),
        }
    }
}

fn either<T>(one: Option<T>, other: Option<T>, sum: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(sum(one, other)),
        (one, other) => one.or(other),
    }
}
