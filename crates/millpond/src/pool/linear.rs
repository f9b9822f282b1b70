//! A bump arena: blocks one after the other, freed all at once.
//!
//! A cursor moves through the current chunk; a block is cut at the cursor, padded to its alignment. Freeing the last
//! block moves the cursor back, and the last block grows and shrinks where it is; anything else stays until the reset,
//! which keeps every chunk.
//!
//! * Allocate and free: O(1). Reset: O(chunks), and chunks double in size.
//! * Waste: padding, and what is left at the end of a chunk when a block does not fit any more.
//!
//! Source: Hanson, "Fast Allocation and Deallocation of Memory Based on Object Lifetimes" (1990).

use core::{alloc::Layout, ptr::NonNull};

use super::chunks::{Chunks, Plan, Span};
use crate::{
    base::address,
    contract::{Chunk, ChunkRequest, Flaw, Inspect, Pool, Snapshot, Surrender},
};

/// A bump arena: the fastest way to allocate what dies together.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Linear, Owned, Reclaim};
///
/// let mut arena = Owned::new(Linear::new());
/// for frame in 0..3 {
///     let mesh = arena.allocate(Layout::new::<[f32; 100]>())?;
///     let name = arena.allocate(Layout::new::<[u8; 7]>())?;
///     // Blocks lie one behind the other.
///     assert_eq!(name.addr().get(), mesh.addr().get() + 400);
///     arena.reset(); // and all is free again; no chunk was returned
/// }
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// # Invariants
///
/// * `rest` lies in the current chunk and ends where it does; live blocks of the current chunk end at or before
///   `rest.start`.
pub struct Linear {
    rest: Span,
    chunks: Chunks,
}

impl Linear {
    /// An arena without chunks.
    #[must_use]
    pub const fn new() -> Self {
        Self { rest: Span::EMPTY, chunks: Chunks::new(Plan::growing(1)) }
    }

    /// Where a block of this layout would start in `span`, if it fits.
    #[inline(always)]
    fn place(span: Span, layout: Layout) -> Option<usize> {
        // A layout's size and padding together never overflow.
        let padding = span.start.wrapping_neg() & (layout.align() - 1);
        (padding + layout.size() <= span.end - span.start).then(|| span.start + padding)
    }

    #[inline(always)]
    fn cut(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let start = Self::place(self.rest, layout)?;
        self.rest.start = start + layout.size();
        // SAFETY: the block lies in a chunk that was adopted, hence exposed, and is not at address zero.
        Some(unsafe { address::block(start, layout.size()) })
    }

    /// Goes on to the next chunk ahead if the block fits there.
    #[cold]
    #[inline(never)]
    fn advance(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        Self::place(self.chunks.next_span()?, layout)?;
        self.rest = self.chunks.advance()?;
        self.cut(layout)
    }

    fn is_last(&self, block: NonNull<u8>, layout: Layout) -> bool {
        block.addr().get() + layout.size() == self.rest.start
    }
}

/// Bytes that hold a block of this layout wherever they start. (A layout's size and padding together never overflow.)
fn room(layout: Layout) -> usize {
    layout.size() + (layout.align() - 1)
}

impl Default for Linear {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: blocks are cut from `rest`, which is no live block's, and `rest` grows only by the last block, when that is
// freed or shrinks. Nothing here unwinds.
unsafe impl Pool for Linear {
    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if layout.size() == 0 {
            return None;
        }
        match self.cut(layout) {
            Some(block) => Some(block),
            None => self.advance(layout),
        }
    }

    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if layout.size() == 0 { None } else { self.cut(layout) }
    }

    #[inline]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        if self.is_last(block, layout) {
            self.rest.start = block.addr().get();
        }
    }

    fn wants(&self, layout: Layout) -> Option<ChunkRequest> {
        if layout.size() == 0 {
            return None;
        }
        self.chunks.request(room(layout))
    }

    unsafe fn adopt(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.chunks.adopt(chunk, room(layout)) }
    }

    fn surrender(&mut self, which: Surrender) -> Option<Chunk> {
        let spare = |&(_, ahead): &(Span, bool)| ahead || which == Surrender::Any;
        let (span, _) = self.chunks.spans().find(spare)?;
        if span.end == self.rest.end {
            self.rest = Span::EMPTY;
        }
        self.chunks.remove(span)
    }

    fn reset(&mut self) {
        self.rest = Span::EMPTY;
        self.chunks.reset();
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        let start = block.addr().get();
        let last = self.is_last(block, old);
        let room = if last { self.rest.end - start } else { old.size() };
        if !start.is_multiple_of(new.align()) || new.size() > room {
            return None;
        }
        if last {
            self.rest.start = start + new.size();
        }
        Some(NonNull::slice_from_raw_parts(block, new.size()))
    }
}

impl Inspect for Linear {
    /// Live is what was cut, freed or not, padding included.
    fn stats(&self) -> Snapshot {
        let length = |span: Span| span.end - span.start;
        let ahead: usize =
            self.chunks.spans().filter(|(_, ahead)| *ahead).map(|(span, _)| length(span)).sum();
        let all: usize = self.chunks.spans().map(|(span, _)| length(span)).sum();
        let free = ahead + length(self.rest);
        Snapshot { chunks: self.chunks.count(), held: self.chunks.held(), live: all - free, free }
    }

    fn owns(&self, address: *const u8) -> bool {
        self.chunks.own(address.addr())
    }

    fn check(&self) -> Result<(), Flaw> {
        self.chunks.check().map_err(Flaw)?;
        let current = |&(span, ahead): &(Span, bool)| {
            !ahead && span.end == self.rest.end && self.rest.start >= span.start
        };
        if self.rest != Span::EMPTY && !self.chunks.spans().any(|chunk| current(&chunk)) {
            return Err(Flaw("the cursor lies in no chunk that is being cut"));
        }
        if self.rest.start > self.rest.end {
            return Err(Flaw("the cursor is beyond the end of its chunk"));
        }
        Ok(())
    }
}
