//! Free memory is available: on a parent of bounded size, blocks freed in one size serve requests of another.

use std::{
    alloc::Layout,
    cell::Cell,
    ptr::NonNull,
    sync::{Arc, Barrier},
    thread,
};

use millpond::{
    AllocError, Allocator, Blocks, Buddy, Cached, Classes, Fixed, Heap, Inspect, Linear, Local, LockFree,
    Locked, Magazine, Owned, Reclaim, SignPost, Stack, Tlsf,
    guard::{Fallback, Limit, Poison, Quarantine, Segregator, Stats},
    lock::DefaultLock,
    oom::Retry,
    pool::{AddressOrdered, Lifo, Validated},
    raw::{Allocation, PoolHooks, RawPool, Reserve},
    shell::RemoteFree,
    testing::Conformance,
};

use crate::{cached::alone, tracking_parent::TrackingParent};

const CAP: usize = 1 << 18;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a layout")
}

type Capped = Limit<TrackingParent>;

fn capped() -> Capped {
    Limit::bytes(TrackingParent::default(), CAP)
}

/// Takes blocks of a size until the pool refuses or they add up to the cap.
fn fill(pool: &impl Allocator, size: usize) -> Vec<NonNull<u8>> {
    let most = CAP / size;
    (0..most).map_while(|_| pool.allocate(layout(size)).ok()).map(NonNull::cast).collect()
}

fn free(pool: &impl Allocator, size: usize, blocks: impl IntoIterator<Item = NonNull<u8>>) {
    for block in blocks {
        // SAFETY: the block is live, and was handed out for this layout.
        unsafe { pool.deallocate(block, layout(size)) };
    }
}

/// Fills a pool with blocks of each size and frees them: afterwards the pool must serve blocks of every other size as a
/// new pool would, except for what its fragments take.
fn serves_any_size<S: Allocator>(name: &str, sizes: &[usize], percent: usize, make: impl Fn() -> S) {
    for &large in sizes {
        let fresh = {
            let pool = make();
            let blocks = fill(&pool, large);
            let count = blocks.len();
            free(&pool, large, blocks);
            count
        };
        for &small in sizes {
            let pool = make();
            for round in 0..2 {
                let blocks = fill(&pool, small);
                assert!(!blocks.is_empty(), "{name}: not one block of {small}");
                free(&pool, small, blocks);
                let blocks = fill(&pool, large);
                let enough = (fresh * percent / 100).max(fresh.min(1));
                let count = blocks.len();
                assert!(count >= enough, "{name}, round {round}: {small} then {large}: {count} of {fresh}");
                free(&pool, large, blocks);
            }
        }
    }
}

/// Runs the test in every shell that one thread can use.
fn in_every_shell<P: RawPool>(name: &str, sizes: &[usize], percent: usize, pool: impl Fn() -> P) {
    serves_any_size(name, sizes, percent, || Local::new_in(pool(), capped()));
    serves_any_size(name, sizes, percent, || Locked::<_, _>::new_in(pool(), capped()));
    serves_any_size(name, sizes, percent, || Local::with_policy(pool(), capped(), Retry(|_, _| false)));
    // A pool as the parent, which has to release its chunks in turn.
    serves_any_size(name, sizes, 50, || Local::new_in(pool(), Local::new_in(Classes::new(), capped())));
}

const SIZES: [usize; 5] = [16, 64, 1000, 4096, 50_000];

#[test]
fn free_memory_serves_any_size() {
    in_every_shell("classes", &SIZES, 95, Classes::new);
    in_every_shell("tlsf", &SIZES, 65, Tlsf::new);
    in_every_shell("sign post", &SIZES, 65, SignPost::best_fit);
    in_every_shell("buddy", &SIZES, 50, Buddy::new);
    in_every_shell("segregated", &SIZES, 65, || {
        Segregator::new(64, Blocks::<Fixed<64>>::new(), Segregator::new(4096, Classes::new(), Tlsf::new()))
    });
    in_every_shell("fallback", &SIZES, 95, || {
        Fallback::new(Limit::blocks(Blocks::<Fixed<64>>::new(), 100), Classes::new())
    });
    in_every_shell("marked, compact", &[64, 8], 90, || {
        Segregator::new(
            8,
            Blocks::<(Fixed<8>, Validated<Lifo>)>::new(),
            Blocks::<(Fixed<64>, AddressOrdered)>::new(),
        )
    });
    in_every_shell("magazine", &[64, 8], 90, || {
        Segregator::new(8, Blocks::<(Fixed<8>, Magazine)>::new(), Blocks::<(Fixed<64>, Magazine)>::new())
    });
}

