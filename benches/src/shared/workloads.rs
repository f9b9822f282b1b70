//! The workloads of threads: pairs, handing over, replacing, bursts.

use std::{
    hint::{black_box, spin_loop},
    sync::atomic::{AtomicPtr, Ordering},
};

use super::{Clock, Sharer};
use crate::random::Random;

/// A workload with a contender that the threads share.
pub trait Workload: Send + Sync + 'static {
    fn new<C: Sharer>(contender: C) -> Self;
    /// Performs `pairs` operations on `thread`, which `clock` may time.
    fn run<C: Sharer>(&self, contender: C, thread: usize, pairs: usize, clock: impl Clock);
}

pub struct Pairs;

impl Workload for Pairs {
    fn new<C: Sharer>(_: C) -> Self {
        Self
    }

    #[inline(never)]
    fn run<C: Sharer>(&self, mut contender: C, _: usize, pairs: usize, mut clock: impl Clock) {
        for _ in 0..pairs {
            let block = clock.time(|| black_box(contender.take()));
            // SAFETY: the block was just allocated.
            clock.time(|| unsafe { contender.give(block) });
        }
    }
}

/// A ring with a power of two of places, for one producer and one consumer.
struct Ring {
    places: Vec<AtomicPtr<u8>>,
}

/// Max number of blocks in the ring.
pub const ON_THE_WAY: usize = 1024;

impl Ring {
    fn new() -> Self {
        Self { places: (0..ON_THE_WAY).map(|_| AtomicPtr::default()).collect() }
    }

    /// Waits for the place with this number to be free, and fills it.
    #[inline(always)]
    fn put(&self, number: usize, block: *mut u8) {
        let place = &self.places[number % ON_THE_WAY];
        while !place.load(Ordering::Acquire).is_null() {
            spin_loop();
        }
        place.store(block, Ordering::Release);
    }

    /// Waits for the place with this number to be filled, and empties it.
    #[inline(always)]
    fn take(&self, number: usize) -> *mut u8 {
        let place = &self.places[number % ON_THE_WAY];
        loop {
            let block = place.load(Ordering::Acquire);
            if !block.is_null() {
                place.store(std::ptr::null_mut(), Ordering::Release);
                return block;
            }
            spin_loop();
        }
    }
}

/// Passes blocks from every even thread to the next thread.
pub struct Handoff<const READ: bool>(Vec<Ring>);

impl<const READ: bool> Workload for Handoff<READ> {
    fn new<C: Sharer>(_: C) -> Self {
        Self((0..8).map(|_| Ring::new()).collect())
    }

    #[inline(never)]
    fn run<C: Sharer>(&self, mut contender: C, thread: usize, pairs: usize, mut clock: impl Clock) {
        let ring = &self.0[thread / 2];
        if thread.is_multiple_of(2) {
            for number in 0..pairs {
                let block = clock.time(|| contender.take());
                if READ {
                    // SAFETY: the block is longer than a word, and this thread owns it.
                    unsafe { block.cast::<usize>().write(number) };
                }
                ring.put(number, block);
            }
        } else {
            for number in 0..pairs {
                let block = ring.take(number);
                if READ {
                    // SAFETY: the block is longer than a word, and this thread owns it now.
                    assert_eq!(
                        unsafe { block.cast::<usize>().read() },
                        number,
                        "another thread has the block"
                    );
                }
                // SAFETY: the block was allocated by the other thread, and is freed once.
                clock.time(|| unsafe { contender.give(block) });
            }
        }
    }
}

const ARRAY_LENGTH: usize = 4096;

pub struct Replace(Vec<AtomicPtr<u8>>);

impl Workload for Replace {
    fn new<C: Sharer>(mut contender: C) -> Self {
        Self((0..ARRAY_LENGTH).map(|_| AtomicPtr::new(contender.take())).collect())
    }

    #[inline(never)]
    fn run<C: Sharer>(&self, mut contender: C, thread: usize, pairs: usize, mut clock: impl Clock) {
        let mut random = random_of(thread);
        for _ in 0..pairs {
            let fresh = clock.time(|| contender.take());
            let old = self.0[random.below(ARRAY_LENGTH)].swap(fresh, Ordering::AcqRel);
            // SAFETY: the block was taken out of the array, so that no other thread frees it.
            clock.time(|| unsafe { contender.give(old) });
        }
    }
}

/// Allocates up to 64 blocks at a time; for larger bursts, always the full number.
pub struct Bursts<const MOST: usize>;

impl<const MOST: usize> Workload for Bursts<MOST> {
    fn new<C: Sharer>(_: C) -> Self {
        Self
    }

    #[inline(never)]
    fn run<C: Sharer>(&self, mut contender: C, thread: usize, pairs: usize, mut clock: impl Clock) {
        let mut random = random_of(thread);
        let mut bucket = [std::ptr::null_mut(); MOST];
        let mut done = 0;
        while done < pairs {
            let burst = if MOST > 64 { MOST } else { 1 + random.below(MOST) }.min(pairs - done);
            for place in &mut bucket[..burst] {
                *place = clock.time(|| contender.take());
            }
            for &block in &bucket[..burst] {
                // SAFETY: the block was allocated above and is freed once.
                clock.time(|| unsafe { contender.give(block) });
            }
            done += burst;
        }
    }
}

/// Bursts of up to 64 blocks, while the number of a thread's other live blocks goes from 0 to 64 and back: by one,
/// after every 64th burst.
pub struct Tides;

impl Workload for Tides {
    fn new<C: Sharer>(_: C) -> Self {
        Self
    }

    #[inline(never)]
    fn run<C: Sharer>(&self, mut contender: C, thread: usize, pairs: usize, mut clock: impl Clock) {
        let mut random = random_of(thread);
        let mut bucket = [std::ptr::null_mut(); 64];
        let mut others = Vec::with_capacity(64);
        let (mut done, mut bursts, mut rising) = (0, 0, true);
        while done < pairs {
            let burst = (1 + random.below(64)).min(pairs - done);
            for place in &mut bucket[..burst] {
                *place = clock.time(|| contender.take());
            }
            for &block in &bucket[..burst] {
                // SAFETY: the block was allocated above and is freed once.
                clock.time(|| unsafe { contender.give(block) });
            }
            done += burst;
            bursts += 1;
            if bursts % 64 == 0 {
                rising = if rising { others.len() < 64 } else { others.is_empty() };
                if rising {
                    others.push(contender.take());
                } else if let Some(block) = others.pop() {
                    // SAFETY: the block was allocated above and is freed once.
                    unsafe { contender.give(block) };
                }
            }
        }
        for block in others {
            // SAFETY: the block was allocated above and is freed once.
            unsafe { contender.give(block) };
        }
    }
}

/// Returns a random number generator for each thread.
fn random_of(thread: usize) -> Random {
    Random::new(0x9E37_79B9_7F4A_7C15 ^ (thread as u64 + 1))
}
