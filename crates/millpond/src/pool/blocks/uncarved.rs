//! The blocks that have not been carved yet: the cold half of [`Blocks`](super::Blocks).

use super::region_header;
use crate::{
    base::address::align_up,
    pool::chunks::{ChunkPolicy, Chunks, HEADER_SIZE, LiveBitmap, PAGE, Span, SpanCounts, Spans, Walk},
    traits::{Chunk, ChunkRequest, HeapMapBuilder, InvariantError},
};

/// The size of the first chunk if there are regions, in bytes: its header has room for the bits of a whole region.
const FIRST_REGION: usize = 64 << 10;

/// Returns the size of the first chunk if there are no regions and the parent is fine-grained: room for four blocks,
/// but at least a few cache lines and at most a page.
const fn room_for_a_few(size: usize) -> usize {
    match size.saturating_mul(4) {
        room @ 256..=PAGE => room,
        0..256 => 256,
        _ => PAGE,
    }
}

/// The chunks of a pool and the remainder of the current one.
///
/// # Invariants
///
/// * `remainder` lies in the current chunk and ends where the chunk ends.
/// * Everything in carved chunks except `remainder` has been handed to the free list or to callers.
pub struct Uncarved {
    /// Bytes per block.
    size: usize,
    remainder: Span,
    pub(super) chunks: Chunks,
}

impl Uncarved {
    /// Creates a value without chunks, for blocks of this layout, in regions of `region` bytes, or without regions if
    /// that is zero. Each block has a bit in its chunk if they are `marked`. The first chunk has at least `first` bytes
    /// if there are no regions.
    pub(super) const fn new(size: usize, align: usize, region: usize, marked: bool, first: usize) -> Self {
        let few = room_for_a_few(size);
        let policy = ChunkPolicy {
            bitmap_block: if marked { size } else { 0 },
            ..ChunkPolicy::growing_from(if few < first { first } else { few }, align)
        };
        if region == 0 {
            return Self { size, remainder: Span::EMPTY, chunks: Chunks::new(policy) };
        }
        assert!(align <= region, "blocks are aligned beyond a region");
        let header_size = align_up(HEADER_SIZE + region_header::header_size(size, region), policy.align);
        let first = if region < FIRST_REGION { region } else { FIRST_REGION };
        let policy = ChunkPolicy {
            page: 0,
            align: region,
            header_size,
            always_with_header: true,
            first,
            largest: region,
            reach: region,
            ..policy
        };
        Self { size, remainder: Span::EMPTY, chunks: Chunks::new(policy) }
    }

    /// The same without regions and bits; each chunk has room for `room` bytes behind its header, aligned to a word.
    pub(super) const fn with_room_for(room: usize, size: usize, align: usize) -> Self {
        let policy = ChunkPolicy::growing_from(room_for_a_few(size), align);
        let header_size = align_up(HEADER_SIZE + room, policy.align);
        let policy = ChunkPolicy {
            header_size,
            always_with_header: true,
            first: policy.first + header_size,
            ..policy
        };
        Self { size, remainder: Span::EMPTY, chunks: Chunks::new(policy) }
    }

    /// Carves up to `most` adjacent blocks; none if there is no uncarved memory. The blocks are not accessed. `begin`
    /// is called with each chunk from which blocks are carved for the first time.
    pub(super) fn carve_up_to(&mut self, most: usize, begin: impl FnMut(Span)) -> Span {
        if !self.advance(begin) {
            return Span::EMPTY;
        }
        let count = ((self.remainder.end - self.remainder.start) / self.size).min(most);
        let run = Span { start: self.remainder.start, end: self.remainder.start + count * self.size };
        self.remainder.start = run.end;
        run
    }

    /// Ensures that `remainder` has room for a block, advancing to the next chunk if necessary; returns whether it has.
    fn advance(&mut self, mut begin: impl FnMut(Span)) -> bool {
        while self.remainder.end - self.remainder.start < self.size {
            match self.chunks.advance() {
                Some(span) => {
                    begin(span);
                    self.remainder = span;
                }
                None => return false,
            }
        }
        true
    }

