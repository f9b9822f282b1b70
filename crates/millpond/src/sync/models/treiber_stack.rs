//! Models of the tagged list, sound and broken.

use std::vec::Vec;

use super::Cells;
#[cfg(loom)]
use crate::sync::ordering::{BrokenAcquire, BrokenRelease};
use crate::{
    base::atomic::{
        AtomicU32, Ordering,
        model::{Arc, check, thread},
    },
    sync::{
        ordering::{BrokenNoTag, BrokenOneBitTag, Correct, Orderings, TwoBitTag},
        treiber_stack::{LinkTable, NIL, TreiberStack},
    },
};

const BLOCKS: usize = 3;

/// A list of all of a few blocks, whose contents the model checker watches.
struct Shared<T> {
    list: TreiberStack<T>,
    links: [AtomicU32; BLOCKS],
    blocks: Cells<BLOCKS>,
}

impl LinkTable for [AtomicU32; BLOCKS] {
    fn link(&self, index: u32) -> &AtomicU32 {
        &self[index as usize]
    }
}

impl<T: Orderings + 'static> Shared<T> {
    /// Creates a list in which all blocks are free.
    fn new() -> Arc<Self> {
        let shared = Self {
            list: TreiberStack::new(),
            links: [const { AtomicU32::new(NIL) }; BLOCKS],
            blocks: Cells::new(),
        };
        for index in (0..BLOCKS as u32).rev() {
            shared.write(index);
            shared.push(index);
        }
        Arc::new(shared)
    }

    /// Pops a block and writes to it.
    fn pop(&self) -> Option<u32> {
        let index = self.list.pop(&self.links, Some)?;
        self.write(index);
        Some(index)
    }

    fn push(&self, index: u32) {
        self.write(index);
        self.list.push(&self.links, index);
    }

    fn write(&self, index: u32) {
        self.blocks.touch(index as usize);
    }

    /// Checks that every block except those in `held` is in the list once.
    fn expect_whole(&self, held: &[u32]) {
        let mut seen: Vec<u32> =
            self.list.walk(&self.links).take(BLOCKS + 1).chain(held.iter().copied()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..BLOCKS as u32).collect::<Vec<_>>(), "a block is lost or duplicated");
    }
}

/// The sequence that deceives a list without tags: one thread pops two blocks and pushes the first back, while the
/// other is about to pop the first. Each removal changes the tag, so here it changes twice.
fn two_out_one_back<T: Orderings + 'static>(preemptions: usize) {
    check(preemptions, || {
        let shared = Shared::<T>::new();
        let other = Arc::clone(&shared);
        let other = thread::spawn(move || other.pop());
        let (first, second) = (shared.pop(), shared.pop());
        let first = first.expect("there are three blocks, and one is taken elsewhere");
        shared.push(first);
        let held = [second, other.join().expect("no panic")];
        shared.expect_whole(&held.into_iter().flatten().collect::<Vec<_>>());
    });
}

/// Three threads each pop a block and push it back; one does so twice.
fn in_and_out<T: Orderings + 'static>(preemptions: usize) {
    check(preemptions, || {
        let shared = Shared::<T>::new();
        let in_and_out = |times: usize| {
            let shared = Arc::clone(&shared);
            move || {
                for _ in 0..times {
                    let index = shared.pop().expect("there are as many blocks as threads");
                    shared.push(index);
                }
            }
        };
        let others = [1, 1].map(|times| thread::spawn(in_and_out(times)));
        in_and_out(2)();
        for other in others {
            other.join().expect("no panic");
        }
        shared.expect_whole(&[]);
    });
}

/// One thread pops many blocks and pushes them back as one chain, the other pops one at a time.
fn many_and_one<T: Orderings + 'static>(preemptions: usize) {
    check(preemptions, || {
        let shared = Shared::<T>::new();
        let other = Arc::clone(&shared);
        let other = thread::spawn(move || {
            let taken = [other.pop(), other.pop()];
            taken.into_iter().flatten().for_each(|index| other.push(index));
        });
        let mut taken = [NIL; 2];
        let count = shared.list.pop_many(&shared.links, 2, |i, index| taken[i] = index);
        taken[..count].iter().for_each(|&index| shared.write(index));
        if let [front, back] = taken[..count] {
            shared.links.link(front).store(back, Ordering::Relaxed);
            shared.list.push_chain(&shared.links, front, back);
        } else {
            taken[..count].iter().for_each(|&index| shared.push(index));
        }
        other.join().expect("no panic");
        shared.expect_whole(&[]);
    });
}

#[test]
fn pop_two_push_one_with_a_tag() {
    two_out_one_back::<Correct>(3);
}

#[test]
fn pop_and_push_with_a_tag() {
    in_and_out::<Correct>(2);
}

#[test]
fn chain_and_single_blocks_with_a_tag() {
    many_and_one::<Correct>(3);
}

/// Four or more removals: the tag wraps around, and is long enough for what a thread can miss here.
#[test]
fn long_enough_tag_may_wrap_around() {
    two_out_one_back::<TwoBitTag>(3);
    in_and_out::<TwoBitTag>(2);
}

/// Two removals restore a tag of one bit, as 2³² do with the real one.
#[test]
#[should_panic]
fn repeated_tag_is_caught() {
    two_out_one_back::<BrokenOneBitTag>(3);
}

#[test]
#[should_panic]
fn list_without_tags_is_caught() {
    two_out_one_back::<BrokenNoTag>(3);
}

#[test]
#[should_panic]
fn popping_many_without_tags_is_caught() {
    many_and_one::<BrokenNoTag>(3);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn popping_without_acquire_is_caught() {
    in_and_out::<BrokenAcquire>(2);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn pushing_without_release_is_caught() {
    in_and_out::<BrokenRelease>(2);
}
