//! Everything that threads share, under stress, and cases that are too large for the models.

use std::{
    alloc::Layout,
    cell::Cell,
    collections::HashSet,
    mem::MaybeUninit,
    ptr::NonNull,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use millpond::{
    AllocError, Allocator, Blocks, Buffer, Classes, Fixed, Heap, Inspect, LockFree, Locked, Magazine, Pages,
    Reclaim, StaticBuffer, Tlsf,
    guard::Limit,
    lock::{SpinLock, TicketLock},
    raw::Allocation,
    shell::{AtomicLinear, RemoteFree},
    source::NullAllocator,
    testing::Stress,
};

const LAYOUT: Layout = Layout::new::<[u64; 8]>();

/// Runs a few hundred thousand operations on more threads than there are cores; no block is live at the end.
pub(crate) fn stress(pool: impl Allocator + Inspect + Sync) {
    let rounds = if cfg!(debug_assertions) { 300 } else { 3000 };
    let served = Stress::of(LAYOUT).threads(4).rounds(rounds).seed(7).run(&pool);
    assert!(served > rounds, "next to nothing was served");
    pool.check().expect("sound");
    assert_eq!(pool.stats().live, 0, "a block is lost");
}

#[test]
fn lock_free_under_stress() {
    stress(LockFree::<Fixed<64>>::new());
    stress(LockFree::of(LAYOUT).with_capacity(1));
    stress(LockFree::<Fixed<64>, _>::new_in(Pages).with_capacity(100));
}

/// Stress while one thread trims repeatedly. Chunks go back to the system as pages, so touching one would fault.
fn trimmed_under_stress(pool: &LockFree<Fixed<64>, impl Allocator + Sync>) -> usize {
    let done = AtomicBool::new(false);
    let returned = thread::scope(|scope| {
        let trims = scope.spawn(|| {
            let mut returned = 0;
            while !done.load(Ordering::Relaxed) {
                returned += pool.trim();
                assert!(pool.stats().free <= 1 << 20);
                thread::yield_now();
            }
            returned
        });
        let rounds = if cfg!(debug_assertions) { 200 } else { 2000 };
        let served = Stress::of(LAYOUT).threads(3).rounds(rounds).seed(9).run(pool);
        done.store(true, Ordering::Relaxed);
        assert!(served > rounds, "next to nothing was served");
        trims.join().expect("it does not panic")
    });
    pool.check().expect("sound");
    assert_eq!(pool.stats().live, 0, "a block is lost");
    returned
}

#[test]
fn lock_free_pool_is_trimmed_under_stress() {
    let pages = LockFree::<Fixed<64>, _>::new_in(Pages).with_capacity(1);
    let bounded = LockFree::<Fixed<64>, _>::new_in(Limit::bytes(Pages, 30_000)).with_capacity(4);
    let heap = LockFree::<Fixed<64>>::new().with_capacity(16);
    for round in 0.. {
        let returned =
            [trimmed_under_stress(&pages), trimmed_under_stress(&bounded), trimmed_under_stress(&heap)];
        if !returned.contains(&0) {
            break;
        }
        assert!(round < 10, "no chunk has ever gone: {returned:?}");
    }
    // Everything is still there.
    pages.trim();
    assert_eq!((pages.stats().live, pages.stats().free), (0, 64));
}

/// Each thread finds the pool empty and requests the first chunk.
#[test]
fn first_chunk_that_threads_create_at_once_is_one() {
    for _ in 0..300 {
        let pool = LockFree::<Fixed<64>, _>::new_in(Heap).with_capacity(1);
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    let block = pool.allocate(LAYOUT).expect("the heap has room");
                    // SAFETY: the block is live, and has this layout.
                    unsafe { pool.deallocate(block.cast(), LAYOUT) };
                });
            }
        });
        pool.trim();
        assert_eq!((pool.stats().live, pool.stats().free), (0, 64));
    }
}

