//! Comparing erased blocks with zero.

use crate::base::address::{WORD, recover};

/// Returns whether every byte of a block is zero.
///
/// # Safety
///
/// The block is free and belongs to the pool; its size is a multiple of that of a word.
#[inline(always)]
pub(super) unsafe fn is_zero(block: usize, size: usize) -> bool {
    // SAFETY: the caller guarantees that the words are those of a free block.
    let words = (0..size / WORD).map(|at| unsafe { recover::<usize>(block).add(at).read() });
    words.fold(0, |all, word| all | word) == 0
}

/// Returns the offset of the first byte that is not zero, or zero if all are.
///
/// # Safety
///
/// As for [`is_zero`].
pub(super) unsafe fn first_byte_set(block: usize, size: usize) -> usize {
    // SAFETY: the caller guarantees that the bytes are those of a free block.
    (0..size).find(|&at| unsafe { recover::<u8>(block).add(at).read() } != 0).unwrap_or(0)
}
