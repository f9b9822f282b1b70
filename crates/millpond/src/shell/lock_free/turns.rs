//! How many blocks of a segment were handed out, and whether they are there at all.
//!
//! Blocks that were never handed out are claimed in turn. Who [closes](Turns::close) a segment takes all turns that are left, so
//! that nobody can claim one any more; when its blocks have gone, others may [bring](Turns::fetch_chunk) them back.

use core::marker::PhantomData;

use crate::{
    base::atomic::{AtomicU32, Ordering},
    sync::ordering::{Correct, Orderings},
};

/// All turns are somebody's: it is closing the segment, or opening it.
const CLOSED: u32 = u32::MAX;

/// The parent has the blocks.
const GONE: u32 = u32::MAX - 1;

/// How many turns were had, [`CLOSED`] or [`GONE`]. (`T` says what it relies on, and models take it away.)
pub(super) struct Turns<T = Correct>(AtomicU32, PhantomData<fn() -> T>);

impl<T: Orderings> Turns<T> {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(0), PhantomData)
    }

    /// The next of `count` turns, which is the caller's from now on. It sees all that came before the segment was opened.
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

    /// How many were had; none while the blocks are not there.
    pub(super) fn had(&self) -> u32 {
        let had = self.0.load(Ordering::Relaxed);
        if had < GONE { had } else { 0 }
    }

    /// Closes the segment, if exactly so many turns were had.
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

    /// Says that the blocks of a segment that was closed have gone.
    pub(super) fn leave(&self) {
        self.0.store(GONE, T::RELEASE);
    }

    pub(super) fn are_gone(&self) -> bool {
        self.0.load(Ordering::Relaxed) == GONE
    }

    /// Closes the segment to bring its blocks back, if they are gone.
    pub(super) fn fetch_chunk(&self) -> bool {
        self.0.compare_exchange(GONE, CLOSED, T::ACQUIRE, Ordering::Relaxed).is_ok()
    }

    /// Opens a segment that was closed: no turn was had.
    pub(super) fn open(&self) {
        self.0.store(0, T::RELEASE);
    }

    /// As if no turn had been had. If the blocks are gone, they stay so.
    pub(super) fn forget(&mut self) {
        if !self.are_gone() {
            self.open();
        }
    }
}
