//! The end of a chunk of a [`Buddy`](super::Buddy): the states of its pairs, and the description of the chunk.
//!
//! ```text
//! chunk: [ blocks, from `first` to `end` | one bit per least block | Footer ]
//! ```
//!
//! Two buddies share one bit, which is set while exactly one of them is free. The pairs of all orders share one bitmap
//! without tables: the bit of a pair is that of the least block with which its right half begins, and no two pairs, of
//! any order, have this block in common.

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
/// * `first` and `end` are multiples of the least block, and everything between them consists of blocks.
/// * `free` is the sum of the sizes of the free blocks, in bytes.
/// * `lower` and `higher` are addresses of footers in the [`FooterTree`](super::footer_tree::FooterTree), or zero.
/// * `checksum` is that of everything except `free`: a write past the end of the last block overwrites the footer.
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
    /// Updates the checksum, which includes the links.
    pub(super) fn seal(&mut self) {
        self.checksum = self.sum();
    }

    /// Returns whether the checksum is right, and at most the whole chunk is free.
    pub(super) fn is_sound(&self) -> bool {
        self.checksum == self.sum() && self.free <= self.end - self.first
    }

    fn sum(&self) -> u32 {
        let Self { first, end, start, lower, higher, size, align_log2, .. } = *self;
        let words = [first, end, start, lower, higher, size, align_log2 as usize];
        chunks::checksum(&words)
    }

    /// Returns how many bytes a chunk needs in addition to `blocks` bytes of blocks, if the blocks begin where the
    /// chunk begins.
    pub(super) const fn overhead(blocks: usize, scale: Scale) -> usize {
        size_of::<Self>() + scale.count(blocks).div_ceil(BITS) * WORD
    }

    /// Writes the footer of a chunk without free blocks, and returns its address; `None` if there is no room for one
    /// least block.
    ///
    /// # Safety
    ///
    /// The chunk belongs to this pool alone.
    pub(super) unsafe fn write(chunk: &Chunk, scale: Scale) -> Option<usize> {
        let (start, size) = (expose(chunk.start()), chunk.size());
        let least = scale.least();
        let first = align_up(start, least);
        let footer = (start + size).checked_sub(size_of::<Self>())? & !(align_of::<Self>() - 1);
        let room = footer.checked_sub(first)?;
        // Groups of a word of bits and the blocks that it describes; then the rest, if it has room for one more word.
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
        // SAFETY: the address lies in the chunk, behind its blocks and their bits, and is aligned.
        unsafe { recover::<Self>(footer).write(this) };
        // SAFETY: the footer was just written.
        unsafe { (*recover::<Self>(footer)).clear(scale) };
        Some(footer)
    }

    /// Returns the chunk as it was added.
    pub(super) fn chunk(&self) -> Option<Chunk> {
        let start = core::ptr::NonNull::new(recover::<u8>(self.start))?;
        let memory = core::ptr::NonNull::slice_from_raw_parts(start, self.size);
        // SAFETY: this is the chunk that was added, and the caller removes it from the pool.
        unsafe { Chunk::new(memory, 1 << self.align_log2) }
    }

    /// Returns the number of bytes of blocks.
    pub(super) fn room(&self) -> usize {
        self.end - self.first
    }

    /// Marks no block as free.
    pub(super) fn clear(&mut self, scale: Scale) {
        self.free = 0;
        let words = scale.count(self.room()).div_ceil(BITS);
        // SAFETY: the bits of the chunk's blocks lie behind the blocks and belong to the pool.
        unsafe { recover::<usize>(self.end).write_bytes(0, words) };
    }

    /// Returns the word with the bit of the pair whose right half is at `right`, and the bit.
    #[inline(always)]
    fn bit(&self, right: usize, scale: Scale) -> (*mut usize, usize) {
        let index = scale.count(right - self.first);
        (recover(self.end + index / BITS * WORD), 1 << (index % BITS))
    }

    /// Flips the state of the pair whose right half is at `right`, which lies in the chunk; returns the new state.
    #[inline(always)]
    pub(super) fn flip(&mut self, right: usize, scale: Scale) -> bool {
        let (word, bit) = self.bit(right, scale);
        // SAFETY: `right` lies between `first` and `end`, so the word is part of the chunk's bitmap.
        unsafe {
            let flipped = word.read() ^ bit;
            word.write(flipped);
            flipped & bit != 0
        }
    }

    /// Returns whether exactly one half is free of the pair whose right half is at `right`, which lies in the chunk.
    #[inline(always)]
    pub(super) fn one_is_free(&self, right: usize, scale: Scale) -> bool {
        let (word, bit) = self.bit(right, scale);
        // SAFETY: as in `flip`.
        unsafe { word.read() & bit != 0 }
    }

    /// Returns how many pairs have exactly one free half.
    pub(super) fn pairs_with_one_free(&self, scale: Scale) -> usize {
        let words = scale.count(self.room()).div_ceil(BITS);
        // SAFETY: as in `clear`.
        let word = |index| unsafe { recover::<usize>(self.end).add(index).read() };
        (0..words).map(|index| word(index).count_ones() as usize).sum()
    }

    /// Returns the largest blocks that tile the chunk, each with its order: the free blocks if nothing is live. There
    /// are at most two of each order except the highest.
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
    /// Creates the description of a chunk of `blocks` blocks of 16 bytes, which are never accessed.
    pub(super) fn of(start: usize, blocks: usize) -> Self {
        let (end, size) = (start + 16 * blocks, 16 * blocks + 8);
        let mut footer =
            Self { first: start, end, free: 0, start, lower: 0, higher: 0, size, align_log2: 4, checksum: 0 };
        footer.seal();
        footer
    }
}
