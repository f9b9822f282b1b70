//! The blocks that have not been cut yet: the cold half of [`Blocks`](super::Blocks).

use super::regions;
use crate::{
    base::address::align_up,
    pool::chunks::{ChunkPolicy, Chunks, HEADER_SIZE, LiveBitmap, PAGE, Span, SpanCounts, Spans, Walk},
    traits::{Chunk, ChunkRequest, HeapMapBuilder, InvariantError},
};

/// The size of the first chunk where there are regions, in bytes: its header is made for a whole region.
const FIRST_REGION: usize = 64 << 10;

/// The size of the first chunk where there are no regions and the parent is fine-grained: room for four blocks, but at
/// least a few lines of cache, and no more than a page.
const fn room_for_a_few(size: usize) -> usize {
    match size.saturating_mul(4) {
        room @ 256..=PAGE => room,
        0..256 => 256,
        _ => PAGE,
    }
}

/// The chunks of a pool and the rest of the one that is being cut.
///
/// # Invariants
///
/// * `remainder` lies in the current chunk and ends where it does.
/// * Everything in cut chunks but `remainder` has been handed to the strategy or to holders.
pub struct Uncarved {
    /// Bytes per block.
    size: usize,
    remainder: Span,
    pub(super) chunks: Chunks,
}

impl Uncarved {
    /// Without chunks, for blocks of this shape, in regions of `region` bytes, or without regions if that is zero.
    /// Each block has a bit if it is to be `validated`.
    pub(super) const fn new(size: usize, align: usize, region: usize, validated: bool) -> Self {
        let policy = ChunkPolicy {
            bitmap_block: if validated { size } else { 0 },
            ..ChunkPolicy::growing_from(room_for_a_few(size), align)
        };
        if region == 0 {
            return Self { size, remainder: Span::EMPTY, chunks: Chunks::new(policy) };
        }
        assert!(align <= region, "blocks are aligned beyond a region");
        let header_size = align_up(HEADER_SIZE + regions::header_size(size, region), policy.align);
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

    /// The same without regions and marks; each chunk has room for `room` bytes behind its record, aligned to a word.
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

    /// Cuts up to `most` blocks that lie one behind the other; none if there is no fresh memory. They are
    /// not touched. `begin` is told of each chunk that is cut from for the first time.
    pub(super) fn carve_up_to(&mut self, most: usize, begin: impl FnMut(Span)) -> Span {
        if !self.advance(begin) {
            return Span::EMPTY;
        }
        let count = ((self.remainder.end - self.remainder.start) / self.size).min(most);
        let run = Span { start: self.remainder.start, end: self.remainder.start + count * self.size };
        self.remainder.start = run.end;
        run
    }

    /// Makes sure that `remainder` has room for a block, going on to the next chunk if need be.
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

    /// The chunk that would make room for `count` blocks, or for as many of them as one chunk can hold.
    pub(super) fn request_for(&self, count: usize) -> Option<ChunkRequest> {
        let most = (self.chunks.most() / self.size).max(1);
        self.chunks.request(count.min(most).checked_mul(self.size)?)
    }

    /// Lets the first chunk have room for exactly so many blocks.
    pub(super) const fn begin_with(&mut self, blocks: usize) {
        self.chunks.begin_with(blocks.saturating_mul(self.size));
    }

    /// Lets every chunk have room for exactly so many blocks.
    pub(super) const fn grow_by(&mut self, blocks: usize) {
        let blocks = if blocks == 0 { 1 } else { blocks };
        self.chunks.grow_by(blocks.saturating_mul(self.size));
    }

    pub(super) fn request(&self) -> Option<ChunkRequest> {
        self.chunks.request(self.size)
    }

    /// Puts every chunk ahead: all memory is fresh again.
    pub(super) fn reset(&mut self) {
        self.remainder = Span::EMPTY;
        self.chunks.reset();
    }

    /// Takes out a chunk, whatever is in it.
    pub(super) fn remove_any(&mut self) -> Option<Chunk> {
        let (span, _) = self.chunks.spans().next()?;
        if span.end == self.remainder.end {
            self.remainder = Span::EMPTY;
        }
        self.chunks.remove(span)
    }

    /// Makes the chunks fresh again that are spare, as is said of the part that was cut.
    pub(super) fn make_reusable(&mut self, mut is_empty: impl FnMut(Span) -> bool) {
        let (remainder, size) = (self.remainder, self.size);
        self.chunks.make_reusable(|span| is_empty(carved_part(span, remainder, size)));
        self.drop_stale_remainder();
    }

    /// Makes the chunks fresh again all of whose blocks are free: see [`Chunks::make_free_reusable`].
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

    /// The current chunk may be ahead now: then it is cut afresh.
    fn drop_stale_remainder(&mut self) {
        if self.chunks.spans().any(|(span, reusable)| reusable && span.end == self.remainder.end) {
            self.remainder = Span::EMPTY;
        }
    }

    /// The part of each chunk that has been cut into blocks.
    pub(super) fn carved(&self) -> impl Iterator<Item = Span> {
        self.chunks.spans().map(move |(span, reusable)| {
            if reusable {
                Span { end: span.start, ..span }
            } else {
                carved_part(span, self.remainder, self.size)
            }
        })
    }

    /// The chunks that blocks have been cut from since they came or since the last reset.
    pub(super) fn begun(&self) -> impl Iterator<Item = Span> {
        self.chunks.spans().filter(|(_, reusable)| !reusable).map(|(span, _)| span)
    }

    /// The blocks that have been cut, to ask whether an address is one of theirs.
    pub(super) fn blocks(&self) -> CarvedBlocks {
        let count = self.carved().map(|span| (span.end - span.start) / self.size).sum();
        CarvedBlocks { spans: Spans::of(self.carved()), count, size: self.size }
    }

    /// Whether a block that has been cut begins at this address.
    pub(super) fn is_block(&self, address: usize) -> bool {
        let begins =
            |carved: Span| carved.contains(address) && (address - carved.start).is_multiple_of(self.size);
        self.carved().any(begins)
    }

    /// The blocks of a chain that lies in blocks that have been cut, as far as it is whole.
    pub(super) fn walk(&self, first: usize) -> Walk<impl FnMut(usize) -> bool + use<>> {
        let carved = self.blocks();
        Walk::new(first, carved.count, move |address| carved.has(address))
    }

    /// Which chunks have nothing but these free blocks; `None` if there are too many chunks to count by.
    pub(super) fn empty_chunks(&self, free: impl Iterator<Item = usize>) -> Option<EmptyChunks> {
        Some(EmptyChunks { counts: SpanCounts::of(self.blocks().spans, self.size, free)? })
    }

    /// Paints what was cut as live, and what was not as fresh.
    pub(super) fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.chunks.render(builder, Some(self.size), |span, reusable| {
            if reusable { span.start } else { carved_part(span, self.remainder, self.size).end }
        });
    }