#[test]
fn free_memory_serves_any_size_through_guards() {
    in_every_shell("stats", &SIZES, 95, || Stats::new(Classes::new()));
    in_every_shell("poison", &SIZES, 95, || Poison::new(Classes::new()));
    in_every_shell("quarantine", &SIZES, 90, || Quarantine::<_, 64>::new(Classes::new()));
    in_every_shell("limit", &SIZES, 95, || Limit::bytes(Classes::new(), CAP));
    serves_any_size("stats around", &SIZES, 95, || Stats::new(Local::new_in(Classes::new(), capped())));
    // Larger ones pass through to the parent, so the pool does not own them.
    serves_any_size("fallback around", &SIZES[..4], 95, || {
        Fallback::new(Local::new_in(Classes::new(), capped()), millpond::source::NullAllocator)
    });
}

#[test]
fn free_memory_serves_any_size_in_thread_caches() {
    let _turn = alone();
    type Pool<P> = Cached<P, Capped>;
    serves_any_size("cached", &SIZES, 85, || Pool::new_in(Classes::new(), capped()));
    serves_any_size("cached, guarded", &SIZES, 85, || Pool::new_in(Stats::new(Classes::new()), capped()));
    let pool = Pool::new_in(Classes::new(), capped());
    // Through a handle, after threads have ended, and with large blocks that pass through the pool and grow.
    thread::scope(|scope| {
        // Joined, because otherwise its thread index may not be free yet.
        scope.spawn(|| free(&pool, 64, fill(&pool, 64))).join().expect("it does not panic");
    });
    let handle = pool.handle();
    let large = handle.allocate(layout(40_000)).expect("all is free");
    free(&handle, 24, (0..1000).filter_map(|_| handle.allocate(layout(24)).ok()).map(NonNull::cast));
    // SAFETY: the block is live and of this layout.
    let large =
        unsafe { handle.grow(large.cast(), layout(40_000), layout(150_000)) }.expect("all else is free");
    free(&handle, 150_000, [large.cast()]);
    drop(handle);
    let most = fill(&pool, 4096);
    assert!(most.len() >= 52, "{} of 64", most.len());
    free(&pool, 4096, most);
}

#[test]
fn owner_is_served_any_size() {
    let mut pool = Owned::new_in(Classes::new(), capped());
    for size in SIZES.into_iter().rev().chain(SIZES) {
        let blocks: Vec<_> = (0..CAP / size).map_while(|_| pool.allocate(layout(size)).ok()).collect();
        assert!(blocks.len() * size * 10 > CAP * 7, "{} of {size}", blocks.len());
        for block in blocks {
            // SAFETY: the block is live, and was handed out for this layout.
            unsafe { pool.deallocate(block.cast(), layout(size)) };
        }
    }
    let small = pool.allocate(layout(64)).expect("all is free").cast();
    // SAFETY: the block is live, and was handed out for this layout.
    unsafe { pool.deallocate(small, layout(64)) };
    assert!(pool.trim() > 0 && pool.stats().held == 0 && pool.parent().left() == CAP);
    pool.reset();
    // Blocks that other threads returned are free as well when the owner trims.
    let remote_free = RemoteFree::new_in(Blocks::<Fixed<64>>::new(), capped());
    let owner = remote_free.try_own().expect("it is free");
    for block in fill(&owner, 64) {
        // SAFETY: the block is live, and was handed out for this layout.
        unsafe { remote_free.deallocate(block, layout(64)) };
    }
    assert!(owner.trim() > CAP / 2 && owner.stats().held == 0);
}

/// Live blocks are not touched, whatever is released around them.
#[test]
fn live_blocks_survive_a_release() {
    let pool = Local::new_in(Classes::new(), capped());
    let mut blocks = fill(&pool, 64);
    let kept: Vec<_> = blocks.iter().copied().step_by(500).collect();
    for (number, block) in kept.iter().enumerate() {
        // SAFETY: the block is live, and as long.
        unsafe { block.cast::<[usize; 8]>().write([number; 8]) };
    }
    blocks.retain(|block| !kept.contains(block));
    free(&pool, 64, blocks);
    let large = fill(&pool, 4096);
    for &block in &large {
        // SAFETY: the block is live, and as long.
        unsafe { block.write_bytes(0xff, 4096) };
    }
    for (number, block) in kept.iter().enumerate() {
        // SAFETY: as above.
        assert_eq!(unsafe { block.cast::<[usize; 8]>().read() }, [number; 8]);
    }
    pool.check().expect("sound");
    free(&pool, 4096, large);
    free(&pool, 64, kept);
}

