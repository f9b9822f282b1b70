//! The chunks of a [`Stack`](super::Stack): the carved ones, last one on top, and the empty ones.
//!
//! Both are lists that are linked through headers at the start of the chunks. Moving a chunk from one list to the other
//! is O(1); finding an empty one that is large enough is O(empty chunks).

use core::ptr::NonNull;

use crate::{
    base::address::{self, recover},
    pool::chunks::{self, Span},
    traits::Chunk,
};

/// The header of a chunk.
#[derive(Clone, Copy)]
struct Header {
    /// The address of the next chunk below in the same list, or zero.
    below: usize,
    size: usize,
    align_log2: usize,
}

/// Bytes of a header.
pub(super) const HEADER_SIZE: usize = 3 * address::WORD;

impl Header {
    /// Returns the checksum, with the alignment in the lowest byte. A write past the end of adjacent memory overwrites
    /// the header first.
    fn id(self) -> usize {
        (chunks::checksum(&[self.below, self.size, self.align_log2]) as usize) << 8 | self.align_log2
    }

    /// Reads the header of the chunk at an address from a list; `None` if it was overwritten.
    fn read(chunk: usize) -> Option<Self> {
        // SAFETY: every chunk in a list begins with three words.
        let [below, size, id] = unsafe { recover::<[usize; 3]>(chunk).read() };
        let header = Self { below, size, align_log2: id & 0xff };
        (header.id() == id).then_some(header)
    }

    /// Writes the header.
    ///
    /// # Safety
    ///
    /// The chunk belongs to the stack, and has room for a header.
    unsafe fn write(self, chunk: usize) {
        // SAFETY: the caller guarantees that the chunk belongs to the stack and has room for a header.
        unsafe { recover::<[usize; 3]>(chunk).write([self.below, self.size, self.id()]) };
    }
}

/// The carved and the empty chunks.
///
/// # Invariants
///
/// * Following `below` from `top` and from `empty` visits every chunk once, in one of the two lists, and ends at zero.
pub(super) struct ChunkStack {
    /// The address of the current chunk, or zero.
    top: usize,
    /// The address of the first empty chunk, or zero.
    empty: usize,
}

impl ChunkStack {
    pub(super) const EMPTY: Self = Self { top: 0, empty: 0 };

    fn span(chunk: usize) -> Option<Span> {
        Some(Span { start: chunk + HEADER_SIZE, end: chunk + Header::read(chunk)?.size })
    }

    /// Adds a chunk at the front of a list; a chunk whose header was overwritten is lost.
    fn push(list: &mut usize, chunk: usize) {
        if let Some(header) = Header::read(chunk) {
            // SAFETY: the chunk belongs to the stack and begins with a header.
            unsafe { Header { below: *list, ..header }.write(chunk) };
            *list = chunk;
        }
    }

    /// Removes the first chunk of a list; `None` if its header was overwritten.
    fn pop(list: &mut usize) -> Option<usize> {
        let chunk = core::mem::take(list);
        let exists = chunk != 0;
        exists.then(|| Header::read(chunk)).flatten().map(|header| {
            *list = header.below;
            chunk
        })
    }

    /// Returns the chunks of a list, as far as their headers are intact.
    fn list(first: usize) -> impl Iterator<Item = usize> {
        let is_whole = |&chunk: &usize| chunk != 0 && Header::read(chunk).is_some();
        core::iter::successors(Some(first).filter(is_whole), move |&chunk| {
            Header::read(chunk).map(|header| header.below).filter(is_whole)
        })
    }

    /// Returns whether no header was overwritten.
    pub(super) fn is_whole(&self) -> bool {
        [self.top, self.empty].into_iter().all(|first| {
            let last = Self::list(first).last();
            last.map_or(first == 0, |last| Header::read(last).is_some_and(|header| header.below == 0))
        })
    }

    /// Adds a chunk as the first of the empty ones.
    ///
    /// # Safety
    ///
    /// The chunk belongs to this stack alone, and has at least the size and alignment of a header.
    pub(super) unsafe fn add_chunk(&mut self, chunk: &Chunk) {
        let start = address::expose(chunk.start());
        let align_log2 = chunk.layout().align().trailing_zeros() as usize;
        // SAFETY: the caller guarantees that the chunk has at least the size and alignment of a header.
        unsafe { Header { below: self.empty, size: chunk.size(), align_log2 }.write(start) };
        self.empty = start;
    }

    /// Advances to the first empty chunk that satisfies `good`, which becomes the one on top.
    pub(super) fn advance(&mut self, good: impl Fn(Span) -> bool) -> Option<Span> {
        let mut before = None;
        let chunk = Self::list(self.empty).find(|&chunk| {
            let found = Self::span(chunk).is_some_and(&good);
            if !found {
                before = Some(chunk);
            }
            found
        })?;
        let below = Header::read(chunk)?.below;
        match before {
            // SAFETY: a chunk in a list begins with a header.
            Some(before) => unsafe { Header { below, ..Header::read(before)? }.write(before) },
            None => self.empty = below,
        }
        Self::push(&mut self.top, chunk);
        Self::span(chunk)
    }

    /// Returns the address of the chunk on top, or zero.
    #[inline]
    pub(super) fn top(&self) -> usize {
        self.top
    }

    /// Returns whether a chunk is among the carved ones. The address is never dereferenced unless it is.
    pub(super) fn is_carved(&self, chunk: usize) -> bool {
        chunk == 0 || Self::list(self.top).any(|other| other == chunk)
    }

    /// Makes every chunk above `chunk`, which is carved or zero, an empty one; returns the span of `chunk`.
    pub(super) fn rewind_to(&mut self, chunk: usize) -> Span {
        while self.top != chunk {
            match Self::pop(&mut self.top) {
                Some(above) => Self::push(&mut self.empty, above),
                None => return Span::EMPTY,
            }
        }
        if chunk == 0 { Span::EMPTY } else { Self::span(chunk).unwrap_or(Span::EMPTY) }
    }

    /// Removes an empty chunk.
    pub(super) fn release_empty(&mut self) -> Option<Chunk> {
        Self::pop(&mut self.empty).and_then(Self::chunk)
    }

    /// Removes the chunk on top.
    pub(super) fn release_top(&mut self) -> Option<Chunk> {
        Self::pop(&mut self.top).and_then(Self::chunk)
    }

    /// Returns the chunk at an address that was just removed from its list.
    fn chunk(start: usize) -> Option<Chunk> {
        let header = Header::read(start)?;
        let memory = NonNull::slice_from_raw_parts(NonNull::new(recover::<u8>(start))?, header.size);
        // SAFETY: this is the chunk that was added, and it is in no list any more.
        unsafe { Chunk::new(memory, 1 << header.align_log2) }
    }

    /// Returns the spans of the carved chunks, the one on top first.
    pub(super) fn carved(&self) -> impl Iterator<Item = Span> {
        Self::list(self.top).filter_map(Self::span)
    }

    /// Returns the spans of the empty chunks.
    pub(super) fn empty(&self) -> impl Iterator<Item = Span> {
        Self::list(self.empty).filter_map(Self::span)
    }
}
