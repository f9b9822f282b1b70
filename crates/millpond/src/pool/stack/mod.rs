//! A bump arena with marks: blocks lie one behind the other and are freed from a mark on.
//!
//! A mark records the position of the cursor. Releasing it moves the cursor back there; the chunks that were begun
//! since become empty and are used again first. Scopes therefore nest: the end of a scope frees exactly what the scope
//! allocated. Freeing the last block also moves the cursor back, and the last block grows and shrinks in place.
//!
//! * Allocate, free and mark: O(1). Release: O(chunks begun since); chunks double in size. A block that does not fit
//!   its chunk: O(empty chunks).
//! * Worst case of one call: allocating examines every empty chunk, releasing moves every chunk begun since the mark;
//!   everything else takes a few instructions. A call that grows also takes the parent's time.
//! * Waste: padding, the unused end of a chunk, and three words per chunk.
//!
//! Source: stack allocation dates back to Algol; obstacks (GNU, 1988) are such a stack on chunks, and Hanson, "Fast
//! Allocation and Deallocation of Memory Based on Object Lifetimes" (1990), describes the arena.

mod chunk_stack;
mod open_marks;

use core::{alloc::Layout, ptr::NonNull};

use self::{
    chunk_stack::{ChunkStack, HEADER_SIZE},
    open_marks::{MarkId, OpenMarks},
};
use super::{
    bump::{Bump, room},
    chunks::{PAGE, Span},
};
use crate::{
    base::address::WORD,
    traits::{
        Chunk, ChunkRequest, HeapMapBuilder, Inspect, InvariantError, PoolHooks, PoolStats, RawPool, Release,
        Rewind,
    },
};

/// The size of the first chunk if the parent is fine-grained, in bytes, and the size beyond which chunks no longer
/// grow.
const FIRST_CHUNK: usize = 256;
const LARGEST_CHUNK: usize = 64 << 20;

/// A bump arena in which scopes nest: the end of a scope frees everything that the scope allocated.
///
/// The safe form is [`scope`](crate::Local::scope) of [`Local`](crate::Local):
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Inspect, Local, Stack};
///
/// let mut stack = Local::new(Stack::new());
/// let kept = stack.allocate(Layout::new::<[u8; 100]>())?;
/// let sum = stack.scope(|scope| {
///     let numbers = scope.alloc_uninit(Layout::new::<[u8; 1000]>())?;
///     let numbers = numbers.iter_mut().zip(0..4).map(|(place, number)| place.write(number));
///     Ok::<u8, millpond::AllocError>(numbers.map(|number| *number).sum())
/// })?;
/// assert_eq!(sum, 6);
/// assert_eq!(stack.stats().live, 100); // the 1,000 bytes were freed
/// # let _ = kept;
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// # Invariants
///
/// * The cursor goes through the chunk on top, if there is one; live blocks of that chunk end at or before it.
/// * Empty chunks contain no live block.
pub struct Stack {
    bump: Bump,
    chunks: ChunkStack,
    open_marks: OpenMarks,
    /// The size of the next chunk, in bytes.
    next_chunk: usize,
    /// The minimum size of a chunk if the parent is not fine-grained, in bytes.
    page: usize,
}

/// A position of a [`Stack`]: see [`Stack::mark`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a mark is there to be released"]
pub struct Mark {
    chunk: usize,
    cursor: usize,
    id: MarkId,
}

