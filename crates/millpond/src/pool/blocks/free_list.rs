//! How freed blocks are kept: the interface of all free lists.

use core::{alloc::Layout, ptr::NonNull};

use super::uncarved::Uncarved;
use crate::{
    pool::chunks::Span,
    traits::{Chunk, ChunkRequest, InvariantError, MisuseKind, PendingReport},
};

/// How freed blocks are kept, and which one is handed out next. It is chosen by type: [`Lifo`](super::Lifo),
/// [`Magazine`](super::Magazine), [`AddressOrdered`](super::AddressOrdered), [`Validated`](super::Validated) around one
/// of them, or [`Hardened`](super::Hardened).
///
/// The trait is sealed: its methods are an interface between a free list and [`Blocks`](super::Blocks).
pub trait FreeList: Sealed {}

/// The methods of [`FreeList`].
pub trait Sealed {
    /// The size and alignment of the regions in which chunks must lie, in bytes; zero if there is no such restriction.
    const REGION: usize;

    /// Whether each block has a bit that records whether it is live.
    const VALIDATES: bool = false;

    /// Whether these bits lie in the chunks, behind the blocks.
    const MARKS_IN_CHUNK: bool = Self::VALIDATES;

    /// The minimum size of the first chunk, in bytes, if the parent is fine-grained.
    const FIRST_CHUNK: usize = 0;

    /// Whether blocks that are live when the pool is dropped are reported.
    const REPORTS_LEAKS: bool = Self::VALIDATES;

    /// Whether freed blocks may wait in the caches of threads, where a double free is not detected.
    const IS_CACHEABLE: bool = true;

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

    /// Returns the addresses of the blocks that are marked as live, if there are marks.
    fn live(&self, uncarved: &Uncarved, size: usize) -> impl Iterator<Item = usize> {
        let _ = size;
        uncarved.live()
    }

    /// Makes blocks that are held back free; returns whether there were any.
    fn release_held(&mut self, size: usize) -> bool {
        let _ = size;
        false
    }

    /// Returns the request for memory beside the chunks of blocks, if the free list needs any before more blocks can be
    /// taken, or before the `next` chunk is requested.
    fn request_beside(&self, next: Option<ChunkRequest>, size: usize) -> Option<ChunkRequest> {
        let _ = (next, size);
        None
    }

    /// Adds memory that [`request_beside`](Self::request_beside) asked for; returns it if it is too small.
    ///
    /// # Safety
    ///
    /// The chunk belongs to the pool alone.
    unsafe fn add_beside(&mut self, chunk: Chunk, size: usize) -> Result<(), Chunk> {
        let _ = size;
        Err(chunk)
    }

    /// Records that a chunk was added, of which a part is for blocks of a size. There is no request for memory beside it.
    fn note_chunk(&mut self, start: usize, layout: Layout, blocks: (Span, usize)) {
        let _ = (start, layout, blocks);
    }

    /// Records that a chunk of which nothing is live leaves the pool. Returns false, and reports it, if this is not a
    /// chunk that was added: it must not be released.
    fn may_release(&mut self, chunk: &Chunk) -> bool {
        let _ = chunk;
        true
    }

    /// Releases memory beside the chunks that is not needed any more.
    fn release_beside(&mut self) -> Option<Chunk> {
        None
    }

    /// Returns the number of chunks of memory beside those of blocks, and that of their bytes.
    fn beside(&self) -> (usize, usize) {
        (0, 0)
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

/// Returns what is wrong with the free of an address at which no live block of `size` bytes begins. `carved` are the
/// ranges of the blocks that were handed out before.
pub(super) fn diagnose(mut carved: impl Iterator<Item = Span>, block: usize, size: usize) -> MisuseKind {
    let Some(carved) = carved.find(|carved| carved.contains(block)) else {
        return MisuseKind::Foreign;
    };
    let offset = (block - carved.start) % size;
    if offset == 0 { MisuseKind::DoubleFree } else { MisuseKind::Interior { start: block - offset } }
}
