//! The chunks of a growing pool.
//!
//! They form a list in the chunks themselves, newest first: each chunk begins with a header that describes the next
//! older one, and the pool describes the newest. The first chunk therefore needs no header, and a pool on one page, or
//! on a buffer of exactly the size of its blocks, wastes nothing.
//!
//! Some chunks are *reusable*: nothing has been carved from them since they were added or since the last reset. They
//! are adjacent in the list, and [`Chunks::advance`] goes through them. The others are *carved*.
//!
//! A write past the end of adjacent memory overwrites the header first, so each header has a checksum. An overwritten
//! header ends the list: the chunks behind it cannot be found, and are kept.
//!
//! Add, advance and reset are O(1), and so is releasing the newest chunk or a reusable one. Finding and removing
//! another one is O(chunks), and chunks double in size.

mod live_bitmap;
mod reclaim_pass;
mod render;
mod spans;
mod walk;

use core::{alloc::Layout, ptr::NonNull};

use self::live_bitmap::{with_bitmap, without_bitmap};
pub(super) use self::{
    live_bitmap::LiveBitmap,
    reclaim_pass::{chain, link},
    spans::{SpanCounts, Spans},
    walk::Walk,
};

use crate::{
    base::address::{self, align_up, expose, recover},
    traits::{Chunk, ChunkRequest},
};

/// Bytes of a chunk's header, which describes the next older chunk.
pub(super) const HEADER_SIZE: usize = size_of::<ChunkHeader>();

/// Bytes of the first chunk if the parent is not fine-grained.
pub(super) const PAGE: usize = 4096;

/// The requirements of a pool for its chunks.
#[derive(Clone, Copy)]
pub(super) struct ChunkPolicy {
    /// The alignment of chunks and of the memory behind their headers.
    pub(super) align: usize,
    /// Bytes of a chunk's header, a multiple of the alignment of the pool's blocks, at least [`HEADER_SIZE`].
    pub(super) header_size: usize,
    /// Whether the first chunk has a header too.
    pub(super) always_with_header: bool,
    /// The minimum size of a chunk if the parent is not fine-grained, in bytes.
    pub(super) page: usize,
    /// The size of the first chunk if the parent is fine-grained, in bytes. Each later chunk is twice as large as the
    /// largest so far.
    pub(super) first: usize,
    /// The size beyond which chunks no longer grow, in bytes.
    pub(super) largest: usize,
    /// How much of a chunk is used at most, in bytes from its start.
    pub(super) reach: usize,
    /// The exact number of bytes behind the header that every chunk has and uses; `None` if chunks grow.
    pub(super) exactly: Option<usize>,
    /// The size of the blocks that have a bit each at the end of their chunk; zero if they have none.
    pub(super) bitmap_block: usize,
}

impl ChunkPolicy {
    /// Creates the policy for blocks of this alignment: chunks from a page up to 64 MiB, the first without a header.
    pub(super) const fn growing(align: usize) -> Self {
        Self::growing_from(PAGE, align)
    }

    /// The same, with a first chunk of `first` bytes if the parent serves so few without waste.
    pub(super) const fn growing_from(first: usize, align: usize) -> Self {
        let align = if align < align_of::<ChunkHeader>() { align_of::<ChunkHeader>() } else { align };
        Self {
            align,
            header_size: align_up(HEADER_SIZE, align),
            always_with_header: false,
            page: PAGE,
            first,
            largest: 64 << 20,
            reach: usize::MAX,
            exactly: None,
            bitmap_block: 0,
        }
    }
}

/// The description of a chunk. A size of zero means that there is none.
#[derive(Clone, Copy)]
pub(super) struct ChunkHeader {
    start: usize,
    size: usize,
    align_log2: u8,
    /// Whether the chunk begins with a header: 1 if so. Not a `bool`, because it may have been overwritten.
    with_header: u8,
    /// The checksum of the other fields.
    checksum: u32,
}

