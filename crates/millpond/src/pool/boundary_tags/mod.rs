//! Boundary tags: blocks of any size between headers, split and merged in place.
//!
//! Each chunk is a row of blocks with a one-word header in front of each (see `tag.rs`) and one behind the last.
//! Allocating takes a free block from the index and splits off the remainder. Freeing merges the block at once with the
//! free blocks in front and behind, so that two free blocks are never adjacent.
//!
//! * Free, resize in place: O(1) in addition to the index. Reset: O(chunks).
//! * Overhead: one header (8 bytes on 64-bit machines) per block. In addition, sizes are rounded: header and block
//!   together take a multiple of the granule (16) and at least 32 bytes. Per chunk: a header, and up to 15 bytes at
//!   either end.
//!
//! Source: Knuth, "The Art of Computer Programming", volume 1, section 2.5, algorithm C (1968). Repeating the size only
//! at the end of free blocks is Lea's improvement, "A Memory Allocator" (1996).

mod index;
mod list;
mod sized_request;
mod tag;

use core::{alloc::Layout, ptr::NonNull};

pub(super) use self::{
    index::Index,
    list::List,
    sized_request::SizedRequest,
    tag::{GRANULE, MIN_BLOCK, Tag},
};
use super::chunks::{ChunkPolicy, Chunks, Span};
use crate::{
    base::address::{self, WORD, align_up},
    traits::{Chunk, ChunkRequest, HeapMapBuilder, Holes, InvariantError, PoolStats, Release},
};

/// Chunks that are divided into blocks by headers, with an index of the free blocks.
///
/// A header holds the distance from its block to the next, and flags: F if its block is free, P if the one in front is.
///
/// ```text
///  ┌────────┬────┬───────────────┬────┬──────────────────────────┬────┬───────────┬───┐
///  │ chunk  │ 48 │     live      │ 64 │ next │ prev │  …  │  64  │ 32 │   live    │ 0 │
///  │ header │    │   (40 bytes)  │  F │ └─ links of the index    │  P │ (24 bytes)│   │
///  └────────┴────┴───────────────┴────┴──────────────────────────┴────┴───────────┴───┘
/// ```
///
/// # Invariants
///
/// * In each chunk the headers, starting at the first, each lead to the next and end at the last, whose size is zero.
/// * A header says that the block in front of it is free if and only if it is; the block of that header is then not
///   free.
/// * A free block ends with its size.
/// * The index holds exactly the free blocks.
pub(super) struct BoundaryTags<I> {
    index: I,
    chunks: Chunks,
}

/// Returns whether a live block of this size may have been handed out for such a need: a remainder that is too small
/// for a block is not split off.
#[inline(always)]
fn is_near(size: usize, need: usize) -> bool {
    size.wrapping_sub(need) <= GRANULE
}

impl<I: Index> BoundaryTags<I> {
    /// The size of the largest block, including its header.
    pub(super) const LARGEST: usize = I::LARGEST;

    pub(super) const fn new(index: I) -> Self {
        Self { index, chunks: Chunks::new(ChunkPolicy::growing(WORD)) }
    }

    pub(super) fn index(&self) -> &I {
        &self.index
    }

    #[inline(always)]
    pub(super) fn allocate(&mut self, need: SizedRequest) -> Option<NonNull<[u8]>> {
        if !need.is_granular() {
            return self.allocate_aligned(need);
        }
        let (tag, found) = self.index.take(need.size)?;
        // A header that was overwritten would divide more memory than the block has: the block is not used.
        tag.ends_with(found).then(|| self.hand_out(tag, found, need.size, false))
    }

    /// Allocates a block that is aligned beyond the granule: from a free block that is large enough wherever it starts,
    /// otherwise from one that is just large enough, if it happens to be aligned.
    #[cold]
    #[inline(never)]
    fn allocate_aligned(&mut self, need: SizedRequest) -> Option<NonNull<[u8]>> {
        let wide = Some(need.anywhere()).filter(|&wide| wide <= I::LARGEST)?;
        let (tag, size) = self.index.take(wide).or_else(|| self.index.take(need.size))?;
        if !tag.ends_with(size) {
            return None;
        }
        let Some(gap) = need.gap(tag, size) else {
            self.index.insert(tag, size);
            return None;
        };
        if gap != 0 {
            tag.set_free(gap);
            self.index.insert(tag, gap);
        }
        Some(self.hand_out(tag.after(gap), size - gap, need.size, gap != 0))
    }

