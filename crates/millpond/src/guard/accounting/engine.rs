//! What a guard does around the calls of what it guards.

use core::alloc::Layout;

use super::counter::Access;
use crate::{
    base::AllocError,
    traits::{InvariantError, Report, Requested},
};

/// The job of a [`Accounted`](super::Accounted): one implementation for pools and allocators.
///
/// A request is first *claimed*. If the claim is refused, the request has *failed*. Else what is behind is asked, and
/// the request is *served*, or the claim is *withdrawn* and, unless somebody will try again, the request has failed.
pub trait Accounting {
    /// Whether the job needs to hear the same size when a block is freed as when it was allocated. If so, the guard
    /// returns no more bytes than were requested.
    const BY_SIZE: bool;

    /// Whether a claim to so much more would be granted, if nobody came in between.
    fn may_allocate(&self, more: Requested) -> Result<(), AllocError> {
        let _ = more;
        Ok(())
    }

    /// Whether so many claims in a row would be granted, each to so much more, if nobody came in between.
    fn may_allocate_many(&self, each: Requested, count: usize) -> Result<(), AllocError> {
        let all = |each: usize| each.checked_mul(count).ok_or(AllocError::Exhausted);
        self.may_allocate(Requested { blocks: all(each.blocks)?, bytes: all(each.bytes)? })
    }

    /// Lays claim to so much more, or refuses it.
    #[inline(always)]
    fn try_reserve<W: Access>(&self, more: Requested) -> Result<(), AllocError> {
        self.may_allocate(more)
    }

    /// Lays claim to a block of `least` to `preferred` bytes; says how many it got.
    fn try_reserve_between<W: Access>(&self, least: usize, preferred: usize) -> Result<usize, AllocError> {
        let _ = least;
        self.try_reserve::<W>(Requested { blocks: 1, bytes: preferred })?;
        Ok(preferred)
    }

    /// Gives a claim up.
    fn cancel<W: Access>(&self, reserved: Requested) {
        let _ = reserved;
    }

    /// So much more, which was claimed, is live.
    fn commit<W: Access>(&self, more: Requested) {
        let _ = more;
    }

    /// A request came to nothing.
    fn fail<W: Access>(&self) {}

    /// So much less is live.
    fn free<W: Access>(&self, less: Requested);

    /// What is live, as far as the job keeps count of that.
    fn live(&self) -> Requested {
        Requested::default()
    }

    /// How many blocks are live, if the job counts them.
    fn live_blocks(&self) -> Option<usize> {
        None
    }

    /// So much is live from now on, because the pool behind has gone back to when it was.
    fn set_live(&mut self, live: Requested) {
        let _ = live;
    }

    /// Nothing is live any more.
    fn reset(&mut self) {
        self.set_live(Requested::default());
    }

    /// Adds what the job has to say.
    fn report_into(&self, report: &mut Report);

    /// Verifies the job's own figures, while nobody changes them.
    fn check(&self) -> Result<(), InvariantError> {
        Ok(())
    }
}

impl Requested {
    /// A block of this layout; no block if it has no bytes.
    #[inline(always)]
    pub(in crate::guard) fn of(layout: Layout) -> Self {
        Self { blocks: usize::from(layout.size() != 0), bytes: layout.size() }
    }

    /// What `self` has more than `other`.
    #[inline(always)]
    pub(in crate::guard) fn saturating_sub(self, other: Self) -> Self {
        Self {
            blocks: self.blocks.saturating_sub(other.blocks),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}
