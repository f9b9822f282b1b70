//! What becomes of freed blocks: the interface that every strategy implements.

use core::{alloc::Layout, ptr::NonNull};

use super::fresh::Fresh;
use crate::contract::{Cause, Complaint, Flaw};

/// What becomes of blocks that are freed, and which one is handed out next. Chosen by type: [`Lifo`](super::Lifo),
/// [`Magazine`](super::Magazine), [`Compact`](super::Compact), and [`Marked`](super::Marked) around one of them.
///
/// The trait is sealed: how a strategy works is between it and [`Blocks`](super::Blocks).
pub trait Strategy: Sealed {}

/// The working part of [`Strategy`].
pub trait Sealed {
    /// The size, hence the alignment, of the regions that chunks are to lie in, in bytes; zero if any chunk will do.
    const REGION: usize;

    /// Whether each block has a bit that says whether it is live.
    const MARKS: bool = false;

    /// The state without a single free block.
    const EMPTY: Self;

    /// The address of the block that [`take_freed`](Self::take_freed) would take; zero if none.
    fn first_freed(&self) -> usize;

    /// Takes a free block.
    fn take_freed(&mut self) -> Option<NonNull<u8>>;

    /// The same, and marks it as live.
    #[inline(always)]
    fn take_hot(&mut self, fresh: &Fresh, size: usize) -> Option<NonNull<u8>> {
        let _ = (fresh, size);
        self.take_freed()
    }

    /// Takes a free block, or cuts fresh ones of `size` bytes if none is free.
    fn take(&mut self, fresh: &mut Fresh, size: usize) -> Option<NonNull<u8>>;

    /// Puts a block of `size` bytes back.
    ///
    /// # Safety
    ///
    /// The block was taken from this pool, is at least a word long and as aligned, and nobody uses it any more.
    unsafe fn put(&mut self, block: NonNull<u8>, size: usize);

    /// Marks a block as live.
    #[inline(always)]
    fn mark(&mut self, fresh: &Fresh, block: usize, size: usize) {
        let _ = (fresh, block, size);
    }

    /// Marks a block as free; says whether it was live, as far as that is known.
    #[inline(always)]
    fn unmark(&mut self, fresh: &Fresh, block: usize, size: usize) -> bool {
        let _ = (fresh, block, size);
        true
    }

    /// Whether an address is that of a live block, as far as there are bits that say so.
    fn is_live(&mut self, fresh: &Fresh, block: usize, size: usize) -> bool {
        let _ = (fresh, block, size);
        true
    }

    /// What is wrong with an address that is no live block's.
    fn diagnose(&mut self, fresh: &Fresh, block: usize, size: usize) -> Cause {
        let _ = (fresh, block, size);
        Cause::Foreign
    }

    /// Keeps a complaint until it is asked for.
    fn complain(&mut self, address: usize, layout: Layout, cause: Cause) {
        let _ = (address, layout, cause);
    }

    /// The complaint that was kept.
    fn complaint(&mut self) -> Option<Complaint> {
        None
    }

    /// An address that the next [`take`](Self::take) would read at, although no block is there, or where what tells of free
    /// blocks was overwritten.
    fn damage(&self, fresh: &Fresh, size: usize) -> Option<usize>;

    /// Forgets all free blocks.
    fn clear(&mut self);

    /// The addresses of all free blocks of `size` bytes, in no particular order, as far as they are found: each is tested
    /// before it is followed, and there are no more than were cut.
    fn free(&self, fresh: &Fresh, size: usize) -> impl Iterator<Item = usize>;

    /// How many blocks of `size` bytes are free, counted up to `most`. O(free blocks), unless the strategy knows a shorter way.
    fn count_free(&self, fresh: &Fresh, size: usize, most: usize) -> usize {
        self.free(fresh, size).take(most).count()
    }

    /// Makes the chunks fresh again in which no block of `size` bytes is live, and forgets their free blocks. If free blocks
    /// were overwritten, nothing is known of chunks, and none is.
    fn settle(&mut self, fresh: &mut Fresh, size: usize);

    /// The strategy's own invariants, and that all its free blocks are found.
    ///
    /// # Errors
    ///
    /// The first invariant found broken.
    fn check(&self, fresh: &Fresh, size: usize) -> Result<(), Flaw>;
}
