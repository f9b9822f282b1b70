//! The changes of a pool since the last look.

use crate::traits::{Delta, Inspect, Metrics};

/// Observes a pool repeatedly: an infinite iterator that returns the changes since the last call.
///
/// The user decides when to call it: once a second, once a frame, before and after a test. Each call is as expensive as
/// [`Inspect::metrics`]. What was allocated and freed is known if [`Stats`](crate::guard::Stats) counts it.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Local, observe::Intervals, guard::Stats};
///
/// let pool = Local::new(Stats::new(Blocks::<Fixed<64>>::new()));
/// let mut intervals = Intervals::new(&pool);
/// for _ in 0..100 {
///     pool.allocate(Layout::new::<[u64; 8]>())?;
/// }
/// let change = intervals.next().expect("it never ends");
/// assert_eq!(change.allocated.map(|allocated| allocated.blocks), Some(100));
/// assert_eq!((change.chunks, change.held, change.live), (5, 256 + 512 + 1024 + 2048 + 4096, 6400));
/// assert_eq!(intervals.next().map(|change| change.live), Some(0));
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Intervals<I> {
    pool: I,
    last: Metrics,
}

impl<I: Inspect> Intervals<I> {
    /// Reads the metrics for the first time. To use the pool in between, pass a reference or a reference-counted
    /// pointer to it.
    #[must_use]
    pub fn new(pool: I) -> Self {
        let last = pool.metrics();
        Self { pool, last }
    }

    /// Returns the metrics at the last call.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.last
    }
}

impl<I: Inspect> Iterator for Intervals<I> {
    type Item = Delta;

    fn next(&mut self) -> Option<Delta> {
        let now = self.pool.metrics();
        let then = core::mem::replace(&mut self.last, now);
        Some(now.since(&then))
    }
}
