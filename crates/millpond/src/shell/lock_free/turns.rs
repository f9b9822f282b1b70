//! How many blocks of a segment were handed out, and whether its blocks are present at all.
//!
//! Blocks that were never handed out are claimed in turn. A thread that [closes](Turns::close) a segment takes all
//! remaining turns, so that no thread can claim one any more; after its blocks were returned, other threads may
//! [bring](Turns::claim_gone) them back.

use core::marker::PhantomData;

use crate::{
    base::atomic::{AtomicU32, Ordering},
    sync::ordering::{Correct, Orderings},
};

/// All turns are taken by the thread that is closing or opening the segment.
const CLOSED: u32 = u32::MAX;

/// The parent has the blocks.
const GONE: u32 = u32::MAX - 1;

/// Number of turns taken, [`CLOSED`] or [`GONE`]. (`T` provides the orderings, which models weaken.)
pub(super) struct Turns<T = Correct>(AtomicU32, PhantomData<fn() -> T>);

impl<T: Orderings> Turns<T> {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(0), PhantomData)
    }

    /// Claims the next of `count` turns for the caller, which sees everything that happened before the segment was
    /// opened.
    pub(super) fn claim(&self, count: u32) -> Option<u32> {
        let mut turn = self.0.load(Ordering::Relaxed);
        while turn < count {
            match self.0.compare_exchange_weak(turn, turn + 1, T::ACQUIRE, Ordering::Relaxed) {
                Ok(_) => return Some(turn),
                Err(now) => turn = now,
            }
        }
        None
    }

    /// Returns the number of turns taken; zero while the blocks are not present.
    pub(super) fn had(&self) -> u32 {
        let had = self.0.load(Ordering::Relaxed);
        if had < GONE { had } else { 0 }
    }

    /// Closes the segment, if exactly `had` turns were taken; returns whether it did.
    pub(super) fn close(&self, had: u32) -> bool {
        if T::ONE_STEP {
            return self.0.compare_exchange(had, CLOSED, T::ACQUIRE, Ordering::Relaxed).is_ok();
        }
        let is_so = self.0.load(T::ACQUIRE) == had;
        if is_so {
            self.0.store(CLOSED, Ordering::Relaxed);
        }
        is_so
    }

    /// Records that the blocks of a closed segment were returned.
    pub(super) fn leave(&self) {
        self.0.store(GONE, T::RELEASE);
    }

    pub(super) fn are_gone(&self) -> bool {
        self.0.load(Ordering::Relaxed) == GONE
    }

    /// Closes the segment to bring its blocks back, if they were returned; returns whether it did.
    pub(super) fn claim_gone(&self) -> bool {
        self.0.compare_exchange(GONE, CLOSED, T::ACQUIRE, Ordering::Relaxed).is_ok()
    }

    /// Opens a closed segment: no turn is taken.
    pub(super) fn open(&self) {
        self.0.store(0, T::RELEASE);
    }

    /// Resets to the state in which no turn was taken. If the blocks were returned, that remains so.
    pub(super) fn forget(&mut self) {
        if !self.are_gone() {
            self.open();
        }
    }
}
