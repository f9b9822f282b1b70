//! A bump arena with marks: blocks one behind the other, freed from a mark on.
//!
//! A mark is where the cursor stood. Releasing it moves the cursor back there; the chunks that were begun since become
//! spare and are cut again next. So scopes nest: what a scope allocates is gone when it ends, and nothing else. Freeing
//! the last block moves the cursor back too, and the last block grows and shrinks where it is.
//!
//! * Allocate, free and mark: O(1). Release: O(chunks begun since), and chunks double in size. A block that does not fit
//!   its chunk: O(spare chunks).
//! * Worst case of one call: allocating looks at every spare chunk, releasing moves every chunk begun since; all else is a
//!   handful of instructions. A call that grows has the parent's time besides.
//! * Waste: padding, what is left at the end of a chunk, and three words per chunk.
//!
//! Source: stack allocation is as old as Algol's; obstacks (GNU, 1988) are such a stack on chunks, and Hanson, "Fast
//! Allocation and Deallocation of Memory Based on Object Lifetimes" (1990), the arena.

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

/// The size of the first chunk where the parent is fine-grained, in bytes, and the one beyond which chunks grow no more.
const FIRST_CHUNK: usize = 256;
const LARGEST_CHUNK: usize = 64 << 20;

/// A bump arena in which scopes nest: a scope that ends frees all that it allocated.
///
/// [`Local`](crate::Local) has [`scope`](crate::Local::scope), the safe form:
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Inspect, Local, Stack};
///
/// let mut stack = Local::new(Stack::new());
/// let kept = stack.allocate(Layout::new::<[u8; 100]>())?;
/// let sum = stack.scope(|scope| {
///     let numbers = scope.lend(Layout::new::<[u8; 1000]>())?;
///     let numbers = numbers.iter_mut().zip(0..4).map(|(place, number)| place.write(number));
///     Ok::<u8, millpond::AllocError>(numbers.map(|number| *number).sum())
/// })?;
/// assert_eq!(sum, 6);
/// assert_eq!(stack.stats().live, 100); // the thousand bytes are gone
/// # let _ = kept;
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// # Invariants
///
/// * The cursor goes through the chunk on top, or through nothing; live blocks of that chunk end at or before it.
/// * Spare chunks hold no live block.
pub struct Stack {
    bump: Bump,
    chunks: ChunkStack,
    open_marks: OpenMarks,
    /// How large the next chunk should be, in bytes.
    next_chunk: usize,
    /// The least size of a chunk where the parent is not fine-grained, in bytes.
    page: usize,
}

/// Where a [`Stack`] stood: see [`Stack::mark`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a mark is there to be released"]
pub struct Mark {
    chunk: usize,
    cursor: usize,
    id: MarkId,
}

impl Stack {
    /// A stack without chunks; the first will be a page, or a few lines of cache where the parent is
    /// [fine-grained](crate::Allocator::is_fine_grained). Each later one is twice as large as the one before, up to 64 MiB.
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

    /// A stack without chunks, whose first has room for `bytes` bytes of blocks and padding. Each later one is twice as
    /// large as the one before, up to 64 MiB.
    #[must_use]
    pub const fn with_capacity(bytes: usize) -> Self {
        Self { next_chunk: bytes.saturating_add(HEADER_SIZE), page: 0, ..Self::new() }
    }

    /// Remembers where the stack stands now.
    #[inline]
    pub fn mark(&mut self) -> Mark {
        let id = self.open_marks.open((&raw const *self).addr());
        Mark { chunk: self.chunks.top(), cursor: self.bump.remainder.start, id }
    }

    /// Goes back to a mark: blocks that were handed out since are dead, the chunks they were in are spare. Marks that were
    /// made since are void.
    ///
    /// # Safety
    ///
    /// * The mark is this stack's, and neither it nor one made before it was released, nor the stack reset, since it was made.
    /// * Nobody uses what was handed out since, or was resized since.
    ///
    /// # Panics
    ///
    /// In debug builds, if the mark is not this stack's or is void; among marks that are open at the same time the 16
    /// outermost are watched. Otherwise a mark whose chunk the stack does not have is ignored.
    #[inline]
    pub unsafe fn release(&mut self, mark: Mark) {
        let open = self.open_marks.close(&mark.id);
        debug_assert!(open, "released a mark that is void or another stack's: release inner marks first");
        if mark.chunk == self.chunks.top() {
            // Blocks before the mark may have been freed, so the cursor may be further back.
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

    /// Goes on to a spare chunk in which the block fits.
    #[cold]
    #[inline(never)]
    fn advance(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
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

// SAFETY: blocks are cut at the cursor, behind which nothing is live. It moves back only over the last block, or, when a
// mark is released or the stack reset, over what the caller promises to be dead. Nothing here unwinds or calls anybody.
unsafe impl RawPool for Stack {
    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if layout.size() == 0 {
            return None;
        }
        match self.bump.carve(layout) {
            Some(block) => Some(block),
            None => self.advance(layout),
        }
    }

    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if layout.size() == 0 { None } else { self.bump.carve(layout) }
    }

    #[inline]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        self.bump.give(block, layout);
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
        // SAFETY: the chunk is the stack's from now on, and has room for a header, as was just checked.
        unsafe { self.chunks.add_chunk(&chunk) };
        self.next_chunk = self.next_chunk.max(chunk.size().saturating_mul(2).min(LARGEST_CHUNK));
        Ok(())
    }

    /// A chunk is spare when a release or a reset has left it; and so is the one on top when nothing in it is live, and no
    /// mark is open that may lead there. What was left of the chunk below that is not known any more: it counts as full.
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

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        self.bump.resize(block, old, new)
    }
}

impl PoolHooks for Stack {}

// SAFETY: blocks below a mark stay as they are when the stack goes back to it.
unsafe impl Rewind for Stack {
    type Mark = Mark;

    #[inline]
    fn mark(&mut self) -> Mark {
        Self::mark(self)
    }

    #[inline]
    unsafe fn release(&mut self, mark: Mark) {
        // SAFETY: the caller's promises are passed on.
        unsafe { Self::release(self, mark) };
    }
}

impl Inspect for Stack {
    /// O(chunks). Live is what was cut, freed or not, with padding and with what was left of chunks that are full.
    fn stats(&self) -> PoolStats {
        let length = |span: Span| span.end - span.start;
        let (carved, empty) = (self.chunks.carved().map(length), self.chunks.empty().map(length));
        let count = self.chunks.carved().count() + self.chunks.empty().count();
        let (carved, empty): (usize, usize) = (carved.sum(), empty.sum());
        // Where the header on top was overwritten, its chunk is not among those that are cut.
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
            return Err(InvariantError("the cursor goes through another chunk than the one on top"));
        }
        if self.chunks.carved().any(|carved| self.chunks.empty().any(|empty| empty == carved)) {
            return Err(InvariantError("a chunk is both cut and spare"));
        }
        Ok(())
    }
}
