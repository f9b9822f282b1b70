//! What lies at the end of a [`Buddy`](super::Buddy)'s chunk: the states of its pairs, and the chunk's description.
//!
//! ```text
//! chunk: [ blocks, from `first` to `end` | one bit per least block | Footer ]
//! ```
//!
//! Two buddies share one bit, which is set while exactly one of them is free. Pairs of all orders live in one bitmap
//! without tables: a pair's bit is that of the least block with which its right half begins, and no two pairs, of
//! whatever order, have that in common.

use super::scale::Scale;
use crate::{
    base::address::{WORD, align_up, expose, recover},
    pool::chunks,
    traits::Chunk,
};

/// Bits in a word of the bitmap.
const BITS: usize = usize::BITS as usize;

/// The description of a chunk.
///
/// # Invariants
///
/// * `first` and `end` are multiples of the least block, and everything between them is blocks.
/// * `free` is the sum of the sizes of the free blocks, in bytes.
/// * `lower` and `higher` are addresses of footers in the [`FooterTree`](super::map::FooterTree), or zero.
/// * `checksum` is that of everything but `free`: a footer lies where a write past the end of the last block goes.
#[repr(C)]
pub(super) struct Footer {
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) free: usize,
    pub(super) start: usize,
    pub(super) lower: usize,
    pub(super) higher: usize,
    pub(super) size: usize,
    align_log2: u32,
    checksum: u32,
}

impl Footer {
    /// Notes what it says now, links included.
    pub(super) fn seal(&mut self) {
        self.checksum = self.sum();
    }

    /// Whether it is as it was sealed; what is free is no more than there is.
    pub(super) fn is_sound(&self) -> bool {
        self.checksum == self.sum() && self.free <= self.end - self.first
    }

    fn sum(&self) -> u32 {
        let Self { first, end, start, lower, higher, size, align_log2, .. } = *self;
        let words = [first, end, start, lower, higher, size, align_log2 as usize];
        chunks::checksum(&words)
    }

    /// Bytes that a chunk needs besides `blocks` bytes of blocks, if those begin where it does.
    pub(super) const fn overhead(blocks: usize, scale: Scale) -> usize {
        size_of::<Self>() + scale.count(blocks).div_ceil(BITS) * WORD
    }

    /// Writes the footer of a chunk, with no block free, and returns its address; `None` if there is no room for one
    /// least block.
    ///
    /// # Safety
    ///
    /// The chunk is the pool's alone.
    pub(super) unsafe fn write(chunk: &Chunk, scale: Scale) -> Option<usize> {
        let (start, size) = (expose(chunk.start()), chunk.size());
        let least = scale.least();
        let first = align_up(start, least);
        let footer = (start + size).checked_sub(size_of::<Self>())? & !(align_of::<Self>() - 1);
        let room = footer.checked_sub(first)?;
        // A word of bits and the blocks it speaks of; then what is left, if it has room for one more word.
        let group = BITS * least + WORD;
        let rest = scale.count((room % group).saturating_sub(WORD));
        let blocks = room / group * BITS + rest;
        if blocks == 0 {
            return None;
        }
        let end = first + blocks * least;
        let align_log2 = chunk.layout().align().trailing_zeros();
        let mut this =
            Self { first, end, free: 0, start, lower: 0, higher: 0, size, align_log2, checksum: 0 };
        this.seal();
        // SAFETY: the place lies in the chunk, behind its blocks and their bits, and is aligned.
        unsafe { recover::<Self>(footer).write(this) };
        // SAFETY: the footer was just written.
        unsafe { (*recover::<Self>(footer)).clear(scale) };
        Some(footer)
    }

    /// The chunk, as it was adopted.
    pub(super) fn chunk(&self) -> Option<Chunk> {
        let start = core::ptr::NonNull::new(recover::<u8>(self.start))?;
        let memory = core::ptr::NonNull::slice_from_raw_parts(start, self.size);
        // SAFETY: this is the chunk that was adopted, and whoever asks takes it out of the pool.
        unsafe { Chunk::new(memory, 1 << self.align_log2) }
    }

    /// Bytes of blocks.
    pub(super) fn room(&self) -> usize {
        self.end - self.first
    }

    /// Declares no block free.
    pub(super) fn clear(&mut self, scale: Scale) {
        self.free = 0;
        let words = scale.count(self.room()).div_ceil(BITS);
        // SAFETY: the bits of the chunk's blocks lie behind them and are the pool's.
        unsafe { recover::<usize>(self.end).write_bytes(0, words) };
    }

    /// The word with the bit of the pair whose right half is at `right`, and the bit.
    #[inline(always)]
    fn bit(&self, right: usize, scale: Scale) -> (*mut usize, usize) {
        let index = scale.count(right - self.first);
        (recover(self.end + index / BITS * WORD), 1 << (index % BITS))
    }

    /// Changes the state of the pair whose right half is at `right`, which lies in the chunk; returns the new state.
    #[inline(always)]
    pub(super) fn flip(&mut self, right: usize, scale: Scale) -> bool {
        let (word, bit) = self.bit(right, scale);
        // SAFETY: `right` lies between `first` and `end`, so the word is one of the chunk's bitmap.
        unsafe {
            let flipped = word.read() ^ bit;
            word.write(flipped);
            flipped & bit != 0
        }
    }

    /// Whether exactly one half is free of the pair whose right half is at `right`, which lies in the chunk.
    #[inline(always)]
    pub(super) fn one_is_free(&self, right: usize, scale: Scale) -> bool {
        let (word, bit) = self.bit(right, scale);
        // SAFETY: as in `flip`.
        unsafe { word.read() & bit != 0 }
    }

    /// How many pairs have exactly one free half.
    pub(super) fn pairs_with_one_free(&self, scale: Scale) -> usize {
        let words = scale.count(self.room()).div_ceil(BITS);
        // SAFETY: as in `clear`.
        let word = |index| unsafe { recover::<usize>(self.end).add(index).read() };
        (0..words).map(|index| word(index).count_ones() as usize).sum()
    }

    /// The largest blocks that tile the chunk, each with its order: what is free when nothing is live. At most two of
    /// each order but the highest.
    pub(super) fn pieces(&self, scale: Scale) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (mut at, end) = (self.first, self.end);
        core::iter::from_fn(move || {
            let piece = (at, scale.largest_between(at, end)?);
            at += scale.size(piece.1);
            Some(piece)
        })
    }
}

#[cfg(test)]
impl Footer {
    /// The description of a chunk of so many blocks of 16 bytes that nobody looks into.
    pub(super) fn of(start: usize, blocks: usize) -> Self {
        let (end, size) = (start + 16 * blocks, 16 * blocks + 8);
        let mut footer =
            Self { first: start, end, free: 0, start, lower: 0, higher: 0, size, align_log2: 4, checksum: 0 };
        footer.seal();
        footer
    }
}