/// Returns a checksum of pool state that other code may overwrite; zero for zeros.
#[inline]
pub(super) fn checksum(words: &[usize]) -> u32 {
    let mixed = words.iter().fold(0u64, |sum, &word| {
        (sum ^ (sum >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(word as u64)
    });
    (mixed.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32) as u32
}

impl ChunkHeader {
    const NONE: Self = Self { start: 0, size: 0, align_log2: 0, with_header: 0, checksum: 0 };

    fn new(start: usize, size: usize, align_log2: u8, with_header: bool) -> Self {
        let header = Self { start, size, align_log2, with_header: u8::from(with_header), checksum: 0 };
        Self { checksum: header.sum(), ..header }
    }

    /// Returns the header with which a chunk begins; [`NONE`](Self::NONE) if it was overwritten.
    ///
    /// # Safety
    ///
    /// A chunk of the pool that has a header begins at this address.
    unsafe fn read(start: usize) -> Self {
        // SAFETY: the caller guarantees that a header lies at this address; each field may have any value.
        let header = unsafe { recover::<Self>(start).read() };
        if header.checksum == header.sum() { header } else { Self::NONE }
    }

    /// Returns the checksum of the other fields, which is zero if they are.
    fn sum(&self) -> u32 {
        let about = usize::from(self.align_log2) << 8 | usize::from(self.with_header);
        checksum(&[self.start, self.size, about])
    }

    fn has_header(&self) -> bool {
        self.with_header != 0
    }

    fn exists(&self) -> bool {
        self.size != 0
    }

    fn into_chunk(self) -> Option<Chunk> {
        let start = NonNull::new(recover::<u8>(self.start))?;
        // SAFETY: this is the chunk that was added, and its header was just removed from the list.
        unsafe { Chunk::new(NonNull::slice_from_raw_parts(start, self.size), 1 << self.align_log2) }
    }
}

/// The part of a chunk from which blocks may be carved: addresses `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    pub(super) const EMPTY: Self = Self { start: 0, end: 0 };

    pub(super) fn contains(&self, address: usize) -> bool {
        self.start <= address && address < self.end
    }
}

/// The chunks of one pool.
///
/// The header of a chunk describes the next older one; here, three chunks are used again after a reset, newest first:
///
/// ```text
///  newest ──► ┌────────┬──────────┐  ┌──►┌────────┬──────────┐  ┌──►┌───────────────────┐
///             │ header │  carved  │  │   │ header │          │  │   │                   │
///             └────┬───┴──────────┘  │   └────┬───┴──────────┘  │   └───────────────────┘
///                  └─────────────────┘        └─────────────────┘
///              current                    reusable (reusable_count: 2)
/// ```
///
/// # Invariants
///
/// * Following headers from `newest` visits each of `count` chunks once, and ends at a header that does not exist.
/// * Every chunk except the last in the list has a header; the last one too if the policy says so.
/// * `reusable` is the first of `reusable_count` adjacent chunks in the list; if there are none it is `NONE`.
/// * The reusable chunks begin the list, or follow the chunk `current`, the last one that `advance` returned.
pub(super) struct Chunks {
    newest: ChunkHeader,
    count: usize,
    current: usize,
    reusable: ChunkHeader,
    reusable_count: usize,
    /// The size of the next chunk, in bytes.
    next_size: usize,
    policy: ChunkPolicy,
}

impl Chunks {
    /// Creates a value without chunks.
    pub(super) const fn new(policy: ChunkPolicy) -> Self {
        Self {
            newest: ChunkHeader::NONE,
            count: 0,
            current: 0,
            reusable: ChunkHeader::NONE,
            reusable_count: 0,
            next_size: policy.first,
            policy,
        }
    }

    /// Returns whether the next chunk that is added has a header.
    fn next_has_header(&self) -> bool {
        self.policy.always_with_header || self.newest.exists()
    }

    /// Returns the request for a chunk with room for `bytes`, aligned as the policy says; `None` if that exceeds the
    /// address space.
    pub(super) fn request(&self, bytes: usize) -> Option<ChunkRequest> {
        let header_size = if self.next_has_header() { self.policy.header_size } else { 0 };
        let gross = |bytes| with_bitmap(bytes, self.policy.bitmap_block)?.checked_add(header_size);
        let least = Layout::from_size_align(gross(bytes)?, self.policy.align).ok()?;
        let (preferred, enough) = match self.policy.exactly {
            Some(bytes) => (gross(bytes)?, gross(bytes)?),
            None => (self.next_size.max(self.policy.page), self.next_size),
        };
        let at_least = |size: usize| size.max(least.size());
        Some(ChunkRequest { least, preferred: at_least(preferred), enough: at_least(enough) })
    }

    /// Returns the address behind the header of the newest chunk, if it has one.
    pub(super) fn room_in_newest(&self) -> Option<usize> {
        (self.newest.exists() && self.newest.has_header()).then_some(self.newest.start + HEADER_SIZE)
    }

    /// Returns the maximum number of bytes behind the header of one chunk.
    pub(super) fn most(&self) -> usize {
        self.policy.exactly.unwrap_or(self.policy.reach - self.policy.header_size)
    }

    /// Sets the room behind the header of the first chunk to `bytes`, if no chunk has been added yet.
    pub(super) const fn begin_with(&mut self, bytes: usize) {
        let header_size = if self.policy.always_with_header { self.policy.header_size } else { 0 };
        let wanted = match with_bitmap(bytes, self.policy.bitmap_block) {
            Some(gross) => gross.saturating_add(header_size),
            None => usize::MAX,
        };
        self.policy.page = 0;
        self.next_size = if wanted > self.policy.reach { self.policy.reach } else { wanted };
    }

    /// Sets the room behind the header of every later chunk to exactly `bytes`.
    pub(super) const fn grow_by(&mut self, bytes: usize) {
        let most = self.policy.reach - self.policy.header_size;
        self.policy.exactly = Some(if bytes > most { most } else { bytes });
    }

    /// Adds a chunk, which is reusable; returns it if it has no room for `bytes`.
    ///
    /// # Safety
    ///
    /// The chunk belongs to this pool alone.
    pub(super) unsafe fn add_chunk(&mut self, chunk: Chunk, bytes: usize) -> Result<(), Chunk> {
        match self.request(bytes) {
            Some(ChunkRequest { least, .. })
                if chunk.size() >= least.size() && chunk.layout().align() >= self.policy.align => {}
            _ => return Err(chunk),
        }
        let align_log2 = chunk.layout().align().trailing_zeros() as u8;
        let header =
            ChunkHeader::new(expose(chunk.start()), chunk.size(), align_log2, self.next_has_header());
        self.next_size = self.next_size.max(chunk.size().saturating_mul(2).min(self.policy.largest));
        let follows_current = self.reusable_count != 0 && self.reusable.start != self.newest.start;
        if header.has_header() {
            let older = if follows_current { self.reusable } else { self.newest };
            // SAFETY: the chunk is ours, and aligned and large enough for a header, as the request requires.
            unsafe { recover::<ChunkHeader>(header.start).write(older) };
        }
        if follows_current {
            // SAFETY: the chunk `current` is followed by the reusable ones, so it is not the last and has a header.
            unsafe { recover::<ChunkHeader>(self.current).write(header) };
        } else {
            self.newest = header;
        }
        self.count += 1;
        self.reusable = header;
        self.reusable_count += 1;
        self.clear_live(self.span(&header));
        Ok(())
    }

    /// Advances to the next reusable chunk, which counts as carved from then on; `None` if there is none.
    pub(super) fn advance(&mut self) -> Option<Span> {
        if self.reusable_count == 0 {
            return None;
        }
        let chunk = self.reusable;
        self.current = chunk.start;
        self.reusable_count -= 1;
        let older = self.older(&chunk);
        self.follow_reusable(older);
        Some(self.span(&chunk))
    }

    /// Removes the first reusable chunk from the reusable ones; those that cannot be found are not reusable either.
    fn follow_reusable(&mut self, older: ChunkHeader) {
        self.reusable = if self.reusable_count == 0 { ChunkHeader::NONE } else { older };
        if !self.reusable.exists() {
            self.reusable_count = 0;
        }
    }

    /// Returns what the next [`advance`](Self::advance) would return.
    pub(super) fn next_span(&self) -> Option<Span> {
        (self.reusable_count != 0).then(|| self.span(&self.reusable))
    }

    /// Declares that no chunk is reusable.
    pub(super) fn abandon_reusable(&mut self) {
        (self.reusable, self.reusable_count) = (ChunkHeader::NONE, 0);
    }

    /// Clears the bits of a chunk, if it has any.
    fn clear_live(&self, span: Span) {
        if self.policy.bitmap_block != 0 {
            // SAFETY: the chunk is ours.
            unsafe { LiveBitmap::of(span).clear(self.policy.bitmap_block) };
        }
    }

    /// Makes every chunk reusable. O(1), except for clearing bits, if there are any.
    pub(super) fn reset(&mut self) {
        if self.policy.bitmap_block != 0 {
            self.spans().for_each(|(span, _)| self.clear_live(span));
        }
        self.reusable = self.newest;
        self.reusable_count = self.count;
    }

    /// Removes the next reusable chunk from the list.
    pub(super) fn take_reusable(&mut self) -> Option<Chunk> {
        if self.reusable_count == 0 {
            return None;
        }
        let (chunk, older) = (self.reusable, self.older(&self.reusable));
        if chunk.start == self.newest.start {
            self.newest = older;
        } else {
            // SAFETY: the chunk `current` is followed by the reusable ones, so it is not the last and has a header.
            unsafe { recover::<ChunkHeader>(self.current).write(older) };
        }
        self.count -= 1;
        self.reusable_count -= 1;
        self.follow_reusable(older);
        chunk.into_chunk()
    }

    /// Returns the part of a chunk behind its header.
    fn span(&self, chunk: &ChunkHeader) -> Span {
        let start = chunk.start + if chunk.has_header() { self.policy.header_size } else { 0 };
        let room = chunk.start + chunk.size.min(self.policy.reach) - start;
        let end = start + without_bitmap(room, self.policy.bitmap_block);
        Span { start, end: self.policy.exactly.map_or(end, |bytes| end.min(start.saturating_add(bytes))) }
    }

    fn older(&self, chunk: &ChunkHeader) -> ChunkHeader {
        if chunk.has_header() {
            // SAFETY: a chunk in the list that has a header begins with the description of the next older one.
            unsafe { ChunkHeader::read(chunk.start) }
        } else {
            ChunkHeader::NONE
        }
    }

    /// Returns every chunk, as far as the list is intact.
    fn headers(&self) -> impl Iterator<Item = ChunkHeader> {
        self.headers_unbounded().take(self.count)
    }

    /// Returns every chunk, and anything else to which the list leads: it may be endless.
    fn headers_unbounded(&self) -> impl Iterator<Item = ChunkHeader> {
        let first = self.newest.exists().then_some(self.newest);
        core::iter::successors(first, |chunk| Some(self.older(chunk)).filter(ChunkHeader::exists))
    }

    /// Returns the number of chunks.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the number of bytes in all chunks.
    pub(super) fn held(&self) -> usize {
        self.headers().map(|chunk| chunk.size).sum()
    }

    /// Returns whether `address` lies in a chunk, headers included.
    pub(super) fn owns(&self, address: usize) -> bool {
        self.headers().any(|chunk| address.wrapping_sub(chunk.start) < chunk.size)
    }

    /// Returns the spans of all chunks, each with whether it is reusable.
    pub(super) fn spans(&self) -> impl Iterator<Item = (Span, bool)> {
        let mut reusable_left = self.reusable_count;
        let mut begun = false;
        self.headers().map(move |chunk| {
            begun |= chunk.start == self.reusable.start && self.reusable_count != 0;
            let reusable = begun && reusable_left != 0;
            reusable_left -= usize::from(reusable);
            (self.span(&chunk), reusable)
        })
    }

    /// Removes the chunk with this span from the list. A chunk that is reusable must be the next one to advance to.
    pub(super) fn remove(&mut self, span: Span) -> Option<Chunk> {
        let mut newer: Option<ChunkHeader> = None;
        let chunk = self.headers().find(|chunk| {
            let found = self.span(chunk) == span;
            if !found {
                newer = Some(*chunk);
            }
            found
        })?;
        let older = self.older(&chunk);
        self.count -= 1;
        if self.reusable_count != 0 && chunk.start == self.reusable.start {
            self.reusable_count -= 1;
            self.follow_reusable(older);
        } else if chunk.start == self.current {
            // The chunks behind it are reusable or there are none; the chunk in front becomes the current one.
            self.current = newer.map_or(0, |chunk| chunk.start);
        }
        match newer {
            // SAFETY: a chunk with an older one is not the last and has a header.
            Some(newer) => unsafe { recover::<ChunkHeader>(newer.start).write(older) },
            None => self.newest = older,
        }
        chunk.into_chunk()
    }

    /// Checks the invariants of the list; returns a description of the first one that is violated.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.headers_unbounded().take(self.count + 1).count() != self.count {
            return Err("there are more or fewer chunks than counted: a chunk's header was overwritten");
        }
        let last = self.headers().last();
        if self.headers().any(|chunk| !chunk.has_header() && Some(chunk.start) != last.map(|last| last.start))
        {
            return Err("a chunk without a header is not the last one");
        }
        if self.headers().any(|chunk| !chunk.start.is_multiple_of(1 << chunk.align_log2)) {
            return Err("a chunk is not aligned as recorded");
        }
        if self.spans().filter(|(_, reusable)| *reusable).count() != self.reusable_count {
            return Err("the chunks ahead do not follow one another");
        }
        let mut newer_than_reusable = self.headers().take_while(|chunk| chunk.start != self.reusable.start);
        if self.reusable_count != 0
            && newer_than_reusable.by_ref().last().is_some_and(|chunk| chunk.start != self.current)
        {
            return Err("the chunks ahead follow another chunk than the current one");
        }
        Ok(())
    }
}