#[test]
fn cap_is_used_to_the_last_chunk() {
    // Two halves, and growth that would double beyond the rest.
    let half = layout(CAP / 2 - 2048);
    for pool in
        [&Local::new_in(Classes::new(), capped()) as &dyn Allocator, &Local::new_in(Tlsf::new(), capped())]
    {
        let blocks = [(); 2].map(|()| pool.allocate(half).expect("half of the cap").cast());
        free(&pool, half.size(), blocks);
    }
    for cap in [10_000, 100_000, 1_000_000] {
        let parent = || Limit::bytes(Heap, cap);
        let count =
            |pool: &dyn Allocator| (0..).take_while(|_| pool.allocate(layout(64)).is_ok()).count() * 64;
        let all = [
            count(&Local::new_in(Blocks::<Fixed<64>>::new(), parent())),
            count(&LockFree::<Fixed<64>, _>::new_in(parent())),
        ];
        assert!(all.iter().all(|&bytes| bytes * 10 >= cap * 9), "of {cap}: {all:?}");
        // The chunks of a class have a larger header, which matters where chunks are small.
        let classes = count(&Local::new_in(Classes::new(), parent()));
        assert!(classes * 100 >= cap * if cap > 10_000 { 90 } else { 85 }, "of {cap}: {classes}");
    }
}

/// A refused request ends, even where the parent calls back into the pool and where threads compete for it.
#[test]
fn refusals_end() {
    let pool = Local::new_in(Classes::new(), Limit::bytes(Heap, 10_000));
    let blocks = fill(&pool, 64);
    for _ in 0..100 {
        assert_eq!(pool.allocate(layout(4096)), Err(AllocError::Limit));
        assert_eq!(pool.allocate(layout(usize::MAX / 4)), Err(AllocError::Limit));
    }
    free(&pool, 64, blocks);

    let pool = Locked::<_, _>::new_in(Classes::new(), Limit::bytes(Heap, 200_000));
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (pool, start) = (&pool, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..300 {
                    let size = [16, 64, 1000, 9000][(thread + round) % 4];
                    let blocks = (0..200).map_while(|_| pool.allocate(layout(size)).ok());
                    let blocks: Vec<NonNull<u8>> = blocks.map(NonNull::cast).collect();
                    for &block in &blocks {
                        // SAFETY: the block is live, and as long.
                        unsafe { block.write_bytes(thread as u8, size) };
                    }
                    if round % 50 == 0 {
                        pool.trim();
                    }
                    for &block in &blocks {
                        // SAFETY: as above.
                        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), size) };
                        assert!(bytes.iter().all(|&byte| byte == thread as u8), "another thread wrote here");
                    }
                    free(pool, size, blocks);
                }
            });
        }
    });
    pool.check().expect("sound");
    assert_eq!(pool.stats().live, 0);
    let large = pool.allocate(layout(150_000)).expect("all is free");
    free(&pool, 150_000, [large.cast()]);
}

/// A parent that uses the pool above it in each request.
struct CallsBack {
    pool: Cell<Option<&'static Local<Classes, CallsBack>>>,
    memory: Limit<Heap>,
    calls: Cell<usize>,
}

impl CallsBack {
    fn call(&self) {
        // Not from within such a call.
        if let Some(pool) = self.pool.take() {
            self.calls.set(self.calls.get() + 1);
            for size in [8, 100, 3000] {
                if let Ok(block) = pool.allocate(layout(size)) {
                    free(pool, size, [block.cast()]);
                }
            }
            pool.trim();
            self.pool.set(Some(pool));
        }
    }
}

// SAFETY: every block is one of the heap's.
unsafe impl Allocator for CallsBack {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.call();
        self.memory.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.call();
        // SAFETY: the contract is the same as the caller's.
        unsafe { self.memory.deallocate(block, layout) };
    }
}

