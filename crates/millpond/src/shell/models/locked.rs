//! Models of the lock and of the shell around it.

use core::{alloc::Layout, ptr::NonNull};

use lock_api::{GuardSend, RawMutex};

use crate::{
    Allocator, Blocks, Fixed, Heap, Locked,
    base::atomic::{
        UnsafeCell,
        model::{Arc, check, thread},
        yield_now,
    },
    lock::{ParkingLock, SpinLock, TicketLock},
    raw::{Chunk, ChunkRequest, PoolHooks, RawPool, Release},
};

#[cfg(loom)]
use crate::{
    base::atomic::{AtomicBool, Ordering},
    sync::{
        RawParkingLock, RawTicketLock,
        ordering::{BrokenAcquire, BrokenRelease},
    },
};

const LAYOUT: Layout = Layout::new::<u64>();

/// A pool that the model checker watches: every use of it is a write to a cell.
struct Watched {
    pool: Blocks<Fixed<8>>,
    cell: UnsafeCell<()>,
}

impl Watched {
    fn pool(&mut self) -> &mut Blocks<Fixed<8>> {
        self.cell.with_mut(|_| ());
        &mut self.pool
    }
}

// SAFETY: the inner pool keeps the contract.
unsafe impl RawPool for Watched {
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.pool().allocate(layout)
    }

    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { self.pool().deallocate(block, layout) };
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        self.cell.with(|_| ());
        self.pool.chunk_request(layout)
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_chunk`, which is the same.
        unsafe { self.pool().add_chunk(chunk, layout) }
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        self.pool.release_chunk(which)
    }

    fn reset(&mut self) {
        self.pool().reset();
    }
}

impl PoolHooks for Watched {}

/// Two threads allocate a block, write to it, check that its contents are unchanged, and free it.
fn two_holders<L: RawMutex<GuardMarker = GuardSend> + Send + Sync + 'static>(preemptions: usize) {
    check(preemptions, || {
        let pool = Blocks::<Fixed<8>>::new();
        let watched = Watched { pool, cell: UnsafeCell::new(()) };
        let pool = Arc::new(Locked::<_, _, L>::new_in(watched, Heap));
        hold(&*pool, 0);
        let threads = [1, 2].map(|name| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || hold(&*pool, name))
        });
        for thread in threads {
            thread.join().expect("no holder panics");
        }
    });
}

fn hold(pool: &impl Allocator, name: u64) {
    let block = pool.allocate(LAYOUT).expect("the heap has eight bytes").cast::<u64>();
    // SAFETY: the block belongs to this thread, which the model checks.
    unsafe { block.write(name) };
    yield_now();
    // SAFETY: as above.
    assert_eq!(unsafe { block.read() }, name, "two threads hold one block");
    // SAFETY: the block was allocated above.
    unsafe { pool.deallocate(block.cast(), LAYOUT) };
}

#[test]
fn spin_lock() {
    two_holders::<SpinLock>(3);
}

#[test]
fn ticket_lock() {
    two_holders::<TicketLock>(3);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn ticket_lock_without_acquire_is_caught() {
    two_holders::<RawTicketLock<BrokenAcquire>>(2);
}

#[test]
fn parking_lock() {
    two_holders::<ParkingLock>(2);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn parking_lock_without_release_is_caught() {
    two_holders::<RawParkingLock<BrokenRelease>>(2);
}

/// A lock that does not order accesses, or that every thread gets. (Shuttle does not model orderings, so it does not
/// run this.)
#[cfg(loom)]
struct Broken<const TAKES: bool>(AtomicBool);

// SAFETY: none: this is the broken lock that the models must detect.
#[cfg(loom)]
unsafe impl<const TAKES: bool> RawMutex for Broken<TAKES> {
    const INIT: Self = Self(AtomicBool::new(false));

    type GuardMarker = GuardSend;

    fn lock(&self) {
        while !self.try_lock() {
            yield_now();
        }
    }

    fn try_lock(&self) -> bool {
        !self.0.swap(TAKES, Ordering::Relaxed)
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn unordered_lock_is_caught() {
    two_holders::<Broken<true>>(2);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn lock_that_does_not_lock_is_caught() {
    two_holders::<Broken<false>>(2);
}
