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

use super::{
    list::{HALF, Links, List, NONE, Terms, follow},
    segments::Segments,
};
use crate::base::atomic::Ordering;

/// Which segments may go.
type Which = [bool; HALF as usize];

/// So many blocks are put back to the list at once.
const AT_ONCE: u32 = 256;

/// Blocks that were taken off the list, linked from the first to the last.
#[derive(Clone, Copy)]
struct Hand {
    front: u32,
    back: u32,
    count: u32,
}

impl Hand {
    const EMPTY: Self = Self { front: NONE, back: NONE, count: 0 };

    fn add(&mut self, links: &impl Links, number: u32) {
        if self.count == 0 {
            self.front = number;
        } else {
            links.link(self.back).store(number, Ordering::Relaxed);
        }
        self.back = number;
        self.count += 1;
    }

    fn put<T: Terms>(&mut self, list: &List<T>, links: &impl Links) {
        if self.count != 0 {
            list.put_chain(links, self.front, self.back);
        }
        *self = Self::EMPTY;
    }
}

/// The segments of which all blocks seem to be free; `None` if there are none, or the list cannot be followed to its end.
pub(super) fn candidates<T: Terms>(list: &List<T>, segments: &Segments<T>) -> Option<Which> {
    let mut free = [0; HALF as usize];
    let mut left = blocks(segments);
    let mut next = list.first();
    while let Some(number) = next {
        left = left.checked_sub(1)?;
        free[segments.index_of(number)?] += 1;
        next = follow(segments, number);
    }
    let mut which = [false; HALF as usize];
    for (index, segment) in segments.iter().enumerate() {
        which[index] = segment.may_go() && free[index] >= segments.had(index);
    }
    which.contains(&true).then_some(which)
}

/// Takes the blocks of these segments away, as far as all of them are free, and gives each chunk to `give_back`; says how many
/// bytes that were. There is one at a time who does this.
pub(super) fn dismiss<T: Terms>(
    list: &List<T>,
    segments: &Segments<T>,
    which: &Which,
    mut give_back: impl FnMut(NonNull<[u8]>),
) -> usize {
    let mut hands = sort(list, segments, which);
    let mut returned = 0;
    for index in (0..HALF as usize).filter(|&index| which[index]) {
        match segments.dismiss(index, hands[index].count) {
            Some(blocks) => {
                returned += blocks.len();
                give_back(blocks);
            }
            None => hands[index].put(list, segments),
        }
    }
    returned
}

/// Takes all blocks off the list and puts back what is not in these segments. What is left is in a hand for each of them.
fn sort<T: Terms>(list: &List<T>, segments: &Segments<T>, which: &Which) -> [Hand; HALF as usize] {
    let mut hands = [Hand::EMPTY; HALF as usize];
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
            if others.count == AT_ONCE {
                others.put(list, segments);
            }
        }
    }
    others.put(list, segments);
    hands
}

/// How many blocks were handed out.
fn blocks<T: Terms>(segments: &Segments<T>) -> usize {
    segments.iter().enumerate().map(|(index, segment)| segments.had(index).min(segment.count) as usize).sum()
}
