//! A parent with one chunk: no thread is refused while blocks are free or a chunk is on its way.

use std::{
    alloc::Layout,
    ptr::NonNull,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use millpond::{
    AllocError, Allocator, Blocks, Cached, Classes, Fixed, Heap, Inspect, LockFree, Locked, Magazine, Tlsf,
    raw::Allocation, shell::AtomicLinear,
};

const BLOCK: Layout = Layout::new::<[u64; 8]>();

/// A parent that has one chunk, and may delay handing it out.
struct OneChunk {
    given: AtomicBool,
    refused: AtomicUsize,
    delay: Duration,
}

impl OneChunk {
    fn after(delay: Duration) -> Self {
        Self { given: AtomicBool::new(false), refused: AtomicUsize::new(0), delay }
    }
}

// SAFETY: the chunk is the heap's, which upholds the contract.
unsafe impl Allocator for OneChunk {
    fn allocate(&self, layout: Layout) -> Allocation {
        if self.given.swap(true, Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(AllocError::Exhausted);
        }
        let chunk = Heap.allocate(layout);
        thread::sleep(self.delay);
        chunk
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.given.store(false, Ordering::Relaxed);
        // SAFETY: the contract is the same as the caller's.
        unsafe { Heap.deallocate(block, layout) };
    }
}

/// Four threads find a pool empty at the same time. One of them gets the only chunk, which has enough blocks for all.
fn none_is_refused<A: Allocator + Inspect + Sync>(
    make: impl Fn(OneChunk) -> A,
    parent: impl Fn(&A) -> &OneChunk,
) {
    let rounds = if cfg!(debug_assertions) { 150 } else { 600 };
    let mut refused = 0;
    for round in 0..rounds {
        let pool = make(OneChunk::after(Duration::from_micros([0, 20, 2000][round % 3])));
        let (start, have) = (Barrier::new(4), Barrier::new(4));
        thread::scope(|scope| {
            for stamp in 0..4 {
                let (pool, start, have) = (&pool, &start, &have);
                scope.spawn(move || {
                    start.wait();
                    let block = pool.allocate(BLOCK).map(NonNull::cast::<[u64; 8]>);
                    have.wait();
                    let block = block.expect("the chunk has room for all");
                    // SAFETY: the block is this thread's, and has this layout.
                    unsafe {
                        block.write([stamp; 8]);
                        assert_eq!(block.read(), [stamp; 8], "another thread has the same block");
                        pool.deallocate(block.cast(), BLOCK);
                    }
                });
            }
        });
        assert_eq!(pool.stats().chunks, 1);
        refused += parent(&pool).refused.load(Ordering::Relaxed);
    }
    assert!(refused > 0, "no two threads have ever asked at once, so nothing is shown");
}

#[test]
fn no_refusal_while_a_chunk_is_on_its_way() {
    none_is_refused(|parent| Locked::<_, _>::new_in(Blocks::<Fixed<64>>::new(), parent), Locked::parent);
    none_is_refused(
        |parent| Locked::<_, _>::new_in(Blocks::<(Fixed<64>, Magazine)>::new(), parent),
        Locked::parent,
    );
    none_is_refused(|parent| Locked::<_, _>::new_in(Tlsf::new(), parent), Locked::parent);
    none_is_refused(|parent| Cached::new_in(Blocks::<Fixed<64>>::new(), parent), Cached::parent);
    none_is_refused(|parent| Cached::new_in(Classes::new(), parent), Cached::parent);
    none_is_refused(LockFree::<Fixed<64>, _>::new_in, LockFree::parent);
    none_is_refused(AtomicLinear::new_in, AtomicLinear::parent);
}