#[test]
fn parent_may_call_back_during_a_release() {
    let parent = CallsBack { pool: Cell::new(None), memory: Limit::bytes(Heap, CAP), calls: Cell::new(0) };
    let place = Box::into_raw(Box::new(Local::new_in(Classes::new(), parent)));
    // SAFETY: the pool lives until the end of this test, and its parent forgets it before that.
    let pool: &'static Local<_, _> = unsafe { &*place };
    pool.parent().pool.set(Some(pool));
    for size in SIZES {
        let blocks = fill(pool, size);
        assert!(blocks.len() * size > CAP / 2, "{} of {size}", blocks.len());
        free(pool, size, blocks);
        pool.check().expect("sound");
    }
    assert!(pool.parent().calls.get() > 10);
    pool.trim();
    assert_eq!(pool.stats().held, 0);
    pool.parent().pool.set(None);
    // SAFETY: the pointer came from `into_raw`, and no reference to the pool is left.
    drop(unsafe { Box::from_raw(place) });
}

#[test]
fn scope_survives_a_release_by_its_stack() {
    let mut stack = Local::new_in(Stack::new(), Limit::bytes(TrackingParent::default(), 100_000));
    stack.scope(|outer| {
        outer.scope(|inner| while inner.allocate(layout(1000)).is_ok() {});
        // Refused while the chunks of the inner scope are held; after that, the scope goes back to its own mark.
        outer.scope(|inner| inner.allocate(layout(90_000)).map(|block| block.len())).expect("all is free");
        outer.allocate(layout(90_000)).map(|block| block.len()).expect("all is free")
    });
    assert_eq!(stack.stats().live, 0);
    stack.check().expect("sound");
    // A mark at the start of an untouched chunk stays valid.
    stack.scope(|outer| {
        for _ in 0..3 {
            let refused = outer.scope(|inner| inner.allocate(layout(CAP)).is_err());
            assert!(refused);
            outer.allocate(layout(100)).expect("there is room");
        }
    });
    assert_eq!(stack.stats().live, 0);
    assert!(stack.trim() > 0 && stack.stats().held == 0);
}

