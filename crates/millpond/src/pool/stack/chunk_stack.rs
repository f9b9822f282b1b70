//! The chunks of a [`Stack`](super::Stack): those that are cut, last one on top, and those that are spare.
//!
//! Both are lists through headers at the start of the chunks. Moving a chunk from one to the other is O(1); looking for a
//! spare one that is large enough is O(spare chunks).

use core::ptr::NonNull;

use crate::{
    base::address::{self, recover},
    pool::chunks::{self, Span},
    traits::Chunk,
};

/// What a chunk begins with.
#[derive(Clone, Copy)]
struct Header {
    /// The address of the next chunk below in the same list, or zero.
    below: usize,
    size: usize,
    align_log2: usize,
}

/// Bytes that a header takes.
pub(super) const HEADER_SIZE: usize = 3 * address::WORD;

impl Header {
    /// The checksum, and the alignment in the lowest byte. Headers lie where a write past the end of somebody else's memory goes.
    fn id(self) -> usize {
        (chunks::checksum(&[self.below, self.size, self.align_log2]) as usize) << 8 | self.align_log2
    }

    /// The header of the chunk at an address from a list; `None` if it was overwritten.
    fn read(chunk: usize) -> Option<Self> {
        // SAFETY: every chunk in a list begins with three words.
        let [below, size, id] = unsafe { recover::<[usize; 3]>(chunk).read() };
        let header = Self { below, size, align_log2: id & 0xff };
        (header.id() == id).then_some(header)
    }

    /// # Safety
    ///
    /// The chunk is the stack's, and has room for a header.
    unsafe fn write(self, chunk: usize) {
        // SAFETY: the caller's promise.
        unsafe { recover::<[usize; 3]>(chunk).write([self.below, self.size, self.id()]) };
    }
}

/// # Invariants
///
/// * Following `below` from `top` and from `empty` visits every chunk once, in one of the two lists, and ends at zero.
pub(super) struct ChunkStack {
    /// The address of the chunk that is being cut, or zero.
    top: usize,
    /// The address of the first spare chunk, or zero.
    empty: usize,
}

impl ChunkStack {
    pub(super) const EMPTY: Self = Self { top: 0, empty: 0 };

    fn span(chunk: usize) -> Option<Span> {
        Some(Span { start: chunk + HEADER_SIZE, end: chunk + Header::read(chunk)?.size })
    }

    /// Makes a chunk the first of a list; one whose header was overwritten is lost.
    fn push(list: &mut usize, chunk: usize) {
        if let Some(header) = Header::read(chunk) {
            // SAFETY: the chunk is the stack's and begins with a header.
            unsafe { Header { below: *list, ..header }.write(chunk) };
            *list = chunk;
        }
    }

    /// Takes the first chunk of a list; there is none if its header was overwritten.
    fn pop(list: &mut usize) -> Option<usize> {
        let chunk = core::mem::take(list);
        let exists = chunk != 0;
        exists.then(|| Header::read(chunk)).flatten().map(|header| {
            *list = header.below;
            chunk
        })
    }

    /// The chunks of a list, as far as their headers are whole.
    fn list(first: usize) -> impl Iterator<Item = usize> {
        let is_whole = |&chunk: &usize| chunk != 0 && Header::read(chunk).is_some();
        core::iter::successors(Some(first).filter(is_whole), move |&chunk| {
            Header::read(chunk).map(|header| header.below).filter(is_whole)
        })
    }

    /// Whether no header was overwritten.
    pub(super) fn is_whole(&self) -> bool {
        [self.top, self.empty].into_iter().all(|first| {
            let last = Self::list(first).last();
            last.map_or(first == 0, |last| Header::read(last).is_some_and(|header| header.below == 0))
        })
    }

    /// Makes a chunk a spare one, the next to be cut.
    ///
    /// # Safety
    ///
    /// The chunk is the stack's alone, aligned for and at least as large as a header.
    pub(super) unsafe fn add_chunk(&mut self, chunk: &Chunk) {
        let start = address::expose(chunk.start());
        let align_log2 = chunk.layout().align().trailing_zeros() as usize;
        // SAFETY: the caller promises that there is room.
        unsafe { Header { below: self.empty, size: chunk.size(), align_log2 }.write(start) };
        self.empty = start;
    }

    /// Goes on to the first spare chunk that is good, which is on top then.
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

    /// The address of the chunk on top, or zero.
    #[inline]
    pub(super) fn top(&self) -> usize {
        self.top
    }

    /// Whether a chunk is among those that are cut. The address is never dereferenced unless it is.
    pub(super) fn is_carved(&self, chunk: usize) -> bool {
        chunk == 0 || Self::list(self.top).any(|other| other == chunk)
    }

    /// Makes every chunk above `chunk`, which is cut or zero, a spare one; the span of the chunk.
    pub(super) fn rewind_to(&mut self, chunk: usize) -> Span {
        while self.top != chunk {
            match Self::pop(&mut self.top) {
                Some(above) => Self::push(&mut self.empty, above),
                None => return Span::EMPTY,
            }
        }
        if chunk == 0 { Span::EMPTY } else { Self::span(chunk).unwrap_or(Span::EMPTY) }
    }

    /// Takes a spare chunk out.
    pub(super) fn release_empty(&mut self) -> Option<Chunk> {
        Self::pop(&mut self.empty).and_then(Self::chunk)
    }

    /// Takes the chunk on top out.
    pub(super) fn release_top(&mut self) -> Option<Chunk> {
        Self::pop(&mut self.top).and_then(Self::chunk)
    }

    /// The chunk at an address that was just taken out of its list.
    fn chunk(start: usize) -> Option<Chunk> {
        let header = Header::read(start)?;
        let memory = NonNull::slice_from_raw_parts(NonNull::new(recover::<u8>(start))?, header.size);
        // SAFETY: this is the chunk that was adopted, and it is in no list any more.
        unsafe { Chunk::new(memory, 1 << header.align_log2) }
    }

    /// The spans of the chunks that are cut, the one on top first.
    pub(super) fn carved(&self) -> impl Iterator<Item = Span> {
        Self::list(self.top).filter_map(Self::span)
    }

    /// The spans of the spare chunks.
    pub(super) fn empty(&self) -> impl Iterator<Item = Span> {
        Self::list(self.empty).filter_map(Self::span)
    }
}
