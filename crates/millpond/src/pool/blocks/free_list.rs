//! How freed blocks are kept: the interface of all free lists.

use core::{alloc::Layout, ptr::NonNull};

use super::uncarved::Uncarved;
use crate::traits::{InvariantError, MisuseKind, PendingReport};

/// How freed blocks are kept, and which one is handed out next. It is chosen by type: [`Lifo`](super::Lifo),
/// [`Magazine`](super::Magazine), [`AddressOrdered`](super::AddressOrdered), or [`Validated`](super::Validated) around
/// one of them.
///
/// The trait is sealed: its methods are an interface between a free list and [`Blocks`](super::Blocks).
pub trait FreeList: Sealed {}

/// The methods of [`FreeList`].
pub trait Sealed {
    /// The size and alignment of the regions in which chunks must lie, in bytes; zero if there is no such restriction.
    const REGION: usize;

    /// Whether each block has a bit that records whether it is live.
    const VALIDATES: bool = false;

    /// The state without free blocks.
    const EMPTY: Self;

    /// Returns the address of the block that [`take_freed`](Self::take_freed) would take; zero if there is none.
    fn first_freed(&self) -> usize;

    /// Takes a free block.
    fn take_freed(&mut self) -> Option<NonNull<u8>>;

    /// The same, and marks the block as live.
    #[inline(always)]
    fn take_hot(&mut self, uncarved: &Uncarved, size: usize) -> Option<NonNull<u8>> {
        let _ = (uncarved, size);
        self.take_freed()
    }

    /// Takes a free block, or carves blocks of `size` bytes if none is free.
    fn take(&mut self, uncarved: &mut Uncarved, size: usize) -> Option<NonNull<u8>>;

    /// Adds a block of `size` bytes.
    ///
    /// # Safety
    ///
    /// The block was taken from this pool, has at least the size and alignment of a word, and is no longer used.
    unsafe fn put(&mut self, block: NonNull<u8>, size: usize);

    /// Marks a block as live.
    #[inline(always)]
    fn set_live(&mut self, uncarved: &Uncarved, block: usize, size: usize) {
        let _ = (uncarved, block, size);
    }

    /// Marks a block as free; returns whether it was live, as far as that is known.
    #[inline(always)]
    fn clear_live(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> bool {
        let _ = (uncarved, block, size);
        true
    }

    /// Returns whether an address is that of a live block, as far as there are bits that record it.
    fn is_live(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> bool {
        let _ = (uncarved, block, size);
        true
    }

    /// Returns what is wrong with an address at which no live block begins.
    fn diagnose(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> MisuseKind {
        let _ = (uncarved, block, size);
        MisuseKind::Foreign
    }

    /// Keeps a report until it is taken.
    fn report_misuse(&mut self, address: usize, layout: Layout, kind: MisuseKind) {
        let _ = (address, layout, kind);
    }

    /// Takes the report that was kept.
    fn pending_report(&mut self) -> Option<PendingReport> {
        None
    }

    /// Returns an address that the next [`take`](Self::take) would read although no block is there, or at which the
    /// state of free blocks was overwritten.
    fn damage(&self, uncarved: &Uncarved, size: usize) -> Option<usize>;

    /// Forgets all free blocks.
    fn clear(&mut self);

    /// Returns the addresses of all free blocks of `size` bytes, in no particular order, as far as they can be found:
    /// each is checked before it is followed, and there are at most as many as were carved.
    fn free(&self, uncarved: &Uncarved, size: usize) -> impl Iterator<Item = usize>;

    /// Returns how many blocks of `size` bytes are free, counting at most `most`. O(free blocks), unless the free list
    /// keeps a count.
    fn count_free(&self, uncarved: &Uncarved, size: usize, most: usize) -> usize {
        self.free(uncarved, size).take(most).count()
    }

    /// Makes those chunks reusable in which no block of `size` bytes is live, and forgets their free blocks. If free
    /// blocks were overwritten, it is not known which chunks are empty, and no chunk becomes reusable.
    fn collect_empty(&mut self, uncarved: &mut Uncarved, size: usize);

    /// Checks the invariants of the free list, and that all its free blocks can be found.
    ///
    /// # Errors
    ///
    /// The first invariant that is violated.
    fn check(&self, uncarved: &Uncarved, size: usize) -> Result<(), InvariantError>;
}
