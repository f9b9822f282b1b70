//! What a guard does around the calls of what it guards.

use core::alloc::Layout;

use super::counter::Access;
use crate::{
    base::AllocError,
    traits::{InvariantError, Report, Requested},
};

/// The accounting of an [`Accounted`](super::Accounted): one implementation for pools and allocators.
///
/// A request is first *reserved*. If that is refused, the request has *failed*. Otherwise the request goes to what is
/// behind the guard. If that serves it, the reservation is *committed*; if not, it is *cancelled* and, unless the
/// request will be tried again, the request has failed.
pub trait Accounting {
    /// Whether a block has to be freed with the same size with which it was allocated. If so, the guard returns no more
    /// bytes than were requested.
    const BY_SIZE: bool;

    /// Checks whether a reservation of `more` would be granted if no other came in between.
    fn may_allocate(&self, more: Requested) -> Result<(), AllocError> {
        let _ = more;
        Ok(())
    }

    /// Checks whether `count` reservations in a row, each of `each`, would be granted if no other came in between.
    fn may_allocate_many(&self, each: Requested, count: usize) -> Result<(), AllocError> {
        let all = |each: usize| each.checked_mul(count).ok_or(AllocError::Exhausted);
        self.may_allocate(Requested { blocks: all(each.blocks)?, bytes: all(each.bytes)? })
    }

    /// Reserves `more`, or refuses to.
    #[inline(always)]
    fn try_reserve<W: Access>(&self, more: Requested) -> Result<(), AllocError> {
        self.may_allocate(more)
    }

    /// Reserves a block of `least` to `preferred` bytes; returns the number of bytes reserved.
    fn try_reserve_between<W: Access>(&self, least: usize, preferred: usize) -> Result<usize, AllocError> {
        let _ = least;
        self.try_reserve::<W>(Requested { blocks: 1, bytes: preferred })?;
        Ok(preferred)
    }

    /// Cancels a reservation.
    fn cancel<W: Access>(&self, reserved: Requested) {
        let _ = reserved;
    }

    /// Counts a reservation as live.
    fn commit<W: Access>(&self, more: Requested) {
        let _ = more;
    }

    /// Counts a failed request.
    fn fail<W: Access>(&self) {}

    /// Counts what was freed.
    fn free<W: Access>(&self, less: Requested);

    /// Returns what is live, as far as the accounting keeps track of it.
    fn live(&self) -> Requested {
        Requested::default()
    }

    /// Returns the number of live blocks, if the accounting counts them.
    fn live_blocks(&self) -> Option<usize> {
        None
    }

    /// Sets what is live, because the pool behind the guard has gone back to an earlier state.
    fn set_live(&mut self, live: Requested) {
        let _ = live;
    }

    /// Sets what is live to nothing.
    fn reset(&mut self) {
        self.set_live(Requested::default());
    }

    /// Adds what the accounting knows to a report.
    fn report_into(&self, report: &mut Report);

    /// Verifies the accounting's own numbers, with exclusive access.
    fn check(&self) -> Result<(), InvariantError> {
        Ok(())
    }
}

impl Requested {
    /// Returns the amount for a block of this layout: no block if it has no bytes.
    #[inline(always)]
    pub(in crate::guard) fn of(layout: Layout) -> Self {
        Self { blocks: usize::from(layout.size() != 0), bytes: layout.size() }
    }

    /// Returns by how much `self` exceeds `other`.
    #[inline(always)]
    pub(in crate::guard) fn saturating_sub(self, other: Self) -> Self {
        Self {
            blocks: self.blocks.saturating_sub(other.blocks),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}
