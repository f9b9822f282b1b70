//! How much of a piece of memory is used: the only state of sources of bounded size.
//!
//! Blocks are carved at the cursor, which moves towards the back. Freeing the block that ends at the cursor moves the
//! cursor back; any other freed block stays unavailable. Every operation is O(1), except for retries under contention.
//! The cursor is atomic. It synchronises nothing else, and need not: a thread that passes a block on to another thread
//! provides the synchronisation.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::{
        AllocError, address,
        atomic::{AtomicUsize, Ordering},
    },
    traits::Allocation,
};

/// The number of used bytes of a piece of memory. Every method takes that memory, which must be the same each time.
///
/// # Invariants
///
/// * The number is at most the size of the memory.
/// * No live block has a byte at or past the cursor.
///
/// Unless `IN_ONE_STEP` is set, the cursor is read and then written in two steps. This variant is for models, which
/// must detect the error.
#[derive(Debug)]
pub(crate) struct Cursor<const IN_ONE_STEP: bool = true>(AtomicUsize);

impl<const IN_ONE_STEP: bool> Cursor<IN_ONE_STEP> {
    pub(crate) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Returns the number of bytes used.
    pub(crate) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Marks all memory as free. No other thread may use the cursor at the same time.
    pub(crate) fn rewind(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Carves a block of at least `least` and at most `preferred` bytes: `preferred` if there is room, otherwise all
    /// that is left.
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
            // Acquire: the bytes past the cursor were never handed out, or were freed by a thread that no longer uses
            // them; the latter synchronises with the release in `give_back`.
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

    /// Moves the cursor back over `size` bytes at `start` if they end at the cursor; otherwise they stay unavailable.
    pub(crate) fn give_back(&self, memory: NonNull<[u8]>, start: NonNull<u8>, size: usize) {
        if size != 0 {
            let start = start.addr().get() - memory.addr().get();
            // On failure these bytes are not the last ones.
            let _ = self.0.compare_exchange(start + size, start, Ordering::Release, Ordering::Relaxed);
        }
    }

    /// Grows a block from `old` to `new` bytes, where `new` is at least `old`, if the block ends at the cursor and
    /// there is room.
    pub(crate) fn extend(&self, memory: NonNull<[u8]>, block: NonNull<u8>, old: usize, new: usize) -> bool {
        let start = block.addr().get() - memory.addr().get();
        // Acquire, as in `take`.
        new <= memory.len() - start
            && self.0.compare_exchange(start + old, start + new, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}
