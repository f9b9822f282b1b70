//! Models of growing with a parent that has one chunk: a refused thread waits for the requests of the others.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    AllocError, Allocator, Blocks, Fixed, Heap, Inspect, LockFree, Locked,
    base::atomic::{
        AtomicUsize, Ordering,
        model::{Arc, check, thread},
    },
    oom::Fail,
    shell::ops::{self, WithPool},
    traits::Allocation,
};

const LAYOUT: Layout = Layout::new::<u64>();

/// A parent with a limited number of chunks. Only requests of at most `MAX` bytes are counted: a lock-free pool
/// requests the links of a segment apart from its blocks, and the model is about the blocks.
struct Few<const MAX: usize = { usize::MAX }>(AtomicUsize);

// SAFETY: the chunks are the heap's, which keeps the contract.
unsafe impl<const MAX: usize> Allocator for Few<MAX> {
    fn allocate(&self, layout: Layout) -> Allocation {
        if layout.size() > MAX {
            return Heap.allocate(layout);
        }
        let left = self.0.load(Ordering::Relaxed);
        if left == 0 || self.0.compare_exchange(left, left - 1, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Err(AllocError::Exhausted);
        }
        Heap.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { Heap.deallocate(block, layout) };
        if layout.size() <= MAX {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Two threads find a pool empty whose parent has one chunk, with blocks for both. (With three threads, two that wait
/// could schedule each other forever, as far as the model checker is concerned.)
fn one_chunk<A: Allocator + Send + Sync + 'static, const MAX: usize>(
    preemptions: usize,
    make: fn(Few<MAX>) -> A,
    parent: fn(&A) -> &Few<MAX>,
    allocate: fn(&A) -> Allocation,
) {
    check(preemptions, move || {
        let pool = Arc::new(make(Few(AtomicUsize::new(0))));
        // Everything is touched before other threads start.
        assert_eq!(allocate(&pool), Err(AllocError::Exhausted));
        parent(&pool).0.store(1, Ordering::Relaxed);
        let take = move |pool: &A| allocate(pool).expect("refused").addr();
        let other = Arc::clone(&pool);
        let other = thread::spawn(move || take(&other));
        let mine = take(&pool);
        assert_ne!(other.join().expect("no thread panics"), mine, "two threads hold one block");
    });
}

type Behind = Locked<Blocks<Fixed<8>>, Few>;

fn locked(few: Few) -> Behind {
    Locked::new_in(Blocks::new(), few)
}

#[test]
fn locked_pool_waits_for_a_chunk_on_its_way() {
    one_chunk(3, locked, Locked::parent, |pool| pool.allocate(LAYOUT));
}

#[test]
fn lock_free_pool_waits_for_a_chunk_on_its_way() {
    // Two blocks, in a chunk that is not counted, are taken; the counted chunk has four more.
    let make = |few: Few<32>| {
        let mut pool = LockFree::<Fixed<8>, _>::new_in(few).with_capacity(2);
        pool.reset();
        assert!((0..2).all(|_| pool.allocate(LAYOUT).is_ok()));
        assert!(!pool.owns(core::ptr::null()), "this looks for every segment that there may be");
        pool
    };
    one_chunk(3, make, LockFree::parent, |pool| pool.allocate(LAYOUT));
}

/// Access to a pool without its growth barrier.
struct Silent<R>(R);

impl<R: WithPool> WithPool for Silent<R> {
    type Pool = R::Pool;

    fn with<T>(&mut self, use_it: impl FnOnce(&mut R::Pool) -> T) -> T {
        self.0.with(use_it)
    }
}

#[test]
#[should_panic = "refused"]
fn unregistered_growth_is_caught() {
    let allocate = |pool: &Behind| ops::allocate(Silent(&pool.0.cell), (pool.parent(), &Fail), LAYOUT);
    one_chunk(2, locked, Locked::parent, allocate);
}