/// A parent that allocates from the pool above it during its first request, as another thread might.
struct Overtaken(Cell<Option<&'static LockFree<Fixed<64>, Overtaken>>>);

// SAFETY: every block is one of the heap's.
unsafe impl Allocator for Overtaken {
    fn allocate(&self, layout: Layout) -> Allocation {
        let block = Heap.allocate(layout);
        if let Some(pool) = self.0.take() {
            pool.allocate(LAYOUT).expect("the heap has room");
        }
        block
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the contract is the same as the caller's.
        unsafe { Heap.deallocate(block, layout) };
    }
}

#[test]
fn reservation_of_an_empty_pool_is_overtaken() {
    let pool = LockFree::<Fixed<64>, _>::new_in(Overtaken(Cell::new(None))).with_capacity(1);
    let place = Box::into_raw(Box::new(pool));
    // SAFETY: the pool lives until the end of this test, and its parent forgets it before that.
    let pool: &'static LockFree<_, _> = unsafe { &*place };
    pool.parent().0.set(Some(pool));
    pool.reserve(20).expect("the heap has room");
    assert_eq!(pool.stats().live, 64);
    let blocks: HashSet<_> = (0..100).map(|_| pool.allocate(LAYOUT).expect("the heap has room")).collect();
    assert_eq!(blocks.len(), 100, "a block was handed out twice");
    for block in blocks {
        assert!(pool.owns(block.cast().as_ptr()));
        // SAFETY: the block is live, and has this layout.
        unsafe { pool.deallocate(block.cast(), LAYOUT) };
    }
    pool.check().expect("sound");
    assert_eq!(pool.stats().live, 64);
    // SAFETY: the pointer came from `into_raw`, and no reference to the pool is left.
    drop(unsafe { Box::from_raw(place) });
}

/// There are enough blocks for all threads; at times the trimming thread holds them.
#[test]
fn no_refusal_while_another_thread_trims() {
    let pool = LockFree::<Fixed<64>, _>::new_in(Limit::bytes(Heap, 2000)).with_capacity(1);
    let blocks: Vec<_> = std::iter::from_fn(|| pool.allocate(LAYOUT).ok()).collect();
    assert!(blocks.len() > 20);
    // SAFETY: the block is live, and has this layout.
    let free = |block: NonNull<[u8]>| unsafe { pool.deallocate(block.cast(), LAYOUT) };
    blocks.into_iter().for_each(free);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let trims = scope.spawn(|| {
            let mut returned = 0;
            while !done.load(Ordering::Relaxed) || returned == 0 {
                returned += pool.trim();
            }
        });
        let works =
            || (0..20_000).for_each(|_| free(pool.allocate(LAYOUT).expect("there are more than two")));
        let other = scope.spawn(works);
        works();
        other.join().expect("it is not refused");
        done.store(true, Ordering::Relaxed);
        trims.join().expect("it does not panic");
    });
    assert_eq!(pool.stats().live, 0);
}

/// Threads request more than there is: requests fail, and no block is lost or handed out twice.
#[test]
fn bounded_lock_free_pool_under_stress() {
    let mut memory = vec![MaybeUninit::uninit(); 50 * 68 + 200];
    stress(LockFree::<Fixed<64>, _>::new_in(Buffer::new(&mut memory)));
}

#[test]
fn locked_pools_under_stress() {
    stress(Locked::<_>::new(Blocks::<Fixed<64>>::new()));
    stress(Locked::<_, _, SpinLock>::new_in(Blocks::<Fixed<64>>::new(), Heap));
    stress(Locked::<_>::new(Blocks::<(Fixed<64>, Magazine)>::new()));
    stress(Locked::<_>::new(Classes::new()));
    stress(Locked::<_>::new(Tlsf::new()));
    // Where threads outnumber cores, a fair lock waits for a thread that is next and not running: a small load, so that
    // it ends soon.
    let fair = Locked::<_, _, TicketLock>::new_in(Tlsf::without_quick_list(), Heap);
    assert!(Stress::of(LAYOUT).threads(3).rounds(5).seed(7).run(&fair) > 5);
    fair.check().expect("sound");
    assert_eq!(fair.stats().live, 0, "a block is lost");
}

/// An arena frees only its last block, so the test is bounded by its size.
#[test]
fn shared_arena_under_stress() {
    let mut arena = AtomicLinear::new();
    for seed in 0..3 {
        let served = Stress::of(LAYOUT).threads(4).rounds(50).seed(seed).run(&arena);
        assert!(served > 50);
        arena.check().expect("sound");
        arena.reset();
        assert_eq!(arena.stats().live, 0);
    }
    assert!(arena.trim() > 0);
    assert_eq!(arena.stats().held, 0);
}

