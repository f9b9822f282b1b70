//! Boundary tags: blocks of any size between posts, split and merged where they stand.
//!
//! Each chunk is a row of blocks with a one-word post in front of each (see `tag.rs`) and one behind the last. To
//! allocate is to take a free block from the index and to split off what is not needed; to free is to merge the block
//! with the free blocks in front and behind, at once, so that no two free blocks ever touch.
//!
//! * Free, resize in place: O(1) on top of the index. Reset: O(chunks).
//! * Overhead: one post (8 bytes on 64-bit) per block. Rounding, apart from that: post and block together are a multiple
//!   of the granule (16) and at least 32. Per chunk: a post, and up to 15 bytes at either end.
//!
//! Source: Knuth, "The Art of Computer Programming", volume 1, section 2.5, algorithm C (1968). That only free blocks
//! repeat their size at the end is Lea's improvement, "A Memory Allocator" (1996).

mod index;
mod list;
mod tag;

use core::{alloc::Layout, ptr::NonNull};

pub(super) use self::{
    index::Index,
    list::List,
    tag::{GRANULE, MIN_BLOCK, Tag},
};
use super::chunks::{ChunkPolicy, Chunks, Span};
use crate::{
    base::address::{self, WORD, align_up},
    traits::{Chunk, ChunkRequest, HeapMapBuilder, Holes, InvariantError, PoolStats, Release},
};

/// Chunks cut between posts, with an index of the free blocks.
///
/// # Invariants
///
/// * In each chunk the posts, from the first on, each lead to the next and end at the last, whose size is zero.
/// * A post says that the block in front is free exactly if it is; then no free block follows.
/// * A free block ends with its size.
/// * The index holds every free block and nothing else.
pub(super) struct BoundaryTags<I> {
    index: I,
    chunks: Chunks,
}

/// The size with its post of a block that holds `bytes`, and how that is asked for with an alignment.
#[derive(Clone, Copy)]
pub(super) struct SizedRequest {
    pub(super) size: usize,
    align: usize,
}

impl SizedRequest {
    /// What a layout needs; `None` if it is of no bytes, or more than `largest` says.
    #[inline(always)]
    pub(super) fn of(layout: Layout, largest: usize) -> Option<Self> {
        if layout.size().wrapping_sub(1) >= largest - GRANULE {
            return None;
        }
        Some(Self { size: Self::size(layout), align: layout.align() })
    }

    /// The size with its post of a block for this layout. Layouts are small enough for the sum not to overflow.
    #[inline(always)]
    pub(super) fn size(layout: Layout) -> usize {
        align_up(layout.size() + WORD, GRANULE).max(MIN_BLOCK)
    }

    /// Whether every block is aligned enough.
    #[inline(always)]
    pub(super) fn is_granular(self) -> bool {
        self.align <= GRANULE
    }

    /// The size of a free block that holds it wherever that starts.
    fn anywhere(self) -> usize {
        // In front of the aligned block, either nothing is left over or enough to be a block.
        if self.is_granular() { self.size } else { self.size + self.align + (MIN_BLOCK - GRANULE) }
    }

    /// How many bytes of a free block are left over in front of the aligned one; `None` if it does not fit.
    fn gap(self, tag: Tag, size: usize) -> Option<usize> {
        let padding = |address: usize| address.wrapping_neg() & (self.align - 1);
        let block = tag.block();
        let gap = match padding(block) {
            0 => 0,
            gap if gap >= MIN_BLOCK => gap,
            _ => MIN_BLOCK + padding(block.wrapping_add(MIN_BLOCK)),
        };
        (size >= self.size && gap <= size - self.size).then_some(gap)
    }
}

/// Whether a live block with this size may have been handed out for such a need: what is too small for a block is not split
/// off.
#[inline(always)]
fn is_near(size: usize, need: usize) -> bool {
    size.wrapping_sub(need) <= GRANULE
}

