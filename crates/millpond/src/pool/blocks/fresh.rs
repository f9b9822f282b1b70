//! The blocks that have not been cut yet: the cold half of [`Blocks`](super::Blocks).

use super::regions;
use crate::{
    base::address::align_up,
    contract::{Canvas, Chunk, ChunkRequest, Flaw},
    pool::chunks::{Chunks, HEADER, Marks, PAGE, Plan, Span, Spans, Tally, Walk},
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
/// * `rest` lies in the current chunk and ends where it does.
/// * Everything in cut chunks but `rest` has been handed to the strategy or to holders.
pub struct Fresh {
    /// Bytes per block.
    size: usize,
    rest: Span,
    pub(super) chunks: Chunks,
}

impl Fresh {
    /// Without chunks, for blocks of this shape, in regions of `region` bytes, or without regions if that is zero.
    /// Each block has a bit if it is to be `marked`.
    pub(super) const fn new(size: usize, align: usize, region: usize, marked: bool) -> Self {
        let plan =
            Plan { marked: if marked { size } else { 0 }, ..Plan::growing_from(room_for_a_few(size), align) };
        if region == 0 {
            return Self { size, rest: Span::EMPTY, chunks: Chunks::new(plan) };
        }
        assert!(align <= region, "blocks are aligned beyond a region");
        let header = align_up(HEADER + regions::header_size(size, region), plan.align);
        let first = if region < FIRST_REGION { region } else { FIRST_REGION };
        let plan = Plan {
            page: 0,
            align: region,
            header,
            always_headed: true,
            first,
            largest: region,
            reach: region,
            ..plan
        };
        Self { size, rest: Span::EMPTY, chunks: Chunks::new(plan) }
    }

    /// The same without regions and marks; each chunk has room for `room` bytes behind its record, aligned to a word.
    pub(super) const fn with_room_for(room: usize, size: usize, align: usize) -> Self {
        let plan = Plan::growing_from(room_for_a_few(size), align);
        let header = align_up(HEADER + room, plan.align);
        let plan = Plan { header, always_headed: true, first: plan.first + header, ..plan };
        Self { size, rest: Span::EMPTY, chunks: Chunks::new(plan) }
    }

    /// Cuts up to `most` blocks that lie one behind the other; none if there is no fresh memory. They are
    /// not touched. `begin` is told of each chunk that is cut from for the first time.
    pub(super) fn cut_some(&mut self, most: usize, begin: impl FnMut(Span)) -> Span {
        if !self.advance(begin) {
            return Span::EMPTY;
        }
        let count = ((self.rest.end - self.rest.start) / self.size).min(most);
        let run = Span { start: self.rest.start, end: self.rest.start + count * self.size };
        self.rest.start = run.end;
        run
    }

    /// Makes sure that `rest` has room for a block, going on to the next chunk if need be.
    fn advance(&mut self, mut begin: impl FnMut(Span)) -> bool {
        while self.rest.end - self.rest.start < self.size {
            match self.chunks.advance() {
                Some(span) => {
                    begin(span);
                    self.rest = span;
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
        self.rest = Span::EMPTY;
        self.chunks.reset();
    }

    /// Takes out a chunk, whatever is in it.
    pub(super) fn remove_any(&mut self) -> Option<Chunk> {
        let (span, _) = self.chunks.spans().next()?;
        if span.end == self.rest.end {
            self.rest = Span::EMPTY;
        }
        self.chunks.remove(span)
    }

    /// Makes the chunks fresh again that are spare, as is said of the part that was cut.
    pub(super) fn put_ahead(&mut self, mut is_spare: impl FnMut(Span) -> bool) {
        let (rest, size) = (self.rest, self.size);
        self.chunks.put_ahead(|span| is_spare(cut_part(span, rest, size)));
        self.leave_what_is_ahead();
    }

    /// Makes the chunks fresh again all of whose blocks are free: see [`Chunks::put_free_ahead`].
    pub(super) fn put_free_ahead(&mut self, blocks: usize) -> usize {
        let (rest, size) = (self.rest, self.size);
        let count = |span| {
            let cut = cut_part(span, rest, size);
            (cut.end - cut.start) / size
        };
        let left = self.chunks.put_free_ahead(blocks, count);
        self.leave_what_is_ahead();
        left
    }

    /// The current chunk may be ahead now: then it is cut afresh.
    fn leave_what_is_ahead(&mut self) {
        if self.chunks.spans().any(|(span, ahead)| ahead && span.end == self.rest.end) {
            self.rest = Span::EMPTY;
        }
    }

    /// The part of each chunk that has been cut into blocks.
    pub(super) fn cut(&self) -> impl Iterator<Item = Span> {
        self.chunks.spans().map(move |(span, ahead)| {
            if ahead { Span { end: span.start, ..span } } else { cut_part(span, self.rest, self.size) }
        })
    }

    /// The chunks that blocks have been cut from since they came or since the last reset.
    pub(super) fn begun(&self) -> impl Iterator<Item = Span> {
        self.chunks.spans().filter(|(_, ahead)| !ahead).map(|(span, _)| span)
    }

    /// The blocks that have been cut, to ask whether an address is one of theirs.
    pub(super) fn blocks(&self) -> Cut {
        let count = self.cut().map(|span| (span.end - span.start) / self.size).sum();
        Cut { spans: Spans::of(self.cut()), count, size: self.size }
    }

    /// Whether a block that has been cut begins at this address.
    pub(super) fn is_block(&self, address: usize) -> bool {
        let begins = |cut: Span| cut.contains(address) && (address - cut.start).is_multiple_of(self.size);
        self.cut().any(begins)
    }

    /// The blocks of a chain that lies in blocks that have been cut, as far as it is whole.
    pub(super) fn walk(&self, first: usize) -> Walk<impl FnMut(usize) -> bool + use<>> {
        let cut = self.blocks();
        Walk::new(first, cut.count, move |address| cut.has(address))
    }

    /// Which chunks have nothing but these free blocks; `None` if there are too many chunks to count by.
    pub(super) fn spare(&self, free: impl Iterator<Item = usize>) -> Option<Spare> {
        Some(Spare { tally: Tally::of(self.blocks().spans, self.size, free)? })
    }

    /// Paints what was cut as live, and what was not as fresh.
    pub(super) fn paint(&self, canvas: &mut Canvas<'_>) {
        self.chunks.paint(canvas, Some(self.size), |span, ahead| {
            if ahead { span.start } else { cut_part(span, self.rest, self.size).end }
        });
    }

    /// Bytes that blocks can still be cut from.
    pub(super) fn left(&self) -> usize {
        let whole = |span: Span| (span.end - span.start) / self.size * self.size;
        let ahead: usize = self.chunks.spans().filter(|(_, ahead)| *ahead).map(|(span, _)| whole(span)).sum();
        ahead + whole(self.rest)
    }

    /// The blocks whose bits are set, where there are bits.
    pub(super) fn marked(&self) -> impl Iterator<Item = usize> {
        self.chunks.spans().flat_map(|(span, _)| Marks::of(span).set(self.size))
    }

    pub(super) fn check(&self) -> Result<(), Flaw> {
        self.chunks.check().map_err(Flaw)?;
        if self.rest.start > self.rest.end {
            return Err(Flaw("the rest of the current chunk ends before it starts"));
        }
        if self.rest != Span::EMPTY && !self.chunks.spans().any(|(span, _)| span.end == self.rest.end) {
            return Err(Flaw("the rest of the current chunk lies in no chunk"));
        }
        Ok(())
    }
}

/// The blocks that have been cut, to tell whether an address is one of theirs before anything is read there.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    spans: Spans,
    count: usize,
    size: usize,
}

impl Cut {
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
pub(super) struct Spare {
    tally: Tally,
}

impl Spare {
    /// Whether a block lies in such a chunk.
    pub(super) fn has(&self, block: usize) -> bool {
        self.tally.is_full(block)
    }

    /// Whether there is no such chunk.
    pub(super) fn is_empty(&self) -> bool {
        self.left() == self.tally.all()
    }

    /// How many free blocks lie in other chunks.
    pub(super) fn left(&self) -> usize {
        self.tally.outside()
    }
}

/// The part of a chunk that is not ahead that has been cut into blocks of `size` bytes, if `rest` is left of the current
/// one.
fn cut_part(span: Span, rest: Span, size: usize) -> Span {
    let whole = (span.end - span.start) / size * size;
    Span { end: if rest.end == span.end { rest.start } else { span.start + whole }, ..span }
}

crate::base::opaque_debug! {
    Fresh [] Fresh;
}
