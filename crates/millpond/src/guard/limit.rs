//! The guard that lets no more than so much through.

use super::{
    Guard,
    counter::{Access, Counter},
    job::Job,
};
use crate::{
    base::AllocError,
    contract::{Amount, Flaw, Report},
};

/// No more than so many live bytes or blocks: the request beyond fails with [`AllocError::Limit`].
///
/// Around a pool it bounds what holders have, around a parent it bounds what a pool may grow to. Bytes are counted as
/// they were requested, and no excess is returned, so that what is freed is what was counted. While an allocator moves a
/// block that grows, it may hold both places for a moment; only the block counts.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{AllocError, Allocator, Blocks, Fixed, Heap, Inspect, Limit, Local};
///
/// let pool = Local::new(Limit::blocks(Blocks::<Fixed<64>>::new(), 2));
/// let layout = Layout::new::<u64>();
/// let (first, second) = (pool.allocate(layout)?, pool.allocate(layout)?);
/// assert_eq!(pool.allocate(layout), Err(AllocError::Limit));
/// # let _ = (first, second);
///
/// // 10,000 bytes for chunks: the pool grows to the last of them, and no further.
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Limit::bytes(Heap, 10_000));
/// while pool.allocate(layout).is_ok() {}
/// assert_eq!((pool.stats().held, pool.parent().left()), (10_000, 0));
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Limit<X> = Guard<Bounded, X>;

/// The job of [`Limit`].
///
/// # Invariants
///
/// * `used` is what is live, in `unit`, and never more than `most`.
#[derive(Debug)]
pub struct Bounded {
    unit: Unit,
    most: usize,
    used: Counter,
}

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bytes,
    Blocks,
}

impl<X> Guard<Bounded, X> {
    /// Lets no more than `most` bytes be live.
    #[must_use]
    pub const fn bytes(inner: X, most: usize) -> Self {
        Self { job: Bounded { unit: Unit::Bytes, most, used: Counter::new() }, inner }
    }

    /// Lets no more than `most` blocks be live.
    #[must_use]
    pub const fn blocks(inner: X, most: usize) -> Self {
        Self { job: Bounded { unit: Unit::Blocks, most, used: Counter::new() }, inner }
    }

    /// How many more bytes or blocks it would let through.
    #[must_use]
    pub fn left(&self) -> usize {
        self.job.left()
    }
}

impl Bounded {
    fn left(&self) -> usize {
        self.most.saturating_sub(self.used.get())
    }

    #[inline(always)]
    fn weigh(&self, amount: Amount) -> usize {
        match self.unit {
            Unit::Bytes => amount.bytes,
            Unit::Blocks => amount.blocks,
        }
    }
}

impl Job for Bounded {
    const BY_SIZE: bool = true;

    fn admits(&self, more: Amount) -> Result<(), AllocError> {
        if self.weigh(more) <= self.left() { Ok(()) } else { Err(AllocError::Limit) }
    }

    #[inline(always)]
    fn claim<W: Access>(&self, more: Amount) -> Result<(), AllocError> {
        if self.used.add_up_to::<W>(self.weigh(more), self.most) { Ok(()) } else { Err(AllocError::Limit) }
    }

    fn claim_between<W: Access>(&self, least: usize, preferred: usize) -> Result<usize, AllocError> {
        if self.unit == Unit::Blocks {
            return self.claim::<W>(Amount { blocks: 1, bytes: preferred }).map(|()| preferred);
        }
        match self.used.add_between::<W>(least, preferred, self.most) {
            Some(size) => Ok(size),
            None => Err(AllocError::Limit),
        }
    }

    #[inline(always)]
    fn withdraw<W: Access>(&self, claimed: Amount) {
        self.used.subtract::<W>(self.weigh(claimed));
    }

    #[inline(always)]
    fn free<W: Access>(&self, less: Amount) {
        self.used.subtract::<W>(self.weigh(less));
    }

    /// In the unit that is bounded.
    fn live(&self) -> Amount {
        Amount { blocks: self.used.get(), bytes: self.used.get() }
    }

    fn live_blocks(&self) -> Option<usize> {
        (self.unit == Unit::Blocks).then(|| self.used.get())
    }

    fn set_live(&mut self, live: Amount) {
        self.used.set(self.weigh(live));
    }

    fn tell(&self, report: &mut Report) {
        report.left = Some(self.left());
    }

    fn check(&self) -> Result<(), Flaw> {
        if self.used.get() > self.most {
            Err(Flaw("more is live than the limit lets through"))
        } else {
            Ok(())
        }
    }
}