    /// Makes the first `size` of `found` free bytes, which are not in the index, a live block.
    #[inline(always)]
    fn hand_out(&mut self, tag: Tag, found: usize, size: usize, prev_free: bool) -> NonNull<[u8]> {
        let remainder = found - size;
        let size = if remainder >= MIN_BLOCK {
            let tail = tag.after(size);
            tail.set_free(remainder);
            self.index.insert(tail, remainder);
            size
        } else {
            tag.after(found).set_prev_free(false);
            found
        };
        tag.set_live(size, prev_free);
        Self::live(tag, size)
    }

    /// Returns the bytes of a live block.
    #[inline(always)]
    fn live(tag: Tag, size: usize) -> NonNull<[u8]> {
        // SAFETY: blocks lie in chunks, which were exposed, and not at address zero.
        unsafe { address::block(tag.block(), size - WORD) }
    }

    /// Returns all bytes of a live block, where `need` is the size including its header; `None` if its header was
    /// overwritten.
    ///
    /// # Safety
    ///
    /// The block is live, and this pool handed it out.
    #[inline(always)]
    pub(super) unsafe fn all_of(block: NonNull<u8>, need: usize) -> Option<NonNull<[u8]>> {
        // SAFETY: the caller guarantees that the block is live and that this pool handed it out, so a header lies in
        // front of it.
        let size = unsafe { Tag::at(block.addr().get()) }.size();
        is_near(size, need).then(|| NonNull::slice_from_raw_parts(block, size - WORD))
    }

    /// Frees a block.
    ///
    /// # Safety
    ///
    /// The block is live, this pool handed it out, and its size including the header is `likely`, or a granule more.
    #[inline(always)]
    pub(super) unsafe fn deallocate(&mut self, block: NonNull<u8>, likely: usize) {
        // SAFETY: the caller guarantees that the block is live and that this pool handed it out, so a header lies in
        // front of it.
        let mut tag = unsafe { Tag::at(block.addr().get()) };
        // Both headers may be uncached. If the expected position of the next one is right, they are fetched at the same
        // time.
        let guess = tag.speculate(likely);
        let header = tag.header();
        let mut size = header.size();
        let behind = tag.after(size);
        let header_behind = if size == likely {
            // SAFETY: the size is `likely`, so this is the header behind the block.
            unsafe { guess.assume_init() }
        } else if size == likely + GRANULE {
            behind.header()
        } else {
            // The header was overwritten: the block is unusable until a reset.
            return;
        };
        if header_behind.is_free() && self.take_out(behind, header_behind.size()) {
            size += header_behind.size();
        } else {
            behind.set_prev_free(true);
        }
        if header.is_prev_free() {
            let (front, size_front) = tag.before();
            if front.size() == size_front && self.index.remove(front, size_front) {
                size += size_front;
                tag = front;
            }
        }
        tag.set_free(size);
        self.index.insert(tag, size);
    }

    /// Removes a free block from the index. Returns false, without doing anything, if the size in its header differs from
    /// that at its end, or if its links do not lead to blocks that link back: then it was overwritten, and is unusable
    /// until a reset.
    #[inline(always)]
    fn take_out(&mut self, tag: Tag, size: usize) -> bool {
        tag.ends_with(size) && self.index.remove(tag, size)
    }