    /// Returns the span of the chunk to which the next call of [`carve_up_to`](Self::carve_up_to) advances; `None` if
    /// the current one has room, or if there is none.
    pub(super) fn next_chunk(&self) -> Option<Span> {
        let has_room = self.remainder.end - self.remainder.start >= self.size;
        if has_room { None } else { self.chunks.next_span() }
    }

    /// Declares that nothing is carved from the chunks that are reusable any more. They are kept.
    pub(super) fn abandon_reusable(&mut self) {
        self.chunks.abandon_reusable();
    }

    /// Returns the request for a chunk with room for `count` blocks, or for as many of them as one chunk can hold.
    pub(super) fn request_for(&self, count: usize) -> Option<ChunkRequest> {
        let most = (self.chunks.most() / self.size).max(1);
        self.chunks.request(count.min(most).checked_mul(self.size)?)
    }

    /// Sets the capacity of the first chunk to `blocks` blocks.
    pub(super) const fn begin_with(&mut self, blocks: usize) {
        self.chunks.begin_with(blocks.saturating_mul(self.size));
    }

    /// Sets the capacity of every chunk to `blocks` blocks.
    pub(super) const fn grow_by(&mut self, blocks: usize) {
        let blocks = if blocks == 0 { 1 } else { blocks };
        self.chunks.grow_by(blocks.saturating_mul(self.size));
    }

    pub(super) fn request(&self) -> Option<ChunkRequest> {
        self.chunks.request(self.size)
    }

    /// Makes every chunk reusable: all memory is uncarved again.
    pub(super) fn reset(&mut self) {
        self.remainder = Span::EMPTY;
        self.chunks.reset();
    }

    /// Takes out a chunk, regardless of its contents.
    pub(super) fn remove_any(&mut self) -> Option<Chunk> {
        let (span, _) = self.chunks.spans().next()?;
        if span.end == self.remainder.end {
            self.remainder = Span::EMPTY;
        }
        self.chunks.remove(span)
    }

    /// Makes those chunks reusable that are empty according to `is_empty`, which is called with the carved part of each
    /// chunk.
    pub(super) fn make_reusable(&mut self, mut is_empty: impl FnMut(Span) -> bool) {
        let (remainder, size) = (self.remainder, self.size);
        self.chunks.make_reusable(|span| is_empty(carved_part(span, remainder, size)));
        self.drop_stale_remainder();
    }

    /// Makes those chunks reusable whose blocks are all free: see [`Chunks::make_free_reusable`].
    pub(super) fn make_free_reusable(&mut self, blocks: usize) -> usize {
        let (remainder, size) = (self.remainder, self.size);
        let count = |span| {
            let carved = carved_part(span, remainder, size);
            (carved.end - carved.start) / size
        };
        let left = self.chunks.make_free_reusable(blocks, count);
        self.drop_stale_remainder();
        left
    }

    /// Drops the remainder if the current chunk has become reusable and will be carved from its start.
    fn drop_stale_remainder(&mut self) {
        if self.chunks.spans().any(|(span, reusable)| reusable && span.end == self.remainder.end) {
            self.remainder = Span::EMPTY;
        }
    }

    /// Returns the carved part of each chunk.
    pub(super) fn carved(&self) -> impl Iterator<Item = Span> {
        self.chunks.spans().map(move |(span, reusable)| {
            if reusable {
                Span { end: span.start, ..span }
            } else {
                carved_part(span, self.remainder, self.size)
            }
        })
    }

    /// Returns the chunks from which blocks have been carved since they were added or since the last reset.
    pub(super) fn begun(&self) -> impl Iterator<Item = Span> {
        self.chunks.spans().filter(|(_, reusable)| !reusable).map(|(span, _)| span)
    }

