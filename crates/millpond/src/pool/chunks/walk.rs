//! Following links through free blocks that somebody may have overwritten.
//!
//! A free block is its holder's no more, but a holder that is in the wrong may still write to it; and so may a neighbour
//! that writes past its end. So what is asked of a pool off the hot path tests each address before it is followed, and
//! counts its steps: a chain that was overwritten ends early.

use crate::base::address::recover;

/// The blocks of a chain, as far as it is whole: each begins with the address of the next one, the last with zero. It ends
/// at an address of which `is_block` is false, and after `most` blocks.
pub(in crate::pool) fn walk(
    first: usize,
    most: usize,
    mut is_block: impl FnMut(usize) -> bool,
) -> impl Iterator<Item = usize> {
    let mut next = first;
    core::iter::from_fn(move || {
        let block = Some(next).filter(|&block| block != 0 && is_block(block))?;
        // SAFETY: a block lies there, so a word may be read, whatever it is.
        next = unsafe { recover::<usize>(block).read() };
        Some(block)
    })
    .take(most)
}

/// How many blocks a chain has; none if it leads to what is no block, or to more than `most` of them. One that ends leads
/// to no block twice.
pub(in crate::pool) fn walk_whole(
    first: usize,
    most: usize,
    mut is_block: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let (mut next, mut count) = (first, 0);
    while next != 0 {
        if count == most || !is_block(next) {
            return None;
        }
        // SAFETY: as in `walk`.
        next = unsafe { recover::<usize>(next).read() };
        count += 1;
    }
    Some(count)
}