/// One owner hands every block to one of three threads, which free it.
#[test]
fn remote_free_under_stress() {
    let remote_free = RemoteFree::new(Blocks::<Fixed<64>>::new());
    thread::scope(|scope| {
        let owner = remote_free.try_own().expect("it has no owner");
        assert!(remote_free.try_own().is_none(), "there are two owners");
        let others: Vec<_> = (0..3)
            .map(|_| {
                let (send, receive) = mpsc::sync_channel::<(usize, u64)>(100);
                let remote_free = &remote_free;
                scope.spawn(move || {
                    for (address, stamp) in receive {
                        let block = NonNull::new(std::ptr::with_exposed_provenance_mut::<u8>(address));
                        let block = block.expect("a block is not at zero");
                        // SAFETY: the block is live, was handed to this thread, and is freed once.
                        unsafe {
                            assert_eq!(block.cast::<[u64; 8]>().read(), [stamp; 8]);
                            remote_free.deallocate(block, LAYOUT);
                        }
                    }
                });
                send
            })
            .collect();
        for stamp in 0..30_000 {
            let block = owner.allocate(LAYOUT).expect("the heap has 64 bytes").cast::<u8>();
            // SAFETY: the block was just handed out and has 64 bytes.
            unsafe { block.cast::<[u64; 8]>().write([stamp; 8]) };
            let address = block.as_ptr().expose_provenance();
            others[stamp as usize % 3].send((address, stamp)).expect("the thread listens");
        }
    });
    let owner = remote_free.try_own().expect("the owner has gone");
    assert_eq!(owner.stats().live, 0);
    assert!(owner.stats().held < 1000 * 64, "what was returned was not used again");
    assert!(owner.collect_remote() > 0);
    owner.check().expect("sound");
}

/// A new owner gets everything that the previous one left.
#[test]
fn remote_free_loses_nothing_between_owners() {
    let mut remote_free = RemoteFree::new(Blocks::<Fixed<64>>::new().with_capacity(10));
    let blocks: Vec<_> = {
        let owner = remote_free.try_own().expect("it has no owner");
        (0..10).map(|_| owner.allocate(LAYOUT).expect("ten blocks").cast::<u8>()).collect()
    };
    // SAFETY: each block is live and freed once.
    blocks.iter().for_each(|&block| unsafe { remote_free.deallocate(block, LAYOUT) });
    let owner = remote_free.try_own().expect("the owner has gone");
    let again: Vec<_> = (0..10).map(|_| owner.allocate(LAYOUT).expect("ten blocks").cast::<u8>()).collect();
    assert!(again.iter().all(|block| blocks.contains(block)), "blocks were stranded");
    assert_eq!(owner.stats().chunks, 1);
    // SAFETY: as above.
    again.iter().for_each(|&block| unsafe { owner.deallocate(block, LAYOUT) });
    drop(owner);
    assert!(remote_free.trim() > 0);
}

#[test]
fn static_lock_free_pool_is_used_to_the_last_block() {
    // 30 blocks with their links, and the header of the segment.
    const SIZE: usize = 30 * (64 + 4) + 40;
    static MEMORY: StaticBuffer<SIZE> = StaticBuffer::new();
    static POOL: LockFree<Fixed<64>, &StaticBuffer<SIZE>> = LockFree::new_in(&MEMORY);
    let blocks: Vec<_> =
        std::iter::from_fn(|| POOL.allocate(LAYOUT).ok()).map(|block| block.cast::<u8>()).collect();
    assert_eq!(blocks.len(), 30);
    assert_eq!(POOL.allocate(LAYOUT), Err(AllocError::Exhausted));
    // SAFETY: the blocks are live, distinct, and this pool's.
    unsafe { POOL.deallocate_many(&blocks, LAYOUT) };
    let mut places = [MaybeUninit::uninit(); 30];
    POOL.allocate_many(LAYOUT, &mut places).expect("thirty blocks");
    assert!(POOL.allocate_many(LAYOUT, &mut [MaybeUninit::uninit()]).is_err());
    // SAFETY: every place was filled.
    let mut again = unsafe { places.assume_init_ref() }.to_vec();
    again.sort_unstable();
    assert_eq!(again, blocks, "not the same blocks, or one twice");
}

