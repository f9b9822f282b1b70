//! The guard that limits what is live.

use super::{
    accounted::Accounted,
    counter::{Access, Counter},
    engine::Accounting,
};
use crate::{
    base::AllocError,
    traits::{InvariantError, Report, Requested},
};

/// Limits the number of live bytes or blocks: a request that would exceed it fails with [`AllocError::Limit`].
///
/// Around a pool it limits what is handed out, around a parent it limits the growth of a pool. Bytes are counted as
/// requested, and no excess is returned, so that what is freed is what was counted. While an allocator moves a block
/// that grows, it may hold both places for a moment; only the block counts.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{AllocError, Allocator, Blocks, Fixed, Heap, Inspect, Local, guard::Limit};
///
/// let pool = Local::new(Limit::blocks(Blocks::<Fixed<64>>::new(), 2));
/// let layout = Layout::new::<u64>();
/// let (first, second) = (pool.allocate(layout)?, pool.allocate(layout)?);
/// assert_eq!(pool.allocate(layout), Err(AllocError::Limit));
/// # let _ = (first, second);
///
/// // At most 10,000 bytes for chunks: the pool uses all of them.
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Limit::bytes(Heap, 10_000));
/// while pool.allocate(layout).is_ok() {}
/// assert_eq!((pool.stats().held, pool.parent().left()), (10_000, 0));
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Limit<X> = Accounted<Bounded, X>;

/// The accounting of [`Limit`].
///
/// # Invariants
///
/// * `used` is what is live, in `unit`, and at most `most`.
#[derive(Debug)]
pub struct Bounded {
    unit: Unit,
    most: usize,
    used: Counter,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bytes,
    Blocks,
}

impl<X> Accounted<Bounded, X> {
    /// Limits `inner` to `most` live bytes.
    #[must_use]
    pub const fn bytes(inner: X, most: usize) -> Self {
        Self { accounting: Bounded { unit: Unit::Bytes, most, used: Counter::new() }, inner }
    }

    /// Limits `inner` to `most` live blocks.
    #[must_use]
    pub const fn blocks(inner: X, most: usize) -> Self {
        Self { accounting: Bounded { unit: Unit::Blocks, most, used: Counter::new() }, inner }
    }

    /// Returns how many more bytes or blocks are allowed.
    #[must_use]
    pub fn left(&self) -> usize {
        self.accounting.left()
    }
}

impl Bounded {
    fn left(&self) -> usize {
        self.most.saturating_sub(self.used.get())
    }

    #[inline(always)]
    fn measure(&self, amount: Requested) -> usize {
        match self.unit {
            Unit::Bytes => amount.bytes,
            Unit::Blocks => amount.blocks,
        }
    }
}

impl Accounting for Bounded {
    const BY_SIZE: bool = true;

    fn may_allocate(&self, more: Requested) -> Result<(), AllocError> {
        if self.measure(more) <= self.left() { Ok(()) } else { Err(AllocError::Limit) }
    }

    #[inline(always)]
    fn try_reserve<W: Access>(&self, more: Requested) -> Result<(), AllocError> {
        if self.used.add_up_to::<W>(self.measure(more), self.most) { Ok(()) } else { Err(AllocError::Limit) }
    }

    fn try_reserve_between<W: Access>(&self, least: usize, preferred: usize) -> Result<usize, AllocError> {
        if self.unit == Unit::Blocks {
            return self.try_reserve::<W>(Requested { blocks: 1, bytes: preferred }).map(|()| preferred);
        }
        match self.used.add_between::<W>(least, preferred, self.most) {
            Some(size) => Ok(size),
            None => Err(AllocError::Limit),
        }
    }

    #[inline(always)]
    fn cancel<W: Access>(&self, reserved: Requested) {
        self.used.subtract::<W>(self.measure(reserved));
    }

    #[inline(always)]
    fn free<W: Access>(&self, less: Requested) {
        self.used.subtract::<W>(self.measure(less));
    }

    /// Returns what is live, in the unit that is limited.
    fn live(&self) -> Requested {
        Requested { blocks: self.used.get(), bytes: self.used.get() }
    }

    fn live_blocks(&self) -> Option<usize> {
        (self.unit == Unit::Blocks).then(|| self.used.get())
    }

    fn set_live(&mut self, live: Requested) {
        self.used.set(self.measure(live));
    }

    fn report_into(&self, report: &mut Report) {
        report.left = Some(self.left());
    }

    fn check(&self) -> Result<(), InvariantError> {
        if self.used.get() > self.most {
            Err(InvariantError("more bytes or blocks are live than the limit allows"))
        } else {
            Ok(())
        }
    }
}
