//! How far a piece of memory is spent: the one thing that sources of bounded size keep.
//!
//! Blocks are cut at the cursor, which moves to the back; what is freed at the cursor moves it back again, anything
//! else stays spent. O(1) but for retries when threads meet. The cursor is atomic and nothing else is synchronised by
//! it: nothing needs to be, because a block is passed on by whoever holds it.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::{
        AllocError, address,
        atomic::{AtomicUsize, Ordering},
    },
    traits::Allocation,
};

/// How many bytes of a piece of memory are spent. Every method takes that memory, always the same.
///
/// # Invariants
///
/// * It is at most the size of the memory.
/// * No live block has a byte at or past the cursor.
///
/// (Not `IN_ONE_STEP`, it looks and then moves: that is for models, which must notice.)
#[derive(Debug)]
pub(crate) struct Cursor<const IN_ONE_STEP: bool = true>(AtomicUsize);

impl<const IN_ONE_STEP: bool> Cursor<IN_ONE_STEP> {
    pub(crate) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Bytes spent.
    pub(crate) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Declares everything free. Nobody else is at work.
    pub(crate) fn rewind(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Cuts a block of at least `least` and up to `preferred` bytes: `preferred` if there is room, else all that is left.
    pub(crate) fn take(&self, memory: NonNull<[u8]>, least: Layout, preferred: usize) -> Allocation {
        if least.size() == 0 {
            return Ok(address::zero_sized(least));
        }
        let base: NonNull<u8> = memory.cast();
        let mut used = self.used();
        loop {
            let padding = (base.addr().get() + used).wrapping_neg() & (least.align() - 1);
            let room = (memory.len() - used).checked_sub(padding).ok_or(AllocError::Exhausted)?;
            if room < least.size() {
                return Err(AllocError::Exhausted);
            }
            let size = room.min(preferred.max(least.size()));
            let (start, end) = (used + padding, used + padding + size);
            // Acquire: the bytes past the cursor were never handed out, or came back from a holder who is done with
            // them, which the release in `give_back` says.
            match self.advance(used, end) {
                // SAFETY: `start + size` is `end`, which lies within the memory.
                Ok(_) => return Ok(NonNull::slice_from_raw_parts(unsafe { base.add(start) }, size)),
                Err(now) => used = now,
            }
        }
    }

    #[inline(always)]
    fn advance(&self, used: usize, end: usize) -> Result<usize, usize> {
        if IN_ONE_STEP {
            return self.0.compare_exchange_weak(used, end, Ordering::Acquire, Ordering::Relaxed);
        }
        let now = self.used();
        if now != used {
            return Err(now);
        }
        self.0.store(end, Ordering::Relaxed);
        Ok(now)
    }

    /// Moves back over `size` bytes at `start` if they end at the cursor; else they stay spent.
    pub(crate) fn give_back(&self, memory: NonNull<[u8]>, start: NonNull<u8>, size: usize) {
        if size != 0 {
            let start = start.addr().get() - memory.addr().get();
            // A failure means that these bytes are not the last ones.
            let _ = self.0.compare_exchange(start + size, start, Ordering::Release, Ordering::Relaxed);
        }
    }

    /// Makes a block of `old` bytes one of `new`, which is no less, if it ends at the cursor and there is room.
    pub(crate) fn extend(&self, memory: NonNull<[u8]>, block: NonNull<u8>, old: usize, new: usize) -> bool {
        let start = block.addr().get() - memory.addr().get();
        // Acquire, as in `take`.
        new <= memory.len() - start
            && self.0.compare_exchange(start + old, start + new, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}