const _: () =
    assert!(size_of::<ChunkHeader>() <= 4 * address::WORD, "a chunk's header is four words at most");

#[cfg(test)]
mod tests {
    use std::{boxed::Box, collections::BTreeSet, vec::Vec};

    use super::*;

    /// Returns a chunk of leaked memory; the tests free what they get back.
    fn chunk(size: usize) -> Chunk {
        let words: &mut [u64] = Box::leak(std::vec![0u64; size / 8].into_boxed_slice());
        let memory = NonNull::slice_from_raw_parts(NonNull::from(words).cast(), size);
        // SAFETY: the memory was just leaked, and nothing else uses it.
        unsafe { Chunk::new(memory, 8) }.expect("8 is an alignment")
    }

    fn free(chunk: &Chunk) {
        let words =
            std::ptr::slice_from_raw_parts_mut(chunk.start().cast::<u64>().as_ptr(), chunk.size() / 8);
        // SAFETY: this is what `chunk` leaked.
        drop(unsafe { Box::from_raw(words) });
    }

    /// Every order of adding, advancing, resetting and removing keeps the invariants, and loses no chunk.
    #[test]
    fn random_operations_keep_the_list() {
        for seed in 0..200 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut chunks = Chunks::new(ChunkPolicy::growing(8));
            let mut reusable_or_carved: BTreeSet<usize> = BTreeSet::new();
            for _ in 0..200 {
                match rng.u8(0..8) {
                    0..3 => {
                        let chunk = chunk(8 * rng.usize(8..40));
                        reusable_or_carved.insert(chunk.start().addr().get() + chunk.size());
                        // SAFETY: the chunk was just made.
                        let refused = unsafe { chunks.add_chunk(chunk, 8) };
                        assert!(refused.is_ok());
                    }
                    3..6 => {
                        let next = chunks.next_span();
                        assert!(chunks.advance() == next);
                    }
                    6 => {
                        // What a pool removes: a carved chunk, or the next reusable one.
                        let next = chunks.next_span();
                        let spans: Vec<Span> = chunks
                            .spans()
                            .filter(|&(span, reusable)| !reusable || Some(span) == next)
                            .map(|(s, _)| s)
                            .collect();
                        if let Some(&span) = rng.choice(&spans) {
                            let chunk = chunks.remove(span).expect("the span is a chunk's");
                            assert!(reusable_or_carved.remove(&span.end));
                            free(&chunk);
                        }
                    }
                    _ => chunks.reset(),
                }
                chunks.check().expect("sound after each step");
                let listed: BTreeSet<usize> = chunks.spans().map(|(span, _)| span.end).collect();
                assert_eq!(listed, reusable_or_carved);
            }
            for span in chunks.spans().map(|(span, _)| span).collect::<Vec<_>>() {
                free(&chunks.remove(span).expect("the span is a chunk's"));
            }
        }
    }
}
