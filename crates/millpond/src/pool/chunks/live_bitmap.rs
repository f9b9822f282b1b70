//! A bit per block at the end of a chunk, where a pool wants them.

use super::Span;
use crate::base::address::{WORD, recover};

/// How many bits a word has.
const BITS: usize = usize::BITS as usize;

/// The bytes that blocks of `size` bytes each and their bits take together, `blocks` being the bytes of the blocks alone;
/// none beyond all memory. Without bits, `size` is zero.
pub(super) const fn with_bitmap(blocks: usize, size: usize) -> Option<usize> {
    let Some(count) = blocks.checked_div(size) else { return Some(blocks) };
    blocks.checked_add(count.div_ceil(BITS) * WORD)
}

/// The bytes that blocks can have of so many that they share with their bits.
pub(super) const fn without_bitmap(bytes: usize, size: usize) -> usize {
    if size == 0 {
        return bytes;
    }
    let word_and_blocks = size.saturating_mul(BITS).saturating_add(WORD);
    let remainder = (bytes % word_and_blocks).saturating_sub(WORD) / size;
    (bytes / word_and_blocks * BITS + remainder) * size
}

/// The bits of a chunk: they begin where its blocks end.
#[derive(Clone, Copy)]
pub(in crate::pool) struct LiveBitmap(Span);

impl LiveBitmap {
    /// Those behind the blocks of `span`, in a pool that keeps them.
    #[inline(always)]
    pub(in crate::pool) fn of(span: Span) -> Self {
        Self(span)
    }

    /// The word and the bit of the block with this number.
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
    /// The chunk is the pool's.
    pub(super) unsafe fn clear(self, size: usize) {
        // SAFETY: there are so many words behind the blocks.
        unsafe { recover::<usize>(self.0.end).write_bytes(0, self.words(size)) };
    }

    /// The blocks of `size` bytes whose bit is set, ascending. A bit that is no block's, which only an overwritten word has
    /// set, is left out.
    pub(in crate::pool) fn set(self, size: usize) -> impl Iterator<Item = usize> {
        let blocks = (0..self.words(size)).flat_map(move |index| {
            // SAFETY: there are so many words behind the blocks, and they were cleared when the chunk came.
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
    fn blocks_and_bits_share_the_bytes_to_the_last() {
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