/// With indices and tags of 16 bits: the pool ends where its documentation says, and all its blocks are intact after
/// the tag has wrapped around more than once.
#[cfg(millpond_narrow)]
#[test]
fn narrow_lock_free_pool_to_its_last_index() {
    for (first, most) in [(1, (1 << 15) - 1), (512, (1 << 15) - 512), (1 << 14, 1 << 14), (1 << 20, 1 << 14)]
    {
        let pool = LockFree::<Fixed<64>>::new().with_capacity(first);
        let take_all = || std::iter::from_fn(|| pool.allocate(LAYOUT).ok()).map(|block| block.cast::<u8>());
        let mut blocks: Vec<_> = take_all().collect();
        assert_eq!(blocks.len(), most, "the first chunk has {first}");
        assert_eq!(pool.allocate(LAYOUT), Err(AllocError::Exhausted));
        assert!(pool.reserve(1).is_err());
        blocks.sort_unstable();
        for _ in 0..5 {
            // SAFETY: the blocks are live, distinct, and this pool's; each is freed once.
            blocks.iter().for_each(|&block| unsafe { pool.deallocate(block, LAYOUT) });
            pool.check().expect("sound");
            assert_eq!(pool.stats().live, 0);
            let mut again: Vec<_> = take_all().collect();
            again.sort_unstable();
            assert!(again == blocks, "not the same blocks, or one twice");
        }
        // SAFETY: as above.
        unsafe { pool.deallocate_many(&blocks, LAYOUT) };
        pool.check().expect("sound");
    }
}

/// A request for many blocks that cannot be served takes none.
#[test]
fn all_or_none() {
    let mut memory = vec![MaybeUninit::uninit(); 1000];
    let pool = LockFree::<Fixed<64>, _>::new_in(Buffer::new(&mut memory));
    assert!(pool.allocate_many(LAYOUT, &mut [MaybeUninit::uninit(); 50]).is_err());
    assert_eq!(pool.stats().live, 0);
    assert!(pool.stats().free > 500);
    assert!(LockFree::<Fixed<64>, _>::new_in(NullAllocator).reserve(1).is_err());
}

/// Chunks without live blocks are released, wherever they are; the first chunk and the links stay until the pool is
/// held exclusively.
#[test]
fn trim_keeps_live_blocks() {
    let mut pool = LockFree::<Fixed<64>, _>::new_in(Arc::new(Heap)).with_capacity(10);
    let take = |count: usize| -> Vec<_> {
        (0..count).map(|_| pool.allocate(LAYOUT).expect("the heap").cast::<u8>()).collect()
    };
    // SAFETY: each block is live and freed once.
    let free = |blocks: &[NonNull<u8>]| unsafe { pool.deallocate_many(blocks, LAYOUT) };
    // Blocks of 10, 32 and 64; the first is one chunk with its links, the others are two.
    let blocks = take(90);
    assert_eq!(pool.stats().chunks, 5);
    assert_eq!(pool.trim(), 0);
    let held = pool.stats().held;
    for (blocks, bytes) in [(&blocks[..10], 0), (&blocks[10..42], 32 * 64), (&blocks[42..], 64 * 64)] {
        free(blocks);
        assert_eq!(pool.trim(), bytes);
        pool.check().expect("sound");
    }
    assert_eq!((pool.stats().chunks, pool.stats().live, pool.stats().free), (3, 0, 640));
    assert!(pool.stats().held <= 640 + 106 * 4 + 3 * 48, "more than the first and the links are left");
    // The chunks come back with the same size.
    let again = take(90);
    assert_eq!((pool.stats().chunks, pool.stats().live, pool.stats().held), (5, 90 * 64, held));
    free(&again[10..42]);
    assert_eq!(pool.trim(), 32 * 64);
    assert!(again[..10].iter().chain(&again[42..]).all(|block| pool.owns(block.as_ptr())));
    free(&again[..10]);
    free(&again[42..]);
    pool.check().expect("sound");
    assert!(Reclaim::trim(&mut pool) > 74 * 64);
    assert_eq!(pool.stats().held, 0);
    assert!(pool.allocate(LAYOUT).is_ok());
}