    /// Resizes a block in place; returns `None` if that is not possible.
    ///
    /// # Safety
    ///
    /// The block is live, and this pool handed it out for `old`.
    pub(super) unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        let need = SizedRequest::of(new, I::LARGEST)?;
        // SAFETY: the caller guarantees that the block is live and that this pool handed it out, so a header lies in
        // front of it.
        let tag = unsafe { Tag::at(block.addr().get()) };
        let (header, size) = (tag.header(), tag.size());
        if !is_near(size, SizedRequest::size(old)) {
            return None;
        }
        let behind = tag.after(size);
        let free_behind = if behind.header().is_free() { behind.size() } else { 0 };
        if !tag.block().is_multiple_of(new.align()) || need.size > size + free_behind {
            return None;
        }
        if need.size == size {
            return Some(Self::live(tag, size));
        }
        if free_behind != 0 && !self.take_out(behind, free_behind) {
            return None;
        }
        let all = size + free_behind;
        let block = self.hand_out(tag, all, need.size, header.is_prev_free());
        tag.after(all).set_prev_free(block.len() + WORD != all);
        Some(block)
    }

    /// Returns how much room a chunk needs so that a request succeeds.
    fn room(layout: Layout) -> Option<usize> {
        let wide = SizedRequest::of(layout, I::LARGEST)?.anywhere();
        (wide <= I::LARGEST).then_some(wide + GRANULE)
    }

    pub(super) fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        self.chunks.request(Self::room(layout)?)
    }

    /// Adds a chunk; returns it if it is too small for `layout`.
    ///
    /// # Safety
    ///
    /// The chunk belongs to this pool alone.
    pub(super) unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        let Some(room) = Self::room(layout) else { return Err(chunk) };
        // SAFETY: the caller guarantees that the chunk belongs to this pool alone.
        unsafe { self.chunks.add_chunk(chunk, room)? };
        if let Some(span) = self.chunks.advance() {
            TagRange::of::<I>(span).make_one(&mut self.index);
        }
        Ok(())
    }

    pub(super) fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        let is_spare = |span: &Span| {
            let range = TagRange::of::<I>(*span);
            range.is_one_hole() && range.check().is_ok() && self.can_empty(range)
        };
        let span = match which {
            Release::Empty => self.chunks.spans().map(|(span, _)| span).find(is_spare)?,
            Release::Any => self.chunks.spans().next()?.0,
        };
        let range = TagRange::of::<I>(span);
        if range.check().is_ok() && self.can_empty(range) {
            range.holes().for_each(|tag| {
                self.index.remove(tag, tag.size());
            });
        } else {
            // All other free blocks are forgotten until the next reset, so that no list leads into the chunk.
            self.index.clear();
        }
        self.chunks.remove(span)
    }

    /// Returns whether no free block of a range was overwritten, so that all can be removed from the index.
    fn can_empty(&self, range: TagRange) -> bool {
        range.holes().all(|tag| self.index.can_remove(tag, tag.size(), &|at| self.is_tag(at)))
    }

    /// Returns an overwritten address that is followed when a live block, whose size including the header is `need`, is
    /// freed or resized: its header, the one behind it, or the state of a free block with which it is merged.
    pub(super) fn damage_around(&self, block: usize, need: usize) -> Option<usize> {
        let Some(range) = self.ranges().find(|range| range.has(block)) else { return Some(block) };
        let Some(size) = range.size_at(block).filter(|&size| is_near(size, need)) else {
            return Some(block - WORD);
        };
        // SAFETY: the header is in the range, and its size leads to another header in the range or to its last one.
        let tag = unsafe { Tag::at(block) };
        let (header, behind, mut all) = (tag.header(), tag.after(size), size);
        if header.is_free() || behind.header().is_prev_free() {
            return Some(block - WORD);
        }
        if behind.header().is_free() {
            match self.size_of_hole(range, behind.block()) {
                Ok(size) => all += size,
                damaged => return damaged.err(),
            }
        }
        if header.is_prev_free() {
            if block == range.first {
                return Some(block - WORD);
            }
            let (front, size) = tag.before();
            match self.size_of_hole(range, front.block()) {
                Ok(found) if found == size => all += size,
                _ => return Some(block - 2 * WORD),
            }
        }
        let can_insert = self.index.can_insert(all, &|at| self.is_tag(at));
        (!can_insert).then_some(block)
    }

    /// Returns the size of a free block that starts here, in this range, and can be removed from the index; otherwise
    /// an overwritten address.
    fn size_of_hole(&self, range: TagRange, block: usize) -> Result<usize, usize> {
        let size = range.size_at(block).ok_or(block.wrapping_sub(WORD))?;
        // SAFETY: the header is in the range, and its size leads to another header in the range or to its last one.
        let tag = unsafe { Tag::at(block) };
        let ends_with_size = tag.after(size).before() == (tag, size);
        if !tag.header().is_free() || !ends_with_size {
            return Err(block - WORD);
        }
        let can_remove = self.index.can_remove(tag, size, &|at| self.is_tag(at));
        if can_remove { Ok(size) } else { Err(block) }
    }

    /// Returns an overwritten address that is followed when a free block is handed out; otherwise, whether there is
    /// one.
    pub(super) fn damage_ahead(&self, need: SizedRequest) -> Result<bool, usize> {
        let is_tag = |at| self.is_tag(at);
        let wide = (!need.is_granular()).then(|| need.anywhere()).filter(|&wide| wide <= I::LARGEST);
        for size in wide.into_iter().chain([need.size]) {
            if let Some(tag) = self.index.next(size, &is_tag)? {
                let at = tag.block();
                let range = self.ranges().find(|range| range.has(at)).ok_or(at)?;
                let found = self.size_of_hole(range, at)?;
                let remainder = found.checked_sub(size).ok_or(at - WORD)?;
                return if self.index.can_insert(remainder, &is_tag) { Ok(true) } else { Err(at) };
            }
        }
        Ok(false)
    }

    /// Returns whether a header lies, or lay, in front of this address, so that its words may be read.
    fn is_tag(&self, block: usize) -> bool {
        self.ranges().any(|range| range.has(block))
    }

    /// Returns the size of the block that starts here, if the size in its header is possible.
    pub(super) fn bytes_at(&self, block: usize) -> Option<usize> {
        let range = self.ranges().find(|range| range.has(block))?;
        Some(range.size_at(block)? - WORD)
    }

    pub(super) fn reset(&mut self) {
        self.index.clear();
        for (span, _) in self.chunks.spans() {
            TagRange::of::<I>(span).make_one(&mut self.index);
        }
    }

    fn ranges(&self) -> impl Iterator<Item = TagRange> {
        self.chunks.spans().map(|(span, _)| TagRange::of::<I>(span))
    }

    pub(super) fn holes(&self) -> Holes {
        let holes = self.ranges().flat_map(TagRange::holes).map(|tag| tag.size() - WORD);
        holes.fold(Holes::default(), |all, hole| Holes {
            count: all.count + 1,
            bytes: all.bytes + hole,
            largest: all.largest.max(hole),
        })
    }

    pub(super) fn stats(&self) -> PoolStats {
        let live = self.ranges().map(TagRange::live).sum();
        let free = self.holes().bytes;
        PoolStats { chunks: self.chunks.count(), held: self.chunks.held(), live, free }
    }

    /// Draws the blocks between the headers; blocks on the quick list are drawn as live.
    pub(super) fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.chunks.render_chunks(builder, None, |builder, span, _| {
            for tag in TagRange::of::<I>(span).tags() {
                let (block, header) = (tag.block(), tag.header());
                let bytes = block..block + header.size() - WORD;
                builder.live(bytes.clone());
                if header.is_free() {
                    builder.free(bytes);
                }
            }
        });
    }

    /// Returns whether a live block of at least this size starts here. O(blocks of the chunk).
    pub(super) fn is_live(&self, block: usize, size: usize) -> bool {
        let range = self.ranges().find(|range| range.has(block));
        let tag = range.and_then(|range| range.tags().find(|tag| tag.block() == block));
        tag.is_some_and(|tag| !tag.header().is_free() && tag.size() >= size)
    }

    /// Returns the number of bytes in all chunks.
    pub(super) fn held(&self) -> usize {
        self.chunks.held()
    }

    pub(super) fn owns(&self, address: *const u8) -> bool {
        self.chunks.owns(address.addr())
    }

    pub(super) fn check(&self) -> Result<(), InvariantError> {
        self.chunks.check().map_err(InvariantError)?;
        let mut holes = 0;
        for (span, _) in self.chunks.spans() {
            holes += TagRange::of::<I>(span).check().map_err(InvariantError)?;
        }
        self.index.check(holes, &|address| self.is_tag(address)).map_err(InvariantError)
    }
}