#[test]
fn shared_pools_are_trimmed_in_place() {
    let _turn = alone();
    static POOL: Locked<Blocks<Fixed<64>>, Heap> = Locked::new_in(Blocks::new(), Heap);
    free(&POOL, 64, fill(&POOL, 64));
    assert!(POOL.trim() >= CAP && POOL.stats().held == 0);

    static CACHED: Cached<Blocks<Fixed<64>>, Heap> = Cached::constant(Blocks::new(), Heap);
    let kept = CACHED.allocate(layout(64)).expect("the heap has room");
    free(&CACHED, 64, fill(&CACHED, 64));
    assert!(CACHED.trim() >= CAP / 2 && CACHED.stats().live == 64);
    free(&CACHED, 64, [kept.cast()]);

    let shared = Arc::new(Cached::<_, _>::new_in(Classes::new(), capped()));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for size in [24, 500, 24, 5000] {
                    free(
                        &*shared,
                        size,
                        (0..30).filter_map(|_| shared.allocate(layout(size)).ok()).map(NonNull::cast),
                    );
                    shared.trim();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    shared.trim();
    assert_eq!(shared.stats().live, 0);
    shared.check().expect("sound");

    // A child keeps its parent's memory, and both release what is free of theirs.
    let parent = Local::new_in(Tlsf::new(), capped());
    let child = Local::new_in(Classes::new(), &parent);
    let kept = child.allocate(layout(64)).expect("room").cast();
    free(&child, 4096, fill(&child, 4096));
    assert!(child.trim() > 0 && parent.trim() > 0);
    parent.check().and_then(|()| child.check()).expect("sound");
    free(&child, 64, [kept]);
}

/// Free memory of a lock-free pool can be released through a shared reference; it serves others, and the pool again.
#[test]
fn lock_free_pool_releases_through_a_shared_reference() {
    static MEMORY: Limit<Heap> = Limit::bytes(Heap, CAP);
    static IDLE: LockFree<Fixed<64>, &Limit<Heap>> = LockFree::new_in(&MEMORY);
    let plain = || Local::new_in(Blocks::<Fixed<128>>::new(), &MEMORY);
    let trims = || Local::with_policy(Blocks::<Fixed<128>>::new(), &MEMORY, Retry(|_, _| IDLE.trim() != 0));
    for round in 0..40 {
        let blocks = fill(&IDLE, 64);
        assert!(blocks.len() * 64 >= CAP * 85 / 100, "round {round}: {}", blocks.len());
        free(&IDLE, 64, blocks);
        assert!(fill(&plain(), 128).len() < CAP / 128 / 2, "the other pool has most of it");
        // All except the first chunk and the links.
        let others = trims();
        assert!(fill(&others, 128).len() > CAP / 128 * 80 / 100, "round {round}");
        // While another pool holds some of it, the pool gets what is left, as far as its chunks fit: they come back in
        // their old length.
        let small = fill(&IDLE, 64);
        free(&IDLE, 64, small);
        drop(others);
        let taken = 1000 * (round * 37 % 200);
        let elsewhere = MEMORY.allocate(layout(taken + 1)).expect("the pools have given it back");
        let blocks = fill(&IDLE, 64);
        assert!(blocks.len() * 64 >= (CAP - taken) / 4, "round {round}: {} with {taken}", blocks.len());
        free(&IDLE, 64, blocks);
        IDLE.check().expect("sound");
        IDLE.trim();
        // SAFETY: the block is live, and of this layout.
        unsafe { MEMORY.deallocate(elsewhere.cast(), layout(taken + 1)) };
    }
    // With live blocks in a few chunks, the others are released.
    let blocks = fill(&IDLE, 64);
    let (kept, rest) = blocks.split_at(100);
    free(&IDLE, 64, rest.iter().copied());
    assert!(IDLE.trim() > CAP / 2);
    free(&IDLE, 64, kept.iter().copied());
}

/// An OOM handler makes room where the pool itself has none: in another pool.
#[test]
fn policy_trims_another_pool() {
    static MEMORY: Limit<Heap> = Limit::bytes(Heap, CAP);
    static IDLE: Locked<Blocks<Fixed<64>>, &Limit<Heap>> = Locked::new_in(Blocks::new(), &MEMORY);
    free(&IDLE, 64, fill(&IDLE, 64));
    let plain = Local::new_in(Blocks::<Fixed<128>>::new(), &MEMORY);
    assert!(fill(&plain, 128).len() < CAP / 128 / 2, "the other pool has most of it");
    drop(plain);
    let trims = Local::with_policy(Blocks::<Fixed<128>>::new(), &MEMORY, Retry(|_, _| IDLE.trim() != 0));
    assert!(fill(&trims, 128).len() > CAP / 128 * 9 / 10);
}

/// A reservation that is impossible fails at once, in each shell, and keeps nothing.
#[test]
fn impossible_reservation_keeps_nothing() {
    fn refuses<P: Reserve + Inspect>(make: impl Fn() -> P) {
        for count in [1 << 20, 1 << 30, 1 << 57, 1 << 58, 1 << 60, usize::MAX / 64, usize::MAX] {
            let local = Local::new_in(make(), Limit::bytes(TrackingParent::default(), CAP));
            assert!(local.reserve(layout(64), count).is_err(), "{count:#x}");
            assert_eq!((local.stats().held, local.parent().left()), (0, CAP), "{count:#x}");
            // Earlier reservations stay.
            local.reserve(layout(64), 100).expect("there is room");
            let held = local.stats().held;
            assert!(local.reserve(layout(64), count).is_err(), "{count:#x}");
            assert_eq!(local.stats().held, held, "{count:#x}");
            let blocks: Vec<_> = (0..100).map_while(|_| local.allocate(layout(64)).ok()).collect();
            assert_eq!((blocks.len(), local.stats().held), (100, held), "what was reserved before");
            local.check().expect("sound");
            free(&local, 64, blocks.into_iter().map(NonNull::cast));
            let locked = Locked::<_, _, DefaultLock>::new_in(make(), capped());
            assert!(locked.reserve(layout(64), count).is_err() && locked.stats().held == 0);
            let mut owned = Owned::new_in(make(), capped());
            assert!(owned.reserve(layout(64), count).is_err() && owned.stats().held == 0);
        }
    }
    refuses(Blocks::<Fixed<64>>::new);
    refuses(Blocks::<(Fixed<64>, Magazine)>::new);
    refuses(Blocks::<(Fixed<64>, AddressOrdered)>::new);
    refuses(|| Blocks::<(Fixed<64>, AddressOrdered)>::new().with_blocks_per_chunk(100));
    refuses(|| Blocks::<Fixed<64>>::new().with_blocks_per_chunk(100));
    refuses(Blocks::<(Fixed<64>, Validated<Lifo>)>::new);
    refuses(Classes::new);
    refuses(|| Stats::new(Classes::new()));
    refuses(|| Quarantine::<_, 8>::new(Classes::new()));
    refuses(|| Segregator::new(8, Blocks::<Fixed<8>>::new(), Blocks::<Fixed<64>>::new()));
    refuses(|| Fallback::new(Blocks::<Fixed<64>>::new(), Classes::new()));
    for count in [1 << 20, 1 << 30, 1 << 57, usize::MAX] {
        let cached = Cached::<_, _>::new_in(Classes::new(), capped());
        assert!(cached.reserve(layout(64), count).is_err() && cached.stats().held == 0);
        let free = LockFree::<Fixed<64>, _>::new_in(capped());
        assert!(free.reserve(count).is_err() && free.stats().held == 0 && free.parent().left() == CAP);
        free.reserve(3000).expect("there is room");
        assert!(free.stats().free >= 3000 * 64);
    }
}

/// A reservation does not exceed what a guard would refuse.
#[test]
fn reservation_respects_guards() {
    fn refused<P: Reserve>(pool: P, count: usize, error: AllocError) {
        let pool = Local::new_in(pool, TrackingParent::default());
        let most = count - 1;
        assert_eq!(pool.reserve(layout(64), count), Err(error));
        pool.reserve(layout(64), most).expect("the guard allows this many");
        let requests = pool.parent().requests();
        assert!((0..most).all(|_| pool.allocate(layout(64)).is_ok()), "they were promised");
        assert_eq!(pool.parent().requests(), requests);
        assert!(pool.allocate(layout(64)).is_err());
    }
    let blocks = Blocks::<Fixed<64>>::new;
    refused(Limit::blocks(blocks(), 2), 3, AllocError::Limit);
    refused(Limit::bytes(blocks(), 128), 3, AllocError::Limit);
    refused(Stats::new(Limit::blocks(Classes::new(), 10)), 11, AllocError::Limit);
    refused(millpond::guard::FailNth::after(blocks(), 5), 6, AllocError::Exhausted);
    refused(millpond::guard::FailNth::only(blocks(), 5), 6, AllocError::Exhausted);
    refused(millpond::guard::FailNth::every(blocks(), 5), 5, AllocError::Exhausted);
    refused(Segregator::new(8, Blocks::<Fixed<8>>::new(), Limit::blocks(blocks(), 7)), 8, AllocError::Limit);
    refused(Fallback::new(Limit::blocks(blocks(), 7), Blocks::<Fixed<8>>::new()), 8, AllocError::Limit);
    refused(
        Fallback::new(Limit::blocks(blocks(), 7), Limit::blocks(Classes::new(), 20)),
        28,
        AllocError::Limit,
    );
    let pool = Local::new(Limit::bytes(Classes::new(), 1000));
    assert_eq!(pool.reserve(layout(64), usize::MAX), Err(AllocError::Exhausted));
    assert_eq!(pool.reserve(layout(40_000), 1), Err(AllocError::Unsupported));
    assert_eq!(pool.reserve(layout(64), 0), Ok(()));
}

/// The rule of the conformance kit fails for a shell that does not release its chunks.
#[test]
fn kit_finds_a_pool_that_releases_nothing() {
    struct Hoards(Classes);

    // SAFETY: all calls are forwarded; not releasing chunks is allowed.
    unsafe impl RawPool for Hoards {
        fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
            self.0.allocate(layout)
        }

        unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the contract is the same as the caller's.
            unsafe { self.0.deallocate(block, layout) };
        }

        fn chunk_request(&self, layout: Layout) -> Option<millpond::raw::ChunkRequest> {
            self.0.chunk_request(layout)
        }

        unsafe fn add_chunk(
            &mut self,
            chunk: millpond::raw::Chunk,
            layout: Layout,
        ) -> Result<(), millpond::raw::Chunk> {
            // SAFETY: the contract is the same as the caller's.
            unsafe { self.0.add_chunk(chunk, layout) }
        }

        fn release_chunk(&mut self, which: millpond::raw::Release) -> Option<millpond::raw::Chunk> {
            (which == millpond::raw::Release::Any).then(|| self.0.release_chunk(which)).flatten()
        }

        fn reset(&mut self) {
            self.0.reset();
        }
    }

    impl PoolHooks for Hoards {
        fn passes_through(&self, layout: Layout) -> bool {
            self.0.passes_through(layout)
        }
    }

    let kit = |limit: usize| {
        Conformance::of(move || Local::new_in(Hoards(Classes::new()), Limit::bytes(Heap, limit)))
    };
    kit(CAP).run();
    let caught = std::panic::catch_unwind(|| kit(CAP).bounded().run());
    assert!(caught.is_err(), "it is found");
}

#[test]
fn arena_releases_chunks_after_a_reset() {
    let mut arena = Local::new_in(Linear::new(), capped());
    while arena.allocate(layout(1000)).is_ok() {}
    Reclaim::reset(&mut arena);
    arena.allocate(layout(CAP - 4096)).expect("all is free");
}
