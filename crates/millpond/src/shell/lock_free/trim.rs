//! Returning blocks to the parent while others are at work.
//!
//! The blocks of a segment can go when all that were ever handed out are in one hand, and no other one can be handed out. So a
//! trim takes all free blocks at once, and sorts them: by segment those that may go, the others back to the list, a few at a time,
//! for others to find. Then it closes each segment of which it has everything; a block that was claimed meanwhile keeps its segment.
//! A thread that was stopped while it took a block may wake up to a list that has changed, as it may at any time: the tag has
//! moved, the link that it reads is where it was, and the block it would have had is not touched.
//!
//! Which segments may go is estimated first, by a walk that changes nothing. So while nothing is to be had, nobody is disturbed.

use core::ptr::NonNull;

use super::segments::Segments;
use crate::{
    base::atomic::Ordering,
    sync::{
        ordering::Orderings,
        treiber_stack::{INDEX_BITS, LinkTable, NIL, TreiberStack, follow},
    },
};

/// Which segments may go.
type Which = [bool; INDEX_BITS as usize];

/// So many blocks are put back to the list at once.
const CHUNKS_AT_ONCE: u32 = 256;

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

/// The segments of which all blocks seem to be free; `None` if there are none, or the list cannot be followed to its end.
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

/// Takes the blocks of these segments away, as far as all of them are free, and gives each chunk to `return_chunk`; says how many
/// bytes that were. There is one at a time who does this.
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

/// Takes all blocks off the list and puts back what is not in these segments. What is left is in a hand for each of them.
fn sort<T: Orderings>(
    list: &TreiberStack<T>,
    segments: &Segments<T>,
    which: &Which,
) -> [Hand; INDEX_BITS as usize] {
    let mut hands = [Hand::EMPTY; INDEX_BITS as usize];
    let mut others = Hand::EMPTY;
    let mut next = list.take_all();
    // After blocks that were freed twice the list has no end.
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
            if others.count == CHUNKS_AT_ONCE {
                others.push(list, segments);
            }
        }
    }
    others.push(list, segments);
    hands
}

/// How many blocks were handed out.
fn blocks<T: Orderings>(segments: &Segments<T>) -> usize {
    segments.iter().enumerate().map(|(index, segment)| segments.had(index).min(segment.count) as usize).sum()
}
