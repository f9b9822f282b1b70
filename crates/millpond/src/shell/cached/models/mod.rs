//! Models of the thread cache, with magazines of two blocks: the hand-over of thread indices, exchanges at the depot,
//! and searches.

use core::{alloc::Layout, ptr::NonNull};
use std::vec::Vec;

use super::{CacheOptions, Cached};
use crate::{
    Blocks, Fixed, Heap,
    base::atomic::{
        Ordering, UnsafeCell,
        model::{Arc, check, thread},
    },
    guard::Limit,
    lock::SpinLock,
    oom::Fail,
    sync::{
        ordering::{Correct, Orderings},
        thread_index::{MAX_THREADS, ThreadIndex, ThreadIndices, UseProbe},
    },
};

#[cfg(loom)]
use crate::sync::ordering::BrokenAcquire;

const LAYOUT: Layout = Layout::new::<u64>();

/// A pool with a maximum number of blocks, in magazines of two.
type Small = Cached<Limit<Blocks<Fixed<8>>>, Heap, CacheOptions<SpinLock, Fail, 4>>;

const CELLS: usize = 8;

/// A pool, and a cell for each of its blocks, of which there are at most as many as cells.
struct Model {
    pool: Small,
    cells: [UnsafeCell<()>; CELLS],
}

// SAFETY: the cells are empty.
unsafe impl Sync for Model {}

impl Model {
    /// Creates a model with this number of blocks. Everything is touched before other threads start.
    fn new(blocks: usize) -> Arc<Self> {
        assert!(blocks <= CELLS, "neighbours have cells of their own");
        let pool =
            Small::with_options(Limit::blocks(Blocks::new(), blocks), Heap, CacheOptions::new().words());
        pool.reclaim_epoch.load(Ordering::Relaxed);
        pool.caches.touch();
        (0..MAX_THREADS).for_each(|thread| pool.caches.use_probe.touch(thread));
        let model = Self { pool, cells: [const { UnsafeCell::new(()) }; CELLS] };
        model.cells.iter().for_each(|cell| cell.with_mut(|_| ()));
        let thread = ThreadIndex::acquire().expect("it is free");
        // The lock, and the pool's own counter.
        let block = model.take(thread.get(), 1);
        model.give(thread.get(), block);
        // SAFETY: the index is held.
        unsafe { model.pool.flush_thread(thread.get()) };
        drop(thread);
        Arc::new(model)
    }

    /// Records that the caller has a block.
    fn hold(&self, block: NonNull<u8>) {
        self.cells[block.addr().get() / LAYOUT.size() % CELLS].with_mut(|_| ());
    }

    /// Allocates up to `count` blocks with this thread index, and checks that no other thread has them.
    fn take(&self, thread: usize, count: usize) -> Vec<NonNull<u8>> {
        let take = || {
            // SAFETY: the index is the caller's.
            unsafe {
                let hot = self.pool.allocate_hot(|class| &self.pool.caches.of(thread)[class], LAYOUT);
                hot.or_else(|| self.pool.allocate_at(thread, LAYOUT).unpack().ok())
            }
        };
        let blocks: Vec<NonNull<u8>> = core::iter::from_fn(take).take(count).map(NonNull::cast).collect();
        blocks.iter().for_each(|block| self.hold(*block));
        blocks
    }

    fn give(&self, thread: usize, blocks: Vec<NonNull<u8>>) {
        for block in blocks {
            self.hold(block);
            // SAFETY: the index is the caller's, and the block was allocated and is freed once.
            unsafe {
                if !self.pool.deallocate_hot(|class| &self.pool.caches.of(thread)[class], block, LAYOUT) {
                    self.pool.deallocate_at(thread, block, LAYOUT);
                }
            }
        }
    }

    /// Acts as a thread that allocates this number of blocks and frees them; its index is returned, and its slot keeps
    /// its blocks.
    fn visit(&self, blocks: usize) {
        let thread = ThreadIndex::acquire().expect("there are more indices than threads");
        let blocks = self.take(thread.get(), blocks);
        self.give(thread.get(), blocks);
    }

    /// Checks that after all other threads have ended, one thread gets every block.
    fn has(&self, blocks: usize) {
        let thread = ThreadIndex::acquire().expect("the others have returned theirs");
        let all = self.take(thread.get(), usize::MAX);
        assert_eq!(all.len(), blocks, "a block is lost");
        self.give(thread.get(), all);
        assert_eq!(self.pool.stats().live, 0);
    }
}

/// Runs two threads, and then searches for every block.
fn two(preemptions: usize, blocks: usize, work: [fn(&Model); 2]) {
    check(preemptions, move || {
        let model = Model::new(blocks);
        let threads = work.map(|work| {
            let model = Arc::clone(&model);
            thread::spawn(move || work(&model))
        });
        for thread in threads {
            thread.join().expect("no thread panics");
        }
        model.has(blocks);
    });
}

/// Threads that acquire a thread index, use what belongs to it, and return it.
fn hand_over<T: Orderings + 'static>() {
    check(3, || {
        let numbers = Arc::new((ThreadIndices::<T>::new(), UseProbe::new()));
        (0..MAX_THREADS).for_each(|thread| numbers.1.touch(thread));
        if let Some(thread) = numbers.0.acquire() {
            numbers.0.release(thread);
        }
        let threads = [(); 2].map(|()| {
            let numbers = Arc::clone(&numbers);
            thread::spawn(move || {
                let thread = numbers.0.acquire().expect("there are more indices than threads");
                numbers.1.touch(thread);
                numbers.0.release(thread);
            })
        });
        for thread in threads {
            thread.join().expect("no thread panics");
        }
    });
}

#[test]
fn index_is_handed_over_with_its_data() {
    hand_over::<Correct>();
}

#[cfg(loom)]
#[test]
#[should_panic(expected = "Causality violation")]
fn unordered_hand_over_is_caught() {
    hand_over::<BrokenAcquire>();
}

#[test]
fn magazines_are_exchanged() {
    // Five blocks fill more than both magazines: some go to the depot and may be taken by the other thread.
    two(2, 8, [|model| model.visit(5), |model| model.visit(5)]);
}

#[test]
fn block_is_freed_by_another_thread() {
    check(2, || {
        let model = Model::new(8);
        let thread = ThreadIndex::acquire().expect("it is free");
        let blocks: Vec<usize> =
            model.take(thread.get(), 5).iter().map(|block| block.as_ptr().expose_provenance()).collect();
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                let thread = ThreadIndex::acquire().expect("one is taken");
                let blocks = blocks
                    .into_iter()
                    .filter_map(|block| NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(block)));
                model.give(thread.get(), blocks.collect());
            })
        };
        let mine = model.take(thread.get(), 2);
        model.give(thread.get(), mine);
        drop(thread);
        other.join().expect("no thread panics");
        model.has(8);
    });
}

#[test]
fn stealing_while_threads_start_and_end() {
    // Three blocks: the first thread leaves some in its slot, while the second wants all three.
    two(2, 3, [|model| model.visit(2), |model| model.visit(3)]);
}

/// Unused thread indices are acquired for the search: otherwise, a thread may start and use the slot that is being
/// searched.
#[cfg(loom)]
#[test]
#[should_panic(expected = "Causality violation")]
fn stealing_without_an_index_is_caught() {
    // SAFETY: unsound on purpose: the index is not acquired.
    two(2, 3, [|model| model.visit(2), |model| unsafe { assert!(model.pool.flush_thread(1) <= 3) }]);
}