impl<I: Index> BoundaryTags<I> {
    /// The largest block with its post.
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
        Some(self.hand_out(tag, found, need.size, false))
    }

    /// Blocks aligned beyond the granule: in a free block that is large enough wherever it starts, else, with luck, in
    /// one that is just large enough.
    #[cold]
    #[inline(never)]
    fn allocate_aligned(&mut self, need: SizedRequest) -> Option<NonNull<[u8]>> {
        let wide = Some(need.anywhere()).filter(|&wide| wide <= I::LARGEST)?;
        let (tag, size) = self.index.take(wide).or_else(|| self.index.take(need.size))?;
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

    /// Makes the first `size` of `found` free bytes, which are in no index, a live block.
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

    /// What the holder of a live block gets.
    #[inline(always)]
    fn live(tag: Tag, size: usize) -> NonNull<[u8]> {
        // SAFETY: blocks lie in chunks, which were exposed, and not at address zero.
        unsafe { address::block(tag.block(), size - WORD) }
    }

    /// All of a live block, of `need` bytes with its post; `None` if its post was overwritten.
    ///
    /// # Safety
    ///
    /// The block is live, and this pool handed it out.
    #[inline(always)]
    pub(super) unsafe fn all_of(block: NonNull<u8>, need: usize) -> Option<NonNull<[u8]>> {
        // SAFETY: the caller's promise.
        let size = unsafe { Tag::at(block.addr().get()) }.size();
        is_near(size, need).then(|| NonNull::slice_from_raw_parts(block, size - WORD))
    }

    /// # Safety
    ///
    /// The block is live, this pool handed it out, and it is, with its post, `likely` bytes large or a granule larger.
    #[inline(always)]
    pub(super) unsafe fn deallocate(&mut self, block: NonNull<u8>, likely: usize) {
        // SAFETY: the caller's promise.
        let mut tag = unsafe { Tag::at(block.addr().get()) };
        // Both posts may be far from the processor. If the caller guesses right where the next one is, they are fetched at
        // the same time.
        let guess = tag.speculate(likely);
        let header = tag.header();
        let mut size = header.size();
        let behind = tag.after(size);
        let header_behind = if size == likely {
            // SAFETY: the guess was right, so this is the post behind.
            unsafe { guess.assume_init() }
        } else if size == likely + GRANULE {
            behind.header()
        } else {
            // The post was overwritten: the block is out of use until a reset.
            return;
        };
        if header_behind.is_free() {
            self.index.remove(behind, header_behind.size());
            size += header_behind.size();
        } else {
            behind.set_prev_free(true);
        }
        if header.is_prev_free() {
            let (front, size_front) = tag.before();
            self.index.remove(front, size_front);
            size += size_front;
            tag = front;
        }
        tag.set_free(size);
        self.index.insert(tag, size);
    }

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
        // SAFETY: the caller's promise.
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
        if free_behind != 0 {
            self.index.remove(behind, free_behind);
        }
        let all = size + free_behind;
        let block = self.hand_out(tag, all, need.size, header.is_prev_free());
        tag.after(all).set_prev_free(block.len() + WORD != all);
        Some(block)
    }

    /// The room in a chunk that lets a request succeed.
    fn room(layout: Layout) -> Option<usize> {
        let wide = SizedRequest::of(layout, I::LARGEST)?.anywhere();
        (wide <= I::LARGEST).then_some(wide + GRANULE)
    }

    pub(super) fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        self.chunks.request(Self::room(layout)?)
    }

    /// # Safety
    ///
    /// The chunk is the pool's alone.
    pub(super) unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        let Some(room) = Self::room(layout) else { return Err(chunk) };
        // SAFETY: the caller's promise.
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
            range.holes().for_each(|tag| self.index.remove(tag, tag.size()));
        } else {
            // What is left is forgotten until the next reset, so that no list leads into the chunk.
            self.index.clear();
        }
        self.chunks.remove(span)
    }

    /// Whether no free block of a row was overwritten, so that all can be taken out of the index.
    fn can_empty(&self, range: TagRange) -> bool {
        range.holes().all(|tag| self.index.can_remove(tag, tag.size(), &|at| self.is_tag(at)))
    }

    /// Where something was overwritten that is followed when a live block, of `need` bytes with its post, is freed or resized:
    /// its post, the one behind, or what a free block is merged with.
    pub(super) fn damage_around(&self, block: usize, need: usize) -> Option<usize> {
        let Some(range) = self.ranges().find(|range| range.has(block)) else { return Some(block) };
        let Some(size) = range.size_at(block).filter(|&size| is_near(size, need)) else {
            return Some(block - WORD);
        };
        // SAFETY: the post is in the row, and its size leads to another one in the row, or to its last.
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

    /// The size of a free block that starts here, in this row, and can be taken out of the index; else where something was
    /// overwritten.
    fn size_of_hole(&self, range: TagRange, block: usize) -> Result<usize, usize> {
        let size = range.size_at(block).ok_or(block.wrapping_sub(WORD))?;
        // SAFETY: the post is in the row, and its size leads to another one in the row, or to its last.
        let tag = unsafe { Tag::at(block) };
        let ends_with_size = tag.after(size).before() == (tag, size);
        if !tag.header().is_free() || !ends_with_size {
            return Err(block - WORD);
        }
        let can_remove = self.index.can_remove(tag, size, &|at| self.is_tag(at));
        if can_remove { Ok(size) } else { Err(block) }
    }

    /// Where something was overwritten that is followed when a block is handed out from what is free; else whether there is
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

    /// Whether a post stands, or stood, in front of this address, so that its words may be looked at.
    fn is_tag(&self, block: usize) -> bool {
        self.ranges().any(|range| range.has(block))
    }

    /// Bytes of the block that starts here, if its post says a size that is possible.
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

    /// Paints the blocks between the posts; those in pockets as live.
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

    /// Whether a live block of at least this size starts here. Linear in the blocks of the chunk.
    pub(super) fn is_live(&self, block: usize, size: usize) -> bool {
        let range = self.ranges().find(|range| range.has(block));
        let tag = range.and_then(|range| range.tags().find(|tag| tag.block() == block));
        tag.is_some_and(|tag| !tag.header().is_free() && tag.size() >= size)
    }

    /// Bytes in all chunks.
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

/// The row of blocks in a chunk: blocks from `first` up to `last`, in front of which the last post stands.
#[derive(Clone, Copy)]
struct TagRange {
    first: usize,
    last: usize,
}

impl TagRange {
    /// The row that a chunk has room for. There is room for one block: the chunk would not have been adopted else.
    fn of<I: Index>(span: Span) -> Self {
        let first = align_up(span.start + WORD, GRANULE);
        let last = span.end & !(GRANULE - 1);
        Self { first, last: last.min(first.saturating_add(I::LARGEST)) }
    }

    /// Whether a block may start here: the word in front lies in the row, and so do two behind.
    fn has(self, block: usize) -> bool {
        block.is_multiple_of(GRANULE) && (self.first..self.last).contains(&block)
    }

    /// Makes all of it one free block.
    fn make_one<I: Index>(self, index: &mut I) {
        // SAFETY: the row lies in an adopted chunk, and the first thing done to both is to put a post there.
        let (first, last) = unsafe { (Tag::at(self.first), Tag::at(self.last)) };
        first.set_free(self.last - self.first);
        last.set_live(0, true);
        index.insert(first, self.last - self.first);
    }

    /// The size with its post of the block that starts here, in the row, as far as its post says what is possible.
    fn size_at(self, block: usize) -> Option<usize> {
        if !self.has(block) {
            return None;
        }
        // SAFETY: the address lies in the row, and so does the word in front, whatever it is.
        let size = unsafe { Tag::at(block) }.size();
        let is_possible =
            size >= MIN_BLOCK && size.is_multiple_of(GRANULE) && size <= self.last.saturating_sub(block);
        is_possible.then_some(size)
    }

    /// Every post, as far as each leads to the next: up to one that was overwritten.
    fn tags(self) -> impl Iterator<Item = Tag> {
        let mut at = self.first;
        core::iter::from_fn(move || {
            let block = Some(at).filter(|&at| at < self.last)?;
            at = block + self.size_at(block)?;
            // SAFETY: each post up to here leads to the next.
            Some(unsafe { Tag::at(block) })
        })
    }

    /// The free blocks, as far as they are found.
    fn holes(self) -> impl Iterator<Item = Tag> {
        self.tags().filter(|tag| tag.header().is_free())
    }

    /// Bytes in live blocks. What lies behind a post that was overwritten is out of reach, and counts as live.
    fn live(self) -> usize {
        self.tags().fold(self.last - self.first, |left, tag| {
            left - if tag.header().is_free() { tag.size() } else { WORD }
        })
    }

    fn is_one_hole(self) -> bool {
        self.tags().next().is_some_and(|tag| tag.header().is_free() && tag.block() + tag.size() == self.last)
    }

    /// Verifies the posts, and counts the free blocks.
    fn check(self) -> Result<usize, &'static str> {
        let (mut at, mut prev_free, mut holes) = (self.first, false, 0);
        while at < self.last {
            // SAFETY: every post up to here leads to the next, within the row.
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
        // SAFETY: the posts led here.
        let last = unsafe { Tag::at(self.last) }.header();
        if last.size() != 0 || last.is_free() || last.is_prev_free() != prev_free {
            return Err("the last post of a chunk is wrong");
        }
        Ok(holes)
    }
}
