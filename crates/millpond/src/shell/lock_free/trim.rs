//! Returning blocks to the parent while other threads use the pool.
//!
//! The blocks of a segment can be returned if all that were ever handed out are held by the trim, and no other one can
//! be handed out. A trim therefore takes all free blocks at once and sorts them: those that may be returned by segment,
//! the others back to the list, a few at a time, so that other threads find them. Then it closes each segment of which
//! it holds all blocks; a block that was claimed meanwhile keeps its segment. A thread that was stopped while it popped
//! a block may resume with a list that has changed, as it may at any time: the tag has changed, the link that it reads
//! is where it was, and the block it would have popped is not accessed.
//!
//! Which segments may be returned is first estimated by a walk that changes nothing. As long as there is nothing to
//! return, other threads are not disturbed.

use core::ptr::NonNull;

use super::segments::Segments;
use crate::{
    base::atomic::Ordering,
    sync::{
        ordering::Orderings,
        treiber_stack::{INDEX_BITS, LinkTable, NIL, TreiberStack, follow},
    },
};

/// Which segments may be returned.
type Which = [bool; INDEX_BITS as usize];

/// Number of blocks that are put back to the list at once.
const BLOCKS_AT_ONCE: u32 = 256;

/// Blocks that were taken off the list, linked from the first to the last.
#[derive(Clone, Copy)]
struct Hand {
    front: u32,
    back: u32,
    count: u32,
}

impl Hand {
    const EMPTY: Self = Self { front: NIL, back: NIL, count: 0 };

    fn add(&mut self, links: &impl LinkTable, number: u32) {
        if self.count == 0 {
            self.front = number;
        } else {
            links.link(self.back).store(number, Ordering::Relaxed);
        }
        self.back = number;
        self.count += 1;
    }

    fn push<T: Orderings>(&mut self, list: &TreiberStack<T>, links: &impl LinkTable) {
        if self.count != 0 {
            list.push_chain(links, self.front, self.back);
        }
        *self = Self::EMPTY;
    }
}

/// Returns the segments of which all blocks seem to be free; `None` if there are none, or if the list cannot be
/// followed to its end.
pub(super) fn candidates<T: Orderings>(list: &TreiberStack<T>, segments: &Segments<T>) -> Option<Which> {
    let mut free = [0; INDEX_BITS as usize];
    let mut left = blocks(segments);
    let mut next = list.first();
    while let Some(number) = next {
        left = left.checked_sub(1)?;
        free[segments.index_of(number)?] += 1;
        next = follow(segments, number);
    }
    let mut which = [false; INDEX_BITS as usize];
    for (index, segment) in segments.iter().enumerate() {
        which[index] = segment.may_go() && free[index] >= segments.had(index);
    }
    which.contains(&true).then_some(which)
}

/// Takes away the blocks of these segments if all of them are free, and passes each chunk to `return_chunk`; returns
/// their total size in bytes. Only one thread at a time does this.
pub(super) fn dismiss<T: Orderings>(
    list: &TreiberStack<T>,
    segments: &Segments<T>,
    which: &Which,
    mut return_chunk: impl FnMut(NonNull<[u8]>),
) -> usize {
    let mut hands = sort(list, segments, which);
    let mut returned = 0;
    for index in (0..INDEX_BITS as usize).filter(|&index| which[index]) {
        match segments.dismiss(index, hands[index].count) {
            Some(blocks) => {
                returned += blocks.len();
                return_chunk(blocks);
            }
            None => hands[index].push(list, segments),
        }
    }
    returned
}

/// Takes all blocks off the list and puts back those that are not in these segments. The others end up in a hand per
/// segment.
fn sort<T: Orderings>(
    list: &TreiberStack<T>,
    segments: &Segments<T>,
    which: &Which,
) -> [Hand; INDEX_BITS as usize] {
    let mut hands = [Hand::EMPTY; INDEX_BITS as usize];
    let mut others = Hand::EMPTY;
    let mut next = list.take_all();
    // If blocks were freed twice, the list has no end.
    let mut left = blocks(segments);
    while let Some(number) = next
        && let Some(index) = segments.index_of(number)
        && left != 0
    {
        left -= 1;
        next = follow(segments, number);
        if which[index] {
            hands[index].add(segments, number);
        } else {
            others.add(segments, number);
            if others.count == BLOCKS_AT_ONCE {
                others.push(list, segments);
            }
        }
    }
    others.push(list, segments);
    hands
}

/// Returns the number of blocks that were handed out.
fn blocks<T: Orderings>(segments: &Segments<T>) -> usize {
    segments.iter().enumerate().map(|(index, segment)| segments.had(index).min(segment.count) as usize).sum()
}
