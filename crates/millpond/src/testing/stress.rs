//! Threads that use one allocator at once, and check that their blocks stay intact.

use core::{alloc::Layout, ptr::NonNull};
use std::{thread, vec::Vec};

use super::random::Random;
use crate::{
    base::atomic::{AtomicPtr, Ordering},
    traits::Allocator,
};

/// A stress test with four ways to use an allocator that threads share, each alone and all mixed at random: one block
/// over and over; random blocks of a thread's own; random blocks in a bucket that all threads share, so that a block is
/// usually freed by another thread than the one that allocated it; and bursts.
///
/// Every block is filled with a stamp of its owner, which is checked before it is freed. A request that fails is
/// ignored: a pool may be smaller than what is requested.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Fixed, Inspect, LockFree, testing::Stress};
///
/// let pool = LockFree::<Fixed<64>>::new();
/// let served = Stress::of(Layout::new::<[u64; 8]>()).threads(3).rounds(100).seed(1).run(&pool);
/// assert!(served > 0 && pool.stats().live == 0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Stress {
    layout: Layout,
    threads: usize,
    rounds: usize,
    seed: u64,
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

/// The number of blocks in a bucket.
const BUCKET: usize = 64;

type Bucket = [AtomicPtr<u8>; BUCKET];

impl Stress {
    /// Creates a test with blocks of this layout: at least two words, aligned to one. By default there are 4 threads
    /// and 100 rounds.
    ///
    /// # Panics
    ///
    /// Panics if the layout is smaller or less aligned, because words are written into the blocks.
    #[must_use]
    pub const fn of(layout: Layout) -> Self {
        assert!(
            layout.size() >= 2 * size_of::<usize>() && layout.align() >= align_of::<usize>(),
            "the blocks of a stress test have at least two aligned words"
        );
        Self { layout, threads: 4, rounds: 100, seed: 0 }
    }

    /// Sets the number of threads.
    #[must_use]
    pub const fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Sets how often each thread does a few dozen operations, in each of the five parts.
    #[must_use]
    pub const fn rounds(self, rounds: usize) -> Self {
        Self { rounds, ..self }
    }

    /// Sets the seed of the random choices.
    #[must_use]
    pub const fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Runs all parts and returns how many requests were served. Everything is freed at the end.
    ///
    /// # Panics
    ///
    /// Panics if a block changes while it is held, or is not as aligned or as long as requested.
    pub fn run(self, allocator: &(dyn Allocator + Sync)) -> usize {
        let alone = WAYS.iter().map(|&way| self.part(allocator, &|_| way)).sum::<usize>();
        alone + self.part(allocator, &|random| WAYS[random.below(WAYS.len())])
    }

    /// Runs all threads, with a way chosen for each round.
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

/// A block that a thread holds, and its stamp.
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
    /// The last stamp: the thread and a counter.
    stamp: usize,
    served: usize,
}

impl Worker<'_> {
    /// Allocates a block and stamps it.
    fn take(&mut self) -> Option<Held> {
        let block = self.allocator.allocate(self.layout).ok()?;
        assert!(block.len() >= self.layout.size(), "a block is shorter than requested");
        let block = block.cast::<u8>();
        assert!(block.addr().get().is_multiple_of(self.layout.align()), "a block is not aligned");
        self.served += 1;
        self.stamp += 1;
        for place in 0..self.layout.size() / size_of::<usize>() {
            // SAFETY: the block was just handed out, and has that length and the alignment of a word: see `Stress::of`.
            unsafe { block.cast::<usize>().add(place).write(self.stamp ^ place) };
        }
        Some(Held { block, stamp: self.stamp })
    }

    /// Checks the stamp of a block, and frees it.
    fn give(&self, held: Held) {
        for place in 0..self.layout.size() / size_of::<usize>() {
            // SAFETY: the block is live, and belongs to this thread.
            let found = unsafe { held.block.cast::<usize>().add(place).read() };
            assert_eq!(found, held.stamp ^ place, "a block changed while it was held");
        }
        // SAFETY: the block is live, and was requested with this layout.
        unsafe { self.allocator.deallocate(held.block, self.layout) };
    }

    /// Allocates and frees one block, over and over.
    fn one(&mut self) {
        for _ in 0..BUCKET {
            if let Some(held) = self.take() {
                self.give(held);
            }
        }
    }

    /// Replaces random blocks of this thread's own.
    fn own(&mut self) {
        for _ in 0..BUCKET {
            let place = self.random.below(BUCKET);
            match self.own[place].take() {
                Some(held) => self.give(held),
                None => self.own[place] = self.take(),
            }
        }
    }

    /// Replaces random blocks in the bucket that all threads share.
    fn shared(&mut self) {
        for _ in 0..BUCKET {
            let place = self.random.below(BUCKET);
            let fresh = if self.random.coin() { self.take() } else { None };
            self.exchange(place, fresh);
        }
    }

    /// Puts a block, or none, in a place of the shared bucket, and frees the block that was there.
    fn exchange(&mut self, place: usize, fresh: Option<Held>) {
        let fresh = fresh.map_or(core::ptr::null_mut(), |held| held.block.as_ptr());
        let old = self.bucket[place].swap(fresh, Ordering::AcqRel);
        if let Some(block) = NonNull::new(old) {
            // SAFETY: the block is live, and was only in this bucket. Its first word is its stamp.
            let stamp = unsafe { block.cast::<usize>().read() };
            self.give(Held { block, stamp });
        }
    }

    /// Allocates many blocks, then frees them all.
    fn burst(&mut self) {
        let count = 1 + self.random.below(BUCKET);
        let mut held: Vec<Held> = (0..count).map_while(|_| self.take()).collect();
        if self.random.coin() {
            held.reverse();
        }
        held.into_iter().for_each(|held| self.give(held));
    }

    /// Frees this thread's own blocks; returns how many requests were served.
    fn finish(mut self) -> usize {
        for place in 0..BUCKET {
            if let Some(held) = self.own[place].take() {
                self.give(held);
            }
        }
        self.served
    }
}
