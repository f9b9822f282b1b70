//! Models of the tagged list, sound and broken.

use std::vec::Vec;

use super::Cells;
use crate::{
    base::atomic::{
        AtomicU32, Ordering,
        model::{Arc, check, thread},
    },
    share::lock_free::list::{Links, List, NONE, Sound, Terms},
};

const BLOCKS: usize = 3;

/// A list of all of a few blocks, whose contents the model checker watches.
struct Shared<T> {
    list: List<T>,
    links: [AtomicU32; BLOCKS],
    blocks: Cells<BLOCKS>,
}

impl Links for [AtomicU32; BLOCKS] {
    fn link(&self, number: u32) -> &AtomicU32 {
        &self[number as usize]
    }
}

impl<T: Terms + 'static> Shared<T> {
    /// All blocks are free, and the first is the head.
    fn new() -> Arc<Self> {
        let shared =
            Self { list: List::new(), links: [const { AtomicU32::new(NONE) }; BLOCKS], blocks: Cells::new() };
        for number in (0..BLOCKS as u32).rev() {
            shared.write(number);
            shared.put(number);
        }
        Arc::new(shared)
    }

    /// Takes a block and writes to it.
    fn take(&self) -> Option<u32> {
        let number = self.list.take(&self.links, Some)?;
        self.write(number);
        Some(number)
    }

    fn put(&self, number: u32) {
        self.write(number);
        self.list.put(&self.links, number);
    }

    fn write(&self, number: u32) {
        self.blocks.touch(number as usize);
    }

    /// Every block but those that are `held` is in the list once.
    fn expect_whole(&self, held: &[u32]) {
        let mut seen: Vec<u32> =
            self.list.walk(&self.links).take(BLOCKS + 1).chain(held.iter().copied()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..BLOCKS as u32).collect::<Vec<_>>(), "a block is lost, or there twice");
    }
}

/// The sequence that deceives a list without tags: one thread takes two blocks and puts the first back, while the other is
/// about to take the first. Each removal moves the tag, so here it moves by two.
fn two_out_one_back<T: Terms + 'static>(preemptions: usize) {
    check(preemptions, || {
        let shared = Shared::<T>::new();
        let other = Arc::clone(&shared);
        let other = thread::spawn(move || other.take());
        let (first, second) = (shared.take(), shared.take());
        let first = first.expect("there are three blocks, and one is taken elsewhere");
        shared.put(first);
        let held = [second, other.join().expect("no panic")];
        shared.expect_whole(&held.into_iter().flatten().collect::<Vec<_>>());
    });
}

/// Three threads, of which each takes a block and puts it back; one does so twice.
fn in_and_out<T: Terms + 'static>(preemptions: usize) {
    check(preemptions, || {
        let shared = Shared::<T>::new();
        let in_and_out = |times: usize| {
            let shared = Arc::clone(&shared);
            move || {
                for _ in 0..times {
                    let number = shared.take().expect("there are as many blocks as threads");
                    shared.put(number);
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

/// One thread takes many and puts them back as one chain, the other takes one by one.
fn many_and_one<T: Terms + 'static>(preemptions: usize) {
    check(preemptions, || {
        let shared = Shared::<T>::new();
        let other = Arc::clone(&shared);
        let other = thread::spawn(move || {
            let taken = [other.take(), other.take()];
            taken.into_iter().flatten().for_each(|number| other.put(number));
        });
        let mut taken = [NONE; 2];
        let count = shared.list.take_many(&shared.links, 2, |i, number| taken[i] = number);
        taken[..count].iter().for_each(|&number| shared.write(number));
        if let [front, back] = taken[..count] {
            shared.links.link(front).store(back, Ordering::Relaxed);
            shared.list.put_chain(&shared.links, front, back);
        } else {
            taken[..count].iter().for_each(|&number| shared.put(number));
        }
        other.join().expect("no panic");
        shared.expect_whole(&[]);
    });
}

/// Terms that differ from the sound ones.
macro_rules! terms {
    ($name:ident, $bits:expr, $take:ident, $put:ident) => {
        pub(super) struct $name;

        impl Terms for $name {
            const TAG_BITS: u32 = $bits;
            const TAKE: Ordering = Ordering::$take;
            const PUT: Ordering = Ordering::$put;
        }
    };
}

terms!(TwoBits, 2, Acquire, Release);
terms!(OneBit, 1, Acquire, Release);
terms!(NoTag, 0, Acquire, Release);
#[cfg(loom)]
terms!(TakesBlindly, Sound::TAG_BITS, Relaxed, Release);
#[cfg(loom)]
terms!(PutsBlindly, Sound::TAG_BITS, Acquire, Relaxed);

/// Looks and then writes, where one step is called for.
pub(super) struct InTwoSteps;

impl Terms for InTwoSteps {
    const TAG_BITS: u32 = Sound::TAG_BITS;
    const TAKE: Ordering = Sound::TAKE;
    const PUT: Ordering = Sound::PUT;
    const ONCE: bool = false;
}

#[test]
fn two_out_one_back_with_a_tag() {
    two_out_one_back::<Sound>(3);
}

#[test]
fn in_and_out_with_a_tag() {
    in_and_out::<Sound>(2);
}

#[test]
fn many_and_one_with_a_tag() {
    many_and_one::<Sound>(3);
}

/// Four and more removals: the tag wraps around, and is long enough for what a thread can miss here.
#[test]
fn a_tag_that_wraps_around_is_sound_while_it_is_long_enough() {
    two_out_one_back::<TwoBits>(3);
    in_and_out::<TwoBits>(2);
}

/// Two removals bring a tag of one bit back to where it was, as 2³² do with the real one.
#[test]
#[should_panic]
fn a_tag_that_comes_back_is_caught() {
    two_out_one_back::<OneBit>(3);
}

#[test]
#[should_panic]
fn a_list_without_tags_is_caught() {
    two_out_one_back::<NoTag>(3);
}

#[test]
#[should_panic]
fn taking_many_without_tags_is_caught() {
    many_and_one::<NoTag>(3);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn taking_without_acquire_is_caught() {
    in_and_out::<TakesBlindly>(2);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn putting_without_release_is_caught() {
    in_and_out::<PutsBlindly>(2);
}
