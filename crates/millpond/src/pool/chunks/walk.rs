//! Following links through free blocks that somebody may have overwritten.
//!
//! A free block is its holder's no more, but a holder that is in the wrong may still write to it; and so may a neighbour
//! that writes past its end. So what is asked of a pool off the hot path tests each address before it is followed, and
//! counts its steps: a chain that was overwritten ends early.

use crate::base::address::recover;

/// The blocks of a chain, as far as it is whole: each begins with the address of the next one, the last with zero. It ends
/// at an address of which `is_block` is false, and after `most` blocks.
pub(in crate::pool) struct Walk<F> {
    next: usize,
    left: usize,
    is_block: F,
}

impl<F: FnMut(usize) -> bool> Walk<F> {
    pub(in crate::pool) fn new(first: usize, most: usize, is_block: F) -> Self {
        Self { next: first, left: most, is_block }
    }

    /// Whether the chain has come to its end. If not, it leads to what is no block, or to some block twice.
    pub(in crate::pool) fn has_ended(&self) -> bool {
        self.next == 0
    }

    /// Whether all that is left of the chain is whole.
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
        // SAFETY: a block lies there, so a word may be read, whatever it is.
        self.next = unsafe { recover::<usize>(block).read() };
        Some(block)
    }
}