/// The blocks of a chunk: those from `first` up to `last`, in front of which the last header lies.
#[derive(Clone, Copy)]
struct TagRange {
    first: usize,
    last: usize,
}

impl TagRange {
    /// Returns the range for which a chunk has room. There is room for one block, otherwise the chunk would not have
    /// been added.
    fn of<I: Index>(span: Span) -> Self {
        let first = align_up(span.start + WORD, GRANULE);
        let last = span.end & !(GRANULE - 1);
        Self { first, last: last.min(first.saturating_add(I::LARGEST)) }
    }

    /// Returns whether a block may start here: the word in front of it and the two words behind it lie in the range.
    fn has(self, block: usize) -> bool {
        block.is_multiple_of(GRANULE) && (self.first..self.last).contains(&block)
    }

    /// Makes the whole range one free block.
    fn make_one<I: Index>(self, index: &mut I) {
        // SAFETY: the range lies in a chunk that was added, and the first access to both writes a header there.
        let (first, last) = unsafe { (Tag::at(self.first), Tag::at(self.last)) };
        first.set_free(self.last - self.first);
        last.set_live(0, true);
        index.insert(first, self.last - self.first);
    }

    /// Returns the size, including the header, of the block that starts here, in the range, if the size in its header
    /// is possible.
    fn size_at(self, block: usize) -> Option<usize> {
        if !self.has(block) {
            return None;
        }
        // SAFETY: the address lies in the range, and so does the word in front, which may have any value.
        let size = unsafe { Tag::at(block) }.size();
        let is_possible =
            size >= MIN_BLOCK && size.is_multiple_of(GRANULE) && size <= self.last.saturating_sub(block);
        is_possible.then_some(size)
    }

