//! Threads that use one allocator at once, and look whether their blocks stay theirs.

use core::{alloc::Layout, ptr::NonNull};
use std::{thread, vec::Vec};

use super::random::Random;
use crate::{
    base::atomic::{AtomicPtr, Ordering},
    traits::Allocator,
};

/// Four ways to use an allocator that threads share, each alone and all mixed at random: one block over and over; random
/// ones among a thread's own; random ones in a bucket that all threads share, so that who frees a block is seldom who took
/// it; and bursts.
///
/// Every block is filled with a stamp of its holder, which is looked at before it is freed. A request that fails is let go:
/// a pool may be smaller than what is asked for.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Fixed, Inspect, LockFree, testing::Stress};
///
/// let pool = LockFree::<Fixed<64>>::new();
/// let served = Stress { layout: Layout::new::<[u64; 8]>(), threads: 3, rounds: 100, seed: 1 }.run(&pool);
/// assert!(served > 0 && pool.stats().live == 0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Stress {
    /// What is asked for: at least two words, aligned to one.
    pub layout: Layout,
    /// How many threads.
    pub threads: usize,
    /// How often each thread does a few dozen operations, in each of the five parts.
    pub rounds: usize,
    /// What the random choices follow from.
    pub seed: u64,
}

/// A way to use an allocator, for a few dozen operations.
#[derive(Clone, Copy)]
enum Way {
    One,
    Own,
    Shared,
    Burst,
}

const WAYS: [Way; 4] = [Way::One, Way::Own, Way::Shared, Way::Burst];

/// Blocks in a bucket.
const BUCKET: usize = 64;

type Bucket = [AtomicPtr<u8>; BUCKET];

impl Stress {
    /// Runs all of it and says how many requests were served. Everything is freed in the end.
    ///
    /// # Panics
    ///
    /// If a block changes while it is held, or is not as aligned or as long as it was asked to be.
    pub fn run(self, allocator: &(dyn Allocator + Sync)) -> usize {
        let alone = WAYS.iter().map(|&way| self.part(allocator, &|_| way)).sum::<usize>();
        alone + self.part(allocator, &|random| WAYS[random.below(WAYS.len())])
    }

    /// All threads, each round a way that is chosen for it.
    fn part(
        self,
        allocator: &(dyn Allocator + Sync),
        choose: &(dyn Fn(&mut Random<'_>) -> Way + Sync),
    ) -> usize {
        let bucket: Bucket = [const { AtomicPtr::new(core::ptr::null_mut()) }; BUCKET];
        let worker = |name: usize| Worker {
            allocator,
            layout: self.layout,
            bucket: &bucket,
            random: Random::Seed(self.seed ^ (name as u64) << 32),
            own: [const { None }; BUCKET],
            stamp: name << 24,
            served: 0,
        };
        let work = |name| {
            let mut worker = worker(name);
            for _ in 0..self.rounds {
                match choose(&mut worker.random) {
                    Way::One => worker.one(),
                    Way::Own => worker.own(),
                    Way::Shared => worker.shared(),
                    Way::Burst => worker.burst(),
                }
            }
            worker.finish()
        };
        let served = thread::scope(|scope| {
            let threads: Vec<_> = (1..=self.threads).map(|name| scope.spawn(move || work(name))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread found something wrong")).sum()
        });
        let mut last = worker(0);
        (0..BUCKET).for_each(|place| last.exchange(place, None));
        served
    }
}

/// A block in somebody's hands, and what it is filled with.
#[derive(Clone, Copy)]
struct Held {
    block: NonNull<u8>,
    stamp: usize,
}

/// One thread.
struct Worker<'a> {
    allocator: &'a (dyn Allocator + Sync),
    layout: Layout,
    bucket: &'a Bucket,
    random: Random<'static>,
    own: [Option<Held>; BUCKET],
    /// The last stamp: the thread and a number that counts up.
    stamp: usize,
    served: usize,
}

impl Worker<'_> {
    /// A block, stamped.
    fn take(&mut self) -> Option<Held> {
        let block = self.allocator.allocate(self.layout).ok()?;
        assert!(block.len() >= self.layout.size(), "a block is shorter than it was asked to be");
        let block = block.cast::<u8>();
        assert!(block.addr().get().is_multiple_of(self.layout.align()), "a block is not aligned");
        self.served += 1;
        self.stamp += 1;
        for place in 0..self.layout.size() / size_of::<usize>() {
            // SAFETY: the block was just handed out, and is that long.
            unsafe { block.cast::<usize>().add(place).write(self.stamp ^ place) };
        }
        Some(Held { block, stamp: self.stamp })
    }

    /// Looks whether a block is as it was, and frees it.
    fn give(&self, held: Held) {
        for place in 0..self.layout.size() / size_of::<usize>() {
            // SAFETY: the block is live, and this thread's.
            let found = unsafe { held.block.cast::<usize>().add(place).read() };
            assert_eq!(found, held.stamp ^ place, "a block has changed in its holder's hands");
        }
        // SAFETY: the block is live, and was handed out for this layout.
        unsafe { self.allocator.deallocate(held.block, self.layout) };
    }

    /// One block, over and over.
    fn one(&mut self) {
        for _ in 0..BUCKET {
            if let Some(held) = self.take() {
                self.give(held);
            }
        }
    }

    /// Random ones among this thread's own.
    fn own(&mut self) {
        for _ in 0..BUCKET {
            let place = self.random.below(BUCKET);
            match self.own[place].take() {
                Some(held) => self.give(held),
                None => self.own[place] = self.take(),
            }
        }
    }

    /// Random ones in the bucket that all threads share.
    fn shared(&mut self) {
        for _ in 0..BUCKET {
            let place = self.random.below(BUCKET);
            let fresh = if self.random.coin() { self.take() } else { None };
            self.exchange(place, fresh);
        }
    }

    /// Puts a block, or none, in a place of the shared bucket, and frees what was there.
    fn exchange(&mut self, place: usize, fresh: Option<Held>) {
        let fresh = fresh.map_or(core::ptr::null_mut(), |held| held.block.as_ptr());
        let old = self.bucket[place].swap(fresh, Ordering::AcqRel);
        if let Some(block) = NonNull::new(old) {
            // SAFETY: the block is live, and was this bucket's alone. Its first word is its stamp.
            let stamp = unsafe { block.cast::<usize>().read() };
            self.give(Held { block, stamp });
        }
    }

    /// Many, then none.
    fn burst(&mut self) {
        let count = 1 + self.random.below(BUCKET);
        let mut held: Vec<Held> = (0..count).map_while(|_| self.take()).collect();
        if self.random.coin() {
            held.reverse();
        }
        held.into_iter().for_each(|held| self.give(held));
    }

    /// Frees what is this thread's own; says how many requests were served.
    fn finish(mut self) -> usize {
        for place in 0..BUCKET {
            if let Some(held) = self.own[place].take() {
                self.give(held);
            }
        }
        self.served
    }
}
