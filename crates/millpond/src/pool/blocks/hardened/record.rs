//! What is known about a chunk and its blocks, in memory that holds no blocks.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::address::{WORD, expose, recover},
    pool::chunks::Span,
    traits::{Chunk, ChunkRequest},
};

/// The number of bits in a word.
const BITS: usize = usize::BITS as usize;

/// A chunk, as its parent handed it out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Whole {
    pub(super) start: usize,
    pub(super) layout: Layout,
}

impl Whole {
    pub(super) fn of(chunk: &Chunk) -> Self {
        Self { start: expose(chunk.start()), layout: chunk.layout() }
    }

    /// Returns the chunk, which belongs to the caller from now on.
    ///
    /// # Safety
    ///
    /// The chunk belongs to the pool, and nothing in it is used any more.
    pub(super) unsafe fn into_chunk(self) -> Option<Chunk> {
        let start = NonNull::new(recover::<u8>(self.start))?;
        // SAFETY: the caller guarantees that nothing else uses the chunk, which has this size and alignment.
        unsafe { Chunk::new(NonNull::slice_from_raw_parts(start, self.layout.size()), self.layout.align()) }
    }
}

/// A chunk of blocks for which there is no record yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unrecorded {
    pub(super) whole: Whole,
    pub(super) span: Span,
}

/// The fixed part of a record, which the bits of the blocks follow: first one for each live block, then one for each
/// that is free and in no array.
struct Header {
    /// The address of the next record, or zero.
    next: usize,
    /// The memory of this record.
    own: Whole,
    /// The chunk that the record describes.
    chunk: Whole,
    span: Span,
    /// Where the blocks end that were carved so far.
    carved: usize,
    /// The number of words for each kind of bits.
    words: usize,
    /// How many blocks are free and in no array.
    free: usize,
}

/// Which bits of a record are meant.
#[derive(Clone, Copy)]
pub(super) enum Bits {
    Live,
    Free,
}

/// The record of a chunk.
///
/// # Invariants
///
/// * It points to a header in memory that belongs to the pool and holds no blocks, followed by twice as many words as
///   the header says.
/// * Only the pool of which it is a part accesses it, through one reference at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record(NonNull<Header>);

impl Record {
    /// Returns the request for the memory of a record about `bytes` bytes of blocks.
    pub(super) fn request(bytes: usize, size: usize) -> Option<ChunkRequest> {
        let bits = words(bytes, size).checked_mul(2 * WORD)?;
        request(size_of::<Header>().checked_add(bits)?)
    }

    /// Creates the record of a chunk in memory of its own; returns the memory if it is too small.
    ///
    /// # Safety
    ///
    /// The memory belongs to the pool alone.
    pub(super) unsafe fn create(own: Chunk, about: &Unrecorded, size: usize) -> Result<Self, Chunk> {
        let bytes = about.span.end - about.span.start;
        match Self::request(bytes, size) {
            Some(ChunkRequest { least, .. }) if fits(&own, least) => {}
            _ => return Err(own),
        }
        let words = words(bytes, size);
        let header = Header {
            next: 0,
            own: Whole::of(&own),
            chunk: about.whole,
            span: about.span,
            carved: about.span.start,
            words,
            free: 0,
        };
        let place = own.start().cast::<Header>();
        // SAFETY: the memory is the caller's, and large and aligned enough for the header and the words behind it.
        unsafe {
            place.write(header);
            place.add(1).cast::<usize>().write_bytes(0, 2 * words);
        }
        Ok(Self(place))
    }

    /// Returns the record at an address that [`address`](Self::address) returned; `None` for zero.
    #[inline(always)]
    pub(super) fn at(address: usize) -> Option<Self> {
        NonNull::new(recover(address)).map(Self)
    }

    #[inline(always)]
    pub(super) fn address(self) -> usize {
        self.0.addr().get()
    }

    #[inline(always)]
    fn header(&self) -> &Header {
        // SAFETY: this is the invariant of the type.
        unsafe { self.0.as_ref() }
    }

    fn header_mut(&mut self) -> &mut Header {
        // SAFETY: this is the invariant of the type.
        unsafe { self.0.as_mut() }
    }

    /// Returns the address of the next record, or zero.
    pub(super) fn next(self) -> usize {
        self.header().next
    }

    pub(super) fn set_next(mut self, next: usize) {
        self.header_mut().next = next;
    }

    pub(super) fn own(self) -> Whole {
        self.header().own
    }

    pub(super) fn chunk(self) -> Whole {
        self.header().chunk
    }

    #[inline(always)]
    pub(super) fn span(self) -> Span {
        self.header().span
    }

    /// Returns the carved part of the chunk.
    pub(super) fn carved(self) -> Span {
        Span { end: self.header().carved, ..self.span() }
    }

