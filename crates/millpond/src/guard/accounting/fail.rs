//! The guard that fails requests on purpose.
//!
//! Failing the nth request for every n is how SQLite tests what happens when memory runs out.

use super::{
    accounted::Accounted,
    counter::{Access, Counter},
    engine::Accounting,
};
use crate::{
    base::AllocError,
    traits::{Report, Requested},
};

/// Fails some requests on purpose, to test what happens when memory runs out.
///
/// Requests are counted from zero: those for a block, and those to grow one. A failure is [`AllocError::Exhausted`].
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Heap, guard::FailNth};
///
/// let heap = FailNth::after(Heap, 2); // two requests succeed, all others fail
/// let layout = Layout::new::<u64>();
/// let blocks: Vec<_> = core::iter::from_fn(|| heap.allocate(layout).ok()).collect();
/// assert_eq!((blocks.len(), heap.requests()), (2, 3));
/// for block in blocks {
///     // SAFETY: the block is live, and was handed out for this layout.
///     unsafe { heap.deallocate(block.cast(), layout) };
/// }
/// ```
pub type FailNth<X> = Accounted<Faults, X>;

/// The accounting of [`FailNth`].
#[derive(Debug)]
pub struct Faults {
    schedule: Schedule,
    requests: Counter,
}

#[derive(Clone, Copy, Debug)]
enum Schedule {
    Only(usize),
    Every(usize),
    After(usize),
}

impl Schedule {
    /// Returns whether any of `count` requests, from `request` on, fails.
    fn fails_within(self, request: usize, count: usize) -> bool {
        match self {
            Self::Only(number) => number.checked_sub(request).is_some_and(|ahead| ahead < count),
            Self::Every(period) => period != 0 && count >= period - request % period,
            Self::After(most) => count > most.saturating_sub(request),
        }
    }

    fn fails(self, request: usize) -> bool {
        match self {
            Self::Only(number) => request == number,
            Self::Every(period) => period != 0 && request % period == period - 1,
            Self::After(count) => request >= count,
        }
    }
}

impl<X> Accounted<Faults, X> {
    /// Creates a guard that fails one request: the one with this number, counted from zero.
    #[must_use]
    pub const fn only(inner: X, number: usize) -> Self {
        Self::scheduled(inner, Schedule::Only(number))
    }

    /// Creates a guard that fails the last of every `period` requests; none if `period` is zero.
    #[must_use]
    pub const fn every(inner: X, period: usize) -> Self {
        Self::scheduled(inner, Schedule::Every(period))
    }

    /// Creates a guard that fails all requests after the first `count`.
    #[must_use]
    pub const fn after(inner: X, count: usize) -> Self {
        Self::scheduled(inner, Schedule::After(count))
    }

    const fn scheduled(inner: X, schedule: Schedule) -> Self {
        Self { accounting: Faults { schedule, requests: Counter::new() }, inner }
    }

    /// Returns the number of requests, the failed ones included.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.accounting.requests.get()
    }
}

impl Faults {
    fn check_request(&self, request: usize) -> Result<(), AllocError> {
        if self.schedule.fails(request) { Err(AllocError::Exhausted) } else { Ok(()) }
    }

    /// Counts a request at its end: with exclusive access it may be tried several times.
    fn count_at_the_end<W: Access>(&self) {
        if !W::SHARED {
            self.requests.add::<W>(1);
        }
    }
}

impl Accounting for Faults {
    const BY_SIZE: bool = false;

    fn may_allocate(&self, _: Requested) -> Result<(), AllocError> {
        self.check_request(self.requests.get())
    }

    fn may_allocate_many(&self, _: Requested, count: usize) -> Result<(), AllocError> {
        let fails = self.schedule.fails_within(self.requests.get(), count);
        if fails { Err(AllocError::Exhausted) } else { Ok(()) }
    }

    /// Counts a request at its beginning, because with shared access others may come in between, and each number must
    /// be used once.
    fn try_reserve<W: Access>(&self, more: Requested) -> Result<(), AllocError> {
        if W::SHARED {
            self.check_request(self.requests.add::<W>(1).wrapping_sub(1))
        } else {
            self.may_allocate(more)
        }
    }

    fn commit<W: Access>(&self, _: Requested) {
        self.count_at_the_end::<W>();
    }

    fn fail<W: Access>(&self) {
        self.count_at_the_end::<W>();
    }

    fn free<W: Access>(&self, _: Requested) {}

    fn report_into(&self, _: &mut Report) {}
}
