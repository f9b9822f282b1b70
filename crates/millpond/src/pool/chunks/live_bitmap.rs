//! A bit per block at the end of a chunk, for pools that need them.

use super::Span;
use crate::base::address::{WORD, recover};

/// The number of bits in a word.
const BITS: usize = usize::BITS as usize;

/// Returns how many bytes blocks of `size` bytes each and their bits take together, where `blocks` is the total size of
/// the blocks alone; `None` if that exceeds the address space. If there are no bits, `size` is zero.
pub(super) const fn with_bitmap(blocks: usize, size: usize) -> Option<usize> {
    let Some(count) = blocks.checked_div(size) else { return Some(blocks) };
    blocks.checked_add(count.div_ceil(BITS) * WORD)
}

/// Returns how many of `bytes` bytes blocks can have if they share them with their bits.
pub(super) const fn without_bitmap(bytes: usize, size: usize) -> usize {
    if size == 0 {
        return bytes;
    }
    let word_and_blocks = size.saturating_mul(BITS).saturating_add(WORD);
    let remainder = (bytes % word_and_blocks).saturating_sub(WORD) / size;
    (bytes / word_and_blocks * BITS + remainder) * size
}

/// The bits of a chunk, which begin where its blocks end.
#[derive(Clone, Copy)]
pub(in crate::pool) struct LiveBitmap(Span);

impl LiveBitmap {
    /// Returns the bits behind the blocks of `span`, in a pool that has bits.
    #[inline(always)]
    pub(in crate::pool) fn of(span: Span) -> Self {
        Self(span)
    }

    /// Returns the word and the bit of the block with this number.
    #[inline(always)]
    pub(in crate::pool) fn bit(self, number: usize) -> (*mut usize, usize) {
        (recover(self.0.end + number / BITS * WORD), 1 << (number % BITS))
    }

    fn words(self, size: usize) -> usize {
        ((self.0.end - self.0.start) / size).div_ceil(BITS)
    }

    /// Clears all bits.
    ///
    /// # Safety
    ///
    /// The chunk belongs to the pool.
    pub(super) unsafe fn clear(self, size: usize) {
        // SAFETY: `words(size)` words lie behind the blocks.
        unsafe { recover::<usize>(self.0.end).write_bytes(0, self.words(size)) };
    }

    /// Returns the blocks of `size` bytes whose bit is set, ascending. A bit without a block, which can only be set in
    /// an overwritten word, is skipped.
    pub(in crate::pool) fn set(self, size: usize) -> impl Iterator<Item = usize> {
        let blocks = (0..self.words(size)).flat_map(move |index| {
            // SAFETY: `words(size)` words lie behind the blocks, and they were cleared when the chunk was added.
            let mut bits: usize = unsafe { recover::<usize>(self.0.end + index * WORD).read() };
            core::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(self.0.start + (index * BITS + bit) * size)
            })
        });
        blocks.filter(move |&block| block < self.0.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_bits_fill_the_chunk() {
        for size in [8, 24, 64, 1000] {
            for blocks in 0..300 {
                let bytes = with_bitmap(blocks * size, size).expect("small numbers");
                assert_eq!(without_bitmap(bytes, size), blocks * size, "{blocks} blocks of {size}");
                for less in 1..=bytes.min(20) {
                    let room = without_bitmap(bytes - less, size);
                    assert!(with_bitmap(room, size).is_some_and(|all| all <= bytes - less));
                    assert!(with_bitmap(room + size, size).is_some_and(|all| all > bytes - less));
                }
            }
        }
        assert_eq!((with_bitmap(77, 0), without_bitmap(77, 0)), (Some(77), 77));
    }
}