    /// Marks a run of blocks as carved; returns whether it is the next run of this chunk.
    pub(super) fn carve(mut self, run: Span) -> bool {
        let header = self.header_mut();
        let is_next = run.start == header.carved && run.end <= header.span.end;
        if is_next {
            header.carved = run.end;
        }
        is_next
    }

    /// Returns a word of bits.
    fn word(self, bits: Bits, index: usize) -> *mut usize {
        let kind = match bits {
            Bits::Live => 0,
            Bits::Free => self.header().words,
        };
        // SAFETY: twice `words` words follow the header: this is the invariant of the type.
        unsafe { self.0.add(1).cast::<usize>().add(kind + index).as_ptr() }
    }

    /// Returns the bit of a block that says whether it is live, and the word that contains it.
    #[inline(always)]
    pub(super) fn live_bit(self, number: usize) -> (*mut usize, usize) {
        (self.word(Bits::Live, number / BITS), 1 << (number % BITS))
    }

    /// Marks a block as free and in no array.
    pub(super) fn set_free(mut self, number: usize) {
        let word = self.word(Bits::Free, number / BITS);
        // SAFETY: the word is one of this record.
        unsafe { *word |= 1 << (number % BITS) };
        self.header_mut().free += 1;
    }

    pub(super) fn free(self) -> usize {
        self.header().free
    }

    /// Takes free blocks out, starting from the word with this number, until `room` is full; returns how many. Each
    /// block is written as its address.
    pub(super) fn take_free(mut self, from: usize, size: usize, room: &mut [usize]) -> usize {
        let (words, start) = (self.header().words, self.span().start);
        let mut taken = 0;
        for index in (from..words).chain(0..from) {
            let word = self.word(Bits::Free, index);
            // SAFETY: the word is one of this record.
            while taken < room.len() && unsafe { *word } != 0 {
                // SAFETY: as above.
                let bit = unsafe { (*word).trailing_zeros() as usize };
                // SAFETY: as above.
                unsafe { *word &= *word - 1 };
                room[taken] = start + (index * BITS + bit) * size;
                taken += 1;
            }
            if taken == room.len() {
                break;
            }
        }
        self.header_mut().free -= taken;
        taken
    }

    /// Returns the number of words for each kind of bits.
    pub(super) fn words(self) -> usize {
        self.header().words
    }

    /// Returns the number of blocks whose bit is set.
    pub(super) fn count(self, bits: Bits) -> usize {
        // SAFETY: each word is one of this record.
        (0..self.words()).map(|index| unsafe { self.word(bits, index).read() }.count_ones() as usize).sum()
    }

    /// Returns whether blocks have been carved from the chunk.
    pub(super) fn is_begun(self) -> bool {
        let carved = self.carved();
        carved.start != carved.end
    }

    fn is_set(self, bits: Bits, number: usize) -> bool {
        // SAFETY: the word is one of this record.
        unsafe { self.word(bits, number / BITS).read() >> (number % BITS) & 1 == 1 }
    }

    /// Returns whether a block is neither live nor has the bit that says that it is free.
    pub(super) fn is_taken(self, number: usize) -> bool {
        !self.is_set(Bits::Live, number) && !self.is_set(Bits::Free, number)
    }

    /// Returns the carved blocks that are live, or those that are not, ascending.
    pub(super) fn blocks(self, live: bool, size: usize) -> impl Iterator<Item = usize> {
        let carved = self.carved();
        let blocks = (carved.start..carved.end).step_by(size).enumerate();
        blocks.filter(move |&(number, _)| self.is_set(Bits::Live, number) == live).map(|(_, block)| block)
    }

    /// Declares all blocks uncarved.
    pub(super) fn clear(mut self) {
        let words = self.words();
        // SAFETY: twice `words` words follow the header.
        unsafe { self.word(Bits::Live, 0).write_bytes(0, 2 * words) };
        let header = self.header_mut();
        (header.carved, header.free) = (header.span.start, 0);
    }
}

/// The records of a list, from the one at this address on.
#[derive(Clone)]
pub(super) struct Records(pub(super) usize);

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let record = Record::at(self.0)?;
        self.0 = record.next();
        Some(record)
    }
}

/// Returns the number of words for one bit per block.
fn words(bytes: usize, size: usize) -> usize {
    (bytes / size).div_ceil(BITS)
}

/// Returns the request for this many bytes, aligned to a word.
pub(super) fn request(bytes: usize) -> Option<ChunkRequest> {
    let least = Layout::from_size_align(bytes, WORD).ok()?;
    Some(ChunkRequest { least, preferred: bytes, enough: bytes })
}

/// Returns whether a chunk can hold a layout.
pub(super) fn fits(chunk: &Chunk, least: Layout) -> bool {
    chunk.size() >= least.size() && chunk.layout().align() >= least.align()
}
