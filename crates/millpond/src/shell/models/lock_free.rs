//! Models of the lock-free pool: the list on its segments, and growing.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    Allocator, Fixed, Inspect, LockFree,
    base::atomic::model::{Arc, check, thread},
    sync::models::Cells,
};

const LAYOUT: Layout = Layout::new::<u64>();

/// A pool that does not need its parent, and a cell for each of its two blocks, which the model checker watches.
struct Watched {
    pool: LockFree<Fixed<8>>,
    starts: [NonNull<u8>; 2],
    cells: Cells<2>,
}

// SAFETY: the addresses are only compared.
unsafe impl Send for Watched {}
// SAFETY: as above, and the cells are what the model checks.
unsafe impl Sync for Watched {}

impl Watched {
    fn new() -> Arc<Self> {
        let pool = LockFree::<Fixed<8>>::new().with_capacity(2);
        let starts = [(), ()].map(|()| pool.allocate(LAYOUT).expect("two blocks").cast());
        let watched = Self { pool, starts, cells: Cells::new() };
        watched.starts.iter().for_each(|&start| watched.return_chunk(start));
        assert_eq!(watched.pool.stats().chunks, 1);
        Arc::new(watched)
    }

    fn touch(&self, block: NonNull<u8>) {
        let place = self.starts.iter().position(|start| *start == block);
        self.cells.touch(place.expect("there are two blocks"));
    }

    fn pop(&self) -> NonNull<u8> {
        let block = self.pool.allocate(LAYOUT).expect("there are as many blocks as requests").cast();
        self.touch(block);
        block
    }

    fn return_chunk(&self, block: NonNull<u8>) {
        self.touch(block);
        // SAFETY: the block was allocated from this pool.
        unsafe { self.pool.deallocate(block, LAYOUT) };
    }
}

/// As many blocks as threads: no request fails, and no block has two holders.
#[test]
fn two_threads_share_two_blocks() {
    check(3, || {
        let watched = Watched::new();
        let other = Arc::clone(&watched);
        let other = thread::spawn(move || (0..2).for_each(|_| other.return_chunk(other.pop())));
        (0..2).for_each(|_| watched.return_chunk(watched.pop()));
        other.join().expect("no panic");
        assert_eq!(watched.pool.stats().chunks, 1, "the pool has grown");
        watched.pool.check().expect("sound");
    });
}

/// Both blocks are allocated and freed with one exchange each, while another thread requests one, which may fail.
#[test]
fn many_at_once_while_another_takes_one() {
    check(3, || {
        let watched = Watched::new();
        let other = Arc::clone(&watched);
        let other = thread::spawn(move || {
            let block = other.pool.allocate(LAYOUT).expect("the heap has a few bytes").cast();
            // SAFETY: the block was just allocated.
            unsafe { other.pool.deallocate(block, LAYOUT) };
        });
        let mut places = [core::mem::MaybeUninit::uninit(); 2];
        watched.pool.allocate_many(LAYOUT, &mut places).expect("the heap has a few bytes");
        // SAFETY: the places were filled.
        let blocks = unsafe { places.assume_init_ref() };
        assert_ne!(blocks[0], blocks[1]);
        // SAFETY: the blocks were just allocated.
        unsafe { watched.pool.deallocate_many(blocks, LAYOUT) };
        other.join().expect("no panic");
        assert_eq!(watched.pool.stats().live, 0);
        watched.pool.check().expect("sound");
    });
}

/// Threads find the only segment full at the same moment: both grow the pool, or one does.
#[test]
fn two_threads_grow_a_pool() {
    check(2, || {
        let mut pool = LockFree::<Fixed<8>>::new().with_capacity(1);
        // Everything is touched before other threads start.
        pool.reset();
        assert!(!pool.owns(core::ptr::null()));
        let pool = Arc::new(pool);
        let first = pool.allocate(LAYOUT).expect("the heap has a few bytes").cast::<u8>();
        assert_eq!(pool.stats().free, 0);
        let other = Arc::clone(&pool);
        let pop = |pool: &LockFree<Fixed<8>>| {
            let block = pool.allocate(LAYOUT).expect("the heap has a few bytes");
            block.cast::<u8>().addr()
        };
        let other = thread::spawn(move || pop(&other));
        let mine = pop(&pool);
        let blocks = [first.addr(), mine, other.join().expect("no panic")];
        assert!(blocks[0] != blocks[1] && blocks[0] != blocks[2] && blocks[1] != blocks[2]);
        assert_eq!(pool.stats().live, 3 * 8);
        pool.check().expect("sound");
    });
}
