//! The chunks of a [`Stack`](super::Stack): those that are cut, last one on top, and those that are spare.
//!
//! Both are lists through headers at the start of the chunks. Moving a chunk from one to the other is O(1); looking for a
//! spare one that is large enough is O(spare chunks).

use core::ptr::NonNull;

use crate::{
    base::address::{self, recover},
    contract::Chunk,
    pool::chunks::Span,
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
pub(super) const HEADER: usize = size_of::<Header>();
const _: () = assert!(HEADER == 3 * address::WORD, "a header is three words");

/// # Invariants
///
/// * Following `below` from `top` and from `spare` visits every chunk once, in one of the two lists, and ends at zero.
pub(super) struct Trail {
    /// The address of the chunk that is being cut, or zero.
    top: usize,
    /// The address of the first spare chunk, or zero.
    spare: usize,
}

impl Trail {
    pub(super) const EMPTY: Self = Self { top: 0, spare: 0 };

    /// The header of the chunk at an address from a list.
    fn header(chunk: usize) -> Header {
        // SAFETY: every chunk in a list begins with a header.
        unsafe { recover::<Header>(chunk).read() }
    }

    fn span(chunk: usize) -> Span {
        Span { start: chunk + HEADER, end: chunk + Self::header(chunk).size }
    }

    /// Makes a chunk the first of a list.
    fn push(list: &mut usize, chunk: usize) {
        let header = Header { below: *list, ..Self::header(chunk) };
        // SAFETY: the chunk is the stack's and begins with a header.
        unsafe { recover::<Header>(chunk).write(header) };
        *list = chunk;
    }

    /// Takes the first chunk of a list.
    fn pop(list: &mut usize) -> Option<usize> {
        let chunk = *list;
        (chunk != 0).then(|| {
            *list = Self::header(chunk).below;
            chunk
        })
    }

    fn list(first: usize) -> impl Iterator<Item = usize> {
        let exists = |&chunk: &usize| chunk != 0;
        core::iter::successors(Some(first).filter(exists), move |&chunk| {
            Some(Self::header(chunk).below).filter(exists)
        })
    }

    /// Makes a chunk a spare one, the next to be cut.
    ///
    /// # Safety
    ///
    /// The chunk is the stack's alone, aligned for and at least as large as a header.
    pub(super) unsafe fn adopt(&mut self, chunk: &Chunk) {
        let start = address::expose(chunk.start());
        let align_log2 = chunk.layout().align().trailing_zeros() as usize;
        // SAFETY: the caller promises that there is room.
        unsafe { recover::<Header>(start).write(Header { below: 0, size: chunk.size(), align_log2 }) };
        Self::push(&mut self.spare, start);
    }

    /// Goes on to the first spare chunk that is good, which is on top then.
    pub(super) fn advance(&mut self, good: impl Fn(Span) -> bool) -> Option<Span> {
        let mut before = None;
        let chunk = Self::list(self.spare).find(|&chunk| {
            let found = good(Self::span(chunk));
            if !found {
                before = Some(chunk);
            }
            found
        })?;
        let below = Self::header(chunk).below;
        match before {
            // SAFETY: a chunk in a list begins with a header.
            Some(before) => unsafe { (*recover::<Header>(before)).below = below },
            None => self.spare = below,
        }
        Self::push(&mut self.top, chunk);
        Some(Self::span(chunk))
    }

    /// The address of the chunk on top, or zero.
    #[inline]
    pub(super) fn top(&self) -> usize {
        self.top
    }

    /// Whether a chunk is among those that are cut. The address is never dereferenced unless it is.
    pub(super) fn is_cut(&self, chunk: usize) -> bool {
        chunk == 0 || Self::list(self.top).any(|other| other == chunk)
    }

    /// Makes every chunk above `chunk`, which is cut or zero, a spare one; the span of the chunk.
    pub(super) fn retreat(&mut self, chunk: usize) -> Span {
        while self.top != chunk {
            match Self::pop(&mut self.top) {
                Some(above) => Self::push(&mut self.spare, above),
                None => return Span::EMPTY,
            }
        }
        if chunk == 0 { Span::EMPTY } else { Self::span(chunk) }
    }

    /// Takes a spare chunk out.
    pub(super) fn surrender_spare(&mut self) -> Option<Chunk> {
        Self::pop(&mut self.spare).and_then(Self::chunk)
    }

    /// Takes the chunk on top out.
    pub(super) fn surrender_top(&mut self) -> Option<Chunk> {
        Self::pop(&mut self.top).and_then(Self::chunk)
    }

    /// The chunk at an address that was just taken out of its list.
    fn chunk(start: usize) -> Option<Chunk> {
        let header = Self::header(start);
        let memory = NonNull::slice_from_raw_parts(NonNull::new(recover::<u8>(start))?, header.size);
        // SAFETY: this is the chunk that was adopted, and it is in no list any more.
        unsafe { Chunk::new(memory, 1 << header.align_log2) }
    }

    /// The spans of the chunks that are cut, the one on top first.
    pub(super) fn cut(&self) -> impl Iterator<Item = Span> {
        Self::list(self.top).map(Self::span)
    }

    /// The spans of the spare chunks.
    pub(super) fn spare(&self) -> impl Iterator<Item = Span> {
        Self::list(self.spare).map(Self::span)
    }
}