    /// Returns the carved blocks, for checking whether an address is one of theirs.
    pub(super) fn blocks(&self) -> CarvedBlocks {
        let count = self.carved().map(|span| (span.end - span.start) / self.size).sum();
        CarvedBlocks { spans: Spans::of(self.carved()), count, size: self.size }
    }

    /// Returns whether a block that has been carved begins at this address.
    pub(super) fn is_block(&self, address: usize) -> bool {
        let begins =
            |carved: Span| carved.contains(address) && (address - carved.start).is_multiple_of(self.size);
        self.carved().any(begins)
    }

    /// Returns the blocks of a chain through carved blocks, as far as it is intact.
    pub(super) fn walk(&self, first: usize) -> Walk<impl FnMut(usize) -> bool + use<>> {
        let carved = self.blocks();
        Walk::new(first, carved.count, move |address| carved.has(address))
    }

    /// Finds the chunks in which all blocks are among these free blocks; returns `None` if there are too many chunks to
    /// count per chunk.
    pub(super) fn empty_chunks(&self, free: impl Iterator<Item = usize>) -> Option<EmptyChunks> {
        Some(EmptyChunks { counts: SpanCounts::of(self.blocks().spans, self.size, free)? })
    }

    /// Draws carved memory as live, and uncarved memory as fresh.
    pub(super) fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.chunks.render(builder, Some(self.size), |span, reusable| {
            if reusable { span.start } else { carved_part(span, self.remainder, self.size).end }
        });
    }

    /// Returns the number of bytes from which blocks can still be carved.
    pub(super) fn left(&self) -> usize {
        let whole = |span: Span| (span.end - span.start) / self.size * self.size;
        let reusable: usize =
            self.chunks.spans().filter(|(_, reusable)| *reusable).map(|(span, _)| whole(span)).sum();
        reusable + whole(self.remainder)
    }

    /// Returns the blocks whose bits are set, if there are bits.
    pub(super) fn live(&self) -> impl Iterator<Item = usize> {
        self.chunks.spans().flat_map(|(span, _)| LiveBitmap::of(span).set(self.size))
    }

    pub(super) fn check(&self) -> Result<(), InvariantError> {
        self.chunks.check().map_err(InvariantError)?;
        if self.remainder.start > self.remainder.end {
            return Err(InvariantError("the remainder of the current chunk ends before it starts"));
        }
        if self.remainder != Span::EMPTY
            && !self.chunks.spans().any(|(span, _)| span.end == self.remainder.end)
        {
            return Err(InvariantError("the remainder of the current chunk lies in no chunk"));
        }
        Ok(())
    }
}

/// The carved blocks, for checking whether an address is one of theirs before it is read.
#[derive(Clone, Copy)]
pub(super) struct CarvedBlocks {
    spans: Spans,
    count: usize,
    size: usize,
}

impl CarvedBlocks {
    /// Returns the number of blocks.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns whether a block begins at an address: see [`Spans::have_block`].
    pub(super) fn has(&self, address: usize) -> bool {
        self.spans.have_block(address, self.size)
    }
}

/// The chunks in which all blocks are free.
pub(super) struct EmptyChunks {
    counts: SpanCounts,
}

impl EmptyChunks {
    /// Returns whether a block lies in such a chunk.
    pub(super) fn has(&self, block: usize) -> bool {
        self.counts.is_full(block)
    }

    /// Returns whether there is no such chunk.
    pub(super) fn is_empty(&self) -> bool {
        self.left() == self.counts.total()
    }

    /// Returns how many free blocks lie in other chunks.
    pub(super) fn left(&self) -> usize {
        self.counts.outside()
    }
}

/// Returns the carved part of a chunk that is not reusable, for blocks of `size` bytes, if `remainder` is the remainder
/// of the current chunk.
fn carved_part(span: Span, remainder: Span, size: usize) -> Span {
    let whole = (span.end - span.start) / size * size;
    Span { end: if remainder.end == span.end { remainder.start } else { span.start + whole }, ..span }
}

crate::base::opaque_debug! {
    Uncarved [] Uncarved;
}
