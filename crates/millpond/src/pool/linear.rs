//! A bump arena: blocks lie one behind the other and are freed all at once.
//!
//! A cursor moves through the current chunk; each block is carved at the cursor, after padding for its alignment.
//! Freeing the last block moves the cursor back, and the last block grows and shrinks in place. All other memory stays
//! allocated until the reset, which keeps every chunk.
//!
//! * Allocate and free: O(1). Reset: O(chunks); chunks double in size.
//! * Worst case of one call: two attempts to carve, one in the full chunk and one in the next. A call that grows also
//!   takes the parent's time.
//! * Waste: padding, and the end of a chunk where a block no longer fits.
//!
//! With a buffer as its parent this is what other libraries call a static allocator. It uses every byte of the buffer:
//! the first chunk has no header, and later chunks have one of at most four words.
//!
//! Source: Hanson, "Fast Allocation and Deallocation of Memory Based on Object Lifetimes" (1990).

use core::{alloc::Layout, ptr::NonNull};

use super::{
    bump::{Bump, room},
    chunks::{ChunkPolicy, Chunks, Span},
};
use crate::traits::{
    Chunk, ChunkRequest, HeapMapBuilder, Inspect, InvariantError, PoolHooks, PoolStats, RawPool, Release,
};

/// A bump arena: the fastest way to allocate blocks that are freed together.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Linear, Owned, Reclaim};
///
/// let mut arena = Owned::new(Linear::with_capacity(1000));
/// for frame in 0..3 {
///     let mesh = arena.allocate(Layout::new::<[f32; 100]>())?;
///     let name = arena.allocate(Layout::new::<[u8; 7]>())?;
///     // Blocks are adjacent.
///     assert_eq!(name.addr().get(), mesh.addr().get() + 400);
///     arena.reset(); // frees all blocks and keeps the chunks
/// }
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// In a static, on memory that is part of the program, shared by all threads and without system calls:
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{AllocError, Allocator, Linear, Locked, StaticBuffer};
///
/// static MEMORY: StaticBuffer<1024> = StaticBuffer::new();
/// static ARENA: Locked<Linear, &StaticBuffer<1024>> = Locked::new_in(Linear::new(), &MEMORY);
///
/// let table = ARENA.allocate(Layout::new::<[u32; 100]>())?;
/// let remainder = ARENA.allocate(Layout::new::<[u8; 624]>())?;
/// assert_eq!(ARENA.allocate(Layout::new::<u8>()), Err(AllocError::Exhausted)); // every byte is used
/// # let _ = (table, remainder);
/// # Ok::<(), AllocError>(())
/// ```
///
/// For memory that is freed in parts, last first, see [`Stack`](crate::Stack).
///
/// # Invariants
///
/// * The cursor goes through the current chunk, if there is one; live blocks of the current chunk end at or before it.
pub struct Linear {
    bump: Bump,
    chunks: Chunks,
}

/// Bytes of the first chunk if the parent is fine-grained.
const FIRST: usize = 256;

impl Linear {
    /// Creates an arena without chunks. The first chunk will be a page, or a few cache lines if the parent is
    /// [fine-grained](crate::Allocator::is_fine_grained). Each later chunk is twice as large as the one before, up to
    /// 64 MiB.
    #[must_use]
    pub const fn new() -> Self {
        Self { bump: Bump::EMPTY, chunks: Chunks::new(ChunkPolicy::growing_from(FIRST, 1)) }
    }

    /// Creates an arena without chunks, whose first chunk will have room for `bytes` bytes of blocks and padding. Each
    /// later chunk is twice as large as the one before, up to 64 MiB.
    #[must_use]
    pub const fn with_capacity(bytes: usize) -> Self {
        let first = if bytes == 0 { 1 } else { bytes };
        Self {
            bump: Bump::EMPTY,
            chunks: Chunks::new(ChunkPolicy { page: 0, ..ChunkPolicy::growing_from(first, 1) }),
        }
    }

    /// Advances to the next reusable chunk if the block fits there.
    #[cold]
    #[inline(never)]
    fn advance(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if layout.size() == 0 {
            return None;
        }
        Bump::place(self.chunks.next_span()?, layout)?;
        self.bump = Bump::through(self.chunks.advance()?);
        self.bump.carve(layout)
    }
}

impl Default for Linear {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: blocks are carved at the cursor, behind which nothing is live. The cursor moves back only over the last
// block, when that is freed or shrinks. Nothing here unwinds.
unsafe impl RawPool for Linear {
    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.bump.allocate_hot(layout)
    }

    #[inline]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { self.bump.deallocate(block, layout) };
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: the caller upholds the contract of `resize_in_place`, which is the same.
        unsafe { self.bump.resize_in_place(block, old, new) }
    }

    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        match self.bump.allocate_hot(layout) {
            Some(block) => Some(block),
            None => self.advance(layout),
        }
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        if layout.size() == 0 {
            return None;
        }
        self.chunks.request(room(layout))
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_chunk`: the chunk belongs to this pool alone.
        unsafe { self.chunks.add_chunk(chunk, room(layout)) }
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        if let Some(chunk) = self.chunks.take_reusable() {
            return Some(chunk);
        }
        let current = self.bump.span();
        let gone = match which {
            Release::Empty => Some(current).filter(|_| self.bump.is_untouched())?,
            Release::Any => self.chunks.spans().next()?.0,
        };
        if gone == current {
            self.bump = Bump::EMPTY;
        }
        self.chunks.remove(gone)
    }

    fn reset(&mut self) {
        self.bump = Bump::EMPTY;
        self.chunks.reset();
    }
}

impl PoolHooks for Linear {}

impl Inspect for Linear {
    /// Returns the statistics. O(chunks). Everything that was carved counts as live, freed or not, including padding
    /// and the unused ends of full chunks.
    fn stats(&self) -> PoolStats {
        let length = |span: Span| span.end - span.start;
        let reusable: usize =
            self.chunks.spans().filter(|(_, reusable)| *reusable).map(|(span, _)| length(span)).sum();
        let all: usize = self.chunks.spans().map(|(span, _)| length(span)).sum();
        let free = reusable + self.bump.left();
        PoolStats {
            chunks: self.chunks.count(),
            held: self.chunks.held(),
            live: all.saturating_sub(free),
            free,
        }
    }

    fn largest_free(&self) -> Option<usize> {
        let reusable = self.chunks.next_span().map_or(0, |span| span.end - span.start);
        Some(self.bump.left().max(reusable))
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        let current = self.bump.span();
        self.chunks.render(builder, None, |span, reusable| match (reusable, span == current) {
            (true, _) => span.start,
            (false, true) => self.bump.remainder.start,
            (false, false) => span.end,
        });
    }

    fn owns(&self, address: *const u8) -> bool {
        self.chunks.owns(address.addr())
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.chunks.check().map_err(InvariantError)?;
        self.bump.check().map_err(InvariantError)?;
        let current = self.bump.span();
        if current != Span::EMPTY && !self.chunks.spans().any(|(span, reusable)| !reusable && span == current)
        {
            return Err(InvariantError("the cursor is in no chunk that is being carved"));
        }
        Ok(())
    }
}