impl Stack {
    /// Creates a stack without chunks. The first chunk will be a page, or a few cache lines if the parent is
    /// [fine-grained](crate::Allocator::is_fine_grained). Each later chunk is twice as large as the one before, up to
    /// 64 MiB.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bump: Bump::EMPTY,
            chunks: ChunkStack::EMPTY,
            open_marks: OpenMarks::NONE,
            next_chunk: FIRST_CHUNK,
            page: PAGE,
        }
    }

    /// Creates a stack without chunks, whose first chunk will have room for `bytes` bytes of blocks and padding. Each
    /// later chunk is twice as large as the one before, up to 64 MiB.
    #[must_use]
    pub const fn with_capacity(bytes: usize) -> Self {
        Self { next_chunk: bytes.saturating_add(HEADER_SIZE), page: 0, ..Self::new() }
    }

    /// Returns a mark for the current position of the stack.
    #[inline]
    pub fn mark(&mut self) -> Mark {
        let id = self.open_marks.open((&raw const *self).addr());
        Mark { chunk: self.chunks.top(), cursor: self.bump.remainder.start, id }
    }

    /// Goes back to a mark: frees all blocks allocated since, and keeps their chunks as empty chunks. Marks made since
    /// become invalid.
    ///
    /// # Safety
    ///
    /// * The mark belongs to this stack. Since it was made, neither it nor an older mark has been released, and the
    ///   stack has not been reset.
    /// * Blocks that were allocated or resized since the mark was made are no longer used.
    ///
    /// # Panics
    ///
    /// In debug builds, panics if the mark belongs to another stack or is invalid; of the marks that are open at the
    /// same time, the 16 outermost are checked. In release builds, a mark in a chunk that the stack does not have is
    /// ignored.
    #[inline]
    pub unsafe fn release(&mut self, mark: Mark) {
        let open = self.open_marks.close(&mark.id);
        debug_assert!(open, "released a mark that is void or another stack's: release inner marks first");
        if mark.chunk == self.chunks.top() {
            // Blocks before the mark may have been freed, so the cursor may be further back than the mark.
            self.bump.remainder.start = self.bump.remainder.start.min(mark.cursor);
        } else {
            self.rewind_to(&mark);
        }
    }

    /// Goes back to a mark in a chunk that is not on top.
    #[cold]
    #[inline(never)]
    fn rewind_to(&mut self, mark: &Mark) {
        let ours = self.chunks.is_carved(mark.chunk);
        debug_assert!(ours, "released a mark of another stack");
        if ours {
            self.bump = Bump::through(self.chunks.rewind_to(mark.chunk));
            self.bump.remainder.start = mark.cursor;
        }
    }

    /// Advances to an empty chunk in which the block fits.
    #[cold]
    #[inline(never)]
    fn advance(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if layout.size() == 0 {
            return None;
        }
        let span = self.chunks.advance(|span| Bump::place(span, layout).is_some())?;
        self.bump = Bump::through(span);
        self.bump.carve(layout)
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: blocks are carved at the cursor, behind which nothing is live. The cursor moves back only over the last block
// or, when a mark is released or the stack is reset, over blocks that the caller guarantees are no longer used. Nothing
// here unwinds or calls user code.
unsafe impl RawPool for Stack {
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
        let least = Layout::from_size_align(room(layout).checked_add(HEADER_SIZE)?, WORD).ok()?;
        let enough = self.next_chunk.max(least.size());
        Some(ChunkRequest { least, preferred: enough.max(self.page), enough })
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        let fits = |least: Layout| chunk.size() >= least.size() && chunk.layout().align() >= least.align();
        if !self.chunk_request(layout).is_some_and(|request| fits(request.least)) {
            return Err(chunk);
        }
        // SAFETY: the caller guarantees that the chunk belongs to this stack alone, and it has room for a header, as
        // just checked.
        unsafe { self.chunks.add_chunk(&chunk) };
        self.next_chunk = self.next_chunk.max(chunk.size().saturating_mul(2).min(LARGEST_CHUNK));
        Ok(())
    }

    /// Releases a chunk. A chunk is empty if a release or a reset has left it, and so is the chunk on top if nothing in
    /// it is live and no open mark may refer to it. How much of the chunk below was free is not known any more: it
    /// counts as full.
    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        let empty = self.chunks.release_empty();
        let keeps_top = || self.open_marks.any_open() || !self.bump.is_untouched();
        if empty.is_some() || (which == Release::Empty && keeps_top()) {
            return empty;
        }
        let top = self.chunks.release_top()?;
        self.open_marks.close_all();
        self.bump = self.chunks.carved().next().map_or(Bump::EMPTY, Bump::at_the_end_of);
        Some(top)
    }

    fn reset(&mut self) {
        self.open_marks.close_all();
        self.bump = Bump::through(self.chunks.rewind_to(0));
    }
}

impl PoolHooks for Stack {}

// SAFETY: going back to a mark does not touch the blocks below it.
unsafe impl Rewind for Stack {
    type Mark = Mark;

    #[inline]
    fn mark(&mut self) -> Mark {
        Self::mark(self)
    }

    #[inline]
    unsafe fn release(&mut self, mark: Mark) {
        // SAFETY: the caller upholds the contract of `Rewind::release`, which is the same.
        unsafe { Self::release(self, mark) };
    }
}

impl Inspect for Stack {
    /// Returns the statistics. O(chunks). Everything that was carved counts as live, freed or not, including padding
    /// and the unused ends of full chunks.
    fn stats(&self) -> PoolStats {
        let length = |span: Span| span.end - span.start;
        let (carved, empty) = (self.chunks.carved().map(length), self.chunks.empty().map(length));
        let count = self.chunks.carved().count() + self.chunks.empty().count();
        let (carved, empty): (usize, usize) = (carved.sum(), empty.sum());
        // If the header of the top chunk was overwritten, that chunk is not among the carved ones.
        let left = self.bump.left().min(carved);
        PoolStats {
            chunks: count,
            held: carved + empty + count * HEADER_SIZE,
            live: carved.saturating_sub(left),
            free: empty + left,
        }
    }

    fn largest_free(&self) -> Option<usize> {
        Some(self.chunks.empty().map(|span| span.end - span.start).fold(self.bump.left(), usize::max))
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        let mut left = self.bump.left();
        let carved = self.chunks.carved().map(|span| (span, span.end - core::mem::take(&mut left)));
        for (span, carved) in carved.chain(self.chunks.empty().map(|span| (span, span.start))) {
            builder.chunk(span.start - HEADER_SIZE..span.end, span.start..span.end, None);
            builder.live(span.start..carved);
            builder.fresh(carved..span.end);
        }
    }

    fn owns(&self, address: *const u8) -> bool {
        let whole = |span: Span| Span { start: span.start - HEADER_SIZE, end: span.end };
        self.chunks.carved().chain(self.chunks.empty()).any(|span| whole(span).contains(address.addr()))
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.bump.check().map_err(InvariantError)?;
        if !self.chunks.is_whole() {
            return Err(InvariantError("a chunk's header was overwritten"));
        }
        let current = self.bump.span();
        if current != Span::EMPTY && self.chunks.carved().next() != Some(current) {
            return Err(InvariantError("the cursor is not in the chunk on top"));
        }
        if self.chunks.carved().any(|carved| self.chunks.empty().any(|empty| empty == carved)) {
            return Err(InvariantError("a chunk is both carved and reusable"));
        }
        Ok(())
    }
}