    /// Returns every header, as long as each leads to the next: it ends at one that was overwritten.
    fn tags(self) -> impl Iterator<Item = Tag> {
        let mut at = self.first;
        core::iter::from_fn(move || {
            let block = Some(at).filter(|&at| at < self.last)?;
            at = block + self.size_at(block)?;
            // SAFETY: each header up to this one leads to the next.
            Some(unsafe { Tag::at(block) })
        })
    }

    /// Returns the free blocks, as far as they can be found.
    fn holes(self) -> impl Iterator<Item = Tag> {
        self.tags().filter(|tag| tag.header().is_free())
    }

    /// Returns the number of bytes in live blocks. Everything behind a header that was overwritten counts as live.
    fn live(self) -> usize {
        self.tags().fold(self.last - self.first, |left, tag| {
            left - if tag.header().is_free() { tag.size() } else { WORD }
        })
    }

    fn is_one_hole(self) -> bool {
        self.tags().next().is_some_and(|tag| tag.header().is_free() && tag.block() + tag.size() == self.last)
    }

    /// Checks the headers, and counts the free blocks.
    fn check(self) -> Result<usize, &'static str> {
        let (mut at, mut prev_free, mut holes) = (self.first, false, 0);
        while at < self.last {
            // SAFETY: every header up to this one leads to the next, within the range.
            let tag = unsafe { Tag::at(at) };
            let header = tag.header();
            let Some(size) = self.size_at(at) else {
                return Err("a post says an impossible size: it was overwritten");
            };
            if header.is_prev_free() != prev_free {
                return Err("a post is wrong about the block in front");
            }
            if header.is_free() && prev_free {
                return Err("two free blocks touch");
            }
            if header.is_free() && tag.after(size).before() != (tag, size) {
                return Err("a free block does not end with its size");
            }
            holes += usize::from(header.is_free());
            (at, prev_free) = (at + size, header.is_free());
        }
        // SAFETY: the headers lead to `last`.
        let last = unsafe { Tag::at(self.last) }.header();
        if last.size() != 0 || last.is_free() || last.is_prev_free() != prev_free {
            return Err("the last post of a chunk is wrong");
        }
        Ok(holes)
    }
}
