//! Following links through free blocks that may have been overwritten.
//!
//! A free block may still be written to by a program with a use-after-free error, or by a write past the end of an
//! adjacent block. Functions of a pool off the hot path therefore check each address before they follow it, and count
//! their steps: a chain that was overwritten ends early.

use crate::base::address::recover;

/// The blocks of a chain, as far as it is intact: each begins with the address of the next one, the last with zero. It
/// ends at an address for which `is_block` returns false, and after `most` blocks.
pub(in crate::pool) struct Walk<F> {
    next: usize,
    left: usize,
    is_block: F,
}

impl<F: FnMut(usize) -> bool> Walk<F> {
    pub(in crate::pool) fn new(first: usize, most: usize, is_block: F) -> Self {
        Self { next: first, left: most, is_block }
    }

    /// Returns whether the end of the chain was reached. If not, the chain leads to an address that is not a block, or
    /// visits a block twice.
    pub(in crate::pool) fn has_ended(&self) -> bool {
        self.next == 0
    }

    /// Returns whether the rest of the chain is intact.
    pub(in crate::pool) fn reaches_its_end(mut self) -> bool {
        self.by_ref().for_each(drop);
        self.has_ended()
    }
}

impl<F: FnMut(usize) -> bool> Iterator for Walk<F> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let block = self.next;
        if block == 0 || self.left == 0 || !(self.is_block)(block) {
            return None;
        }
        self.left -= 1;
        // SAFETY: a block lies there, so a word may be read, which may have any value.
        self.next = unsafe { recover::<usize>(block).read() };
        Some(block)
    }
}
