//! What guards have to say.

/// So many blocks of so many bytes in all, as they were requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Requested {
    /// How many blocks.
    pub blocks: usize,
    /// The bytes that were requested for them.
    pub bytes: usize,
}

/// What [`Stats`](crate::Stats) has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Counts {
    /// What is live now.
    pub live: Requested,
    /// The most that was live at a time: blocks and bytes each by themselves.
    pub peak: Requested,
    /// All that was ever handed out; a block that grew counts once, with the bytes that it gained.
    pub total: Requested,
    /// Requests that came to nothing.
    pub failed: usize,
}

/// What the guards on the way to a pool have to say; of two guards of one kind, the outer one.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Inspect, Limit, Local, Stats};
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
    /// From [`Stats`](crate::Stats): everything that it counts.
    pub counts: Option<Counts>,
    /// From [`Counted`](crate::Counted) or [`Stats`](crate::Stats): how many blocks are live.
    pub live_blocks: Option<usize>,
    /// From [`Limit`](crate::Limit): how many bytes or blocks it still lets through.
    pub left: Option<usize>,
}

impl Requested {
    /// The sum of two amounts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { blocks: self.blocks + other.blocks, bytes: self.bytes + other.bytes }
    }
}

impl Counts {
    /// The sum of two counts; the peaks need not have been at the same time.
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
    /// What two pools side by side have to say: sums of what both say, and what only one says.
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