    /// Bytes that blocks can still be cut from.
    pub(super) fn left(&self) -> usize {
        let whole = |span: Span| (span.end - span.start) / self.size * self.size;
        let reusable: usize =
            self.chunks.spans().filter(|(_, reusable)| *reusable).map(|(span, _)| whole(span)).sum();
        reusable + whole(self.remainder)
    }

    /// The blocks whose bits are set, where there are bits.
    pub(super) fn live(&self) -> impl Iterator<Item = usize> {
        self.chunks.spans().flat_map(|(span, _)| LiveBitmap::of(span).set(self.size))
    }

    pub(super) fn check(&self) -> Result<(), InvariantError> {
        self.chunks.check().map_err(InvariantError)?;
        if self.remainder.start > self.remainder.end {
            return Err(InvariantError("the rest of the current chunk ends before it starts"));
        }
        if self.remainder != Span::EMPTY
            && !self.chunks.spans().any(|(span, _)| span.end == self.remainder.end)
        {
            return Err(InvariantError("the rest of the current chunk lies in no chunk"));
        }
        Ok(())
    }
}

/// The blocks that have been cut, to tell whether an address is one of theirs before anything is read there.
#[derive(Clone, Copy)]
pub(super) struct CarvedBlocks {
    spans: Spans,
    count: usize,
    size: usize,
}

impl CarvedBlocks {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether a block begins at an address: see [`Spans::have_block`].
    pub(super) fn has(&self, address: usize) -> bool {
        self.spans.have_block(address, self.size)
    }
}

/// Which chunks have nothing but free blocks.
pub(super) struct EmptyChunks {
    counts: SpanCounts,
}

impl EmptyChunks {
    /// Whether a block lies in such a chunk.
    pub(super) fn has(&self, block: usize) -> bool {
        self.counts.is_full(block)
    }

    /// Whether there is no such chunk.
    pub(super) fn is_empty(&self) -> bool {
        self.left() == self.counts.total()
    }

    /// How many free blocks lie in other chunks.
    pub(super) fn left(&self) -> usize {
        self.counts.outside()
    }
}

/// The part of a chunk that is not ahead that has been cut into blocks of `size` bytes, if `remainder` is left of the current
/// one.
fn carved_part(span: Span, remainder: Span, size: usize) -> Span {
    let whole = (span.end - span.start) / size * size;
    Span { end: if remainder.end == span.end { remainder.start } else { span.start + whole }, ..span }
}

crate::base::opaque_debug! {
    Uncarved [] Uncarved;
}
