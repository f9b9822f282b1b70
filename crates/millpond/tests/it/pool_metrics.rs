//! Metrics of pools: what is known without guards, what guards add, and what changes over time.

use std::{alloc::Layout, rc::Rc};

use millpond::{
    Allocator, Arena, ArenaAlloc, Blocks, Cached, Classes, Fixed, Frames, Heap, Inspect, Local, Locked,
    Magazine, Owned, Pool, Reclaim, SharedPool, ThinPool, Tlsf,
    guard::{Counted, Limit, Stats},
    observe::{Intervals, PoolStats, Requested},
    pool::{AddressOrdered, Lifo, Validated},
    raw::RawPool,
    source::NullAllocator,
};

const BLOCK: Layout = Layout::new::<[u8; 50]>();

#[test]
fn uncounted_metrics_are_unknown() {
    let pool = Local::new(Blocks::<Fixed<64>>::new());
    let _ = pool.allocate(BLOCK).expect("the heap has room");
    let metrics = pool.metrics();
    assert_eq!((metrics.chunks, metrics.held, metrics.live, metrics.free), (1, 256, 64, 192));
    assert_eq!((metrics.capacity(), metrics.waste(), metrics.largest_free), (256, 0, Some(64)));
    assert_eq!((metrics.live_blocks, metrics.requested, metrics.peak), (None, None, None));
    assert_eq!((metrics.allocated, metrics.freed, metrics.failed, metrics.left), (None, None, None, None));
    assert_eq!(Local::new(Counted::new(Blocks::<Fixed<64>>::new())).metrics().live_blocks, Some(0));
}

#[test]
fn guards_add_what_they_count() {
    let pool = Locked::<_>::new(Limit::blocks(Stats::new(Blocks::<Fixed<64>>::new()), 3));
    let blocks: Vec<_> = (0..5).filter_map(|_| pool.allocate(BLOCK).ok()).collect();
    // SAFETY: the block is live, and this pool handed it out for this layout.
    unsafe { pool.deallocate(blocks[0].cast(), BLOCK) };
    let metrics = pool.metrics();
    let amount = |blocks| Some(Requested { blocks, bytes: 50 * blocks });
    assert_eq!((metrics.live_blocks, metrics.requested), (Some(2), Some(100)));
    assert_eq!((metrics.peak, metrics.allocated, metrics.freed), (amount(3), amount(3), amount(1)));
    assert_eq!((metrics.live, metrics.left), (128, Some(1)));
    assert_eq!((&&pool).metrics(), Rc::new(pool).metrics());
}

#[test]
fn waste_is_what_no_block_can_use() {
    let pool = Local::new(Tlsf::new());
    let _ = pool.allocate(Layout::new::<[u8; 100]>()).expect("the heap has room");
    let metrics = pool.metrics();
    assert_eq!(metrics.waste(), metrics.held - metrics.live - metrics.free);
    assert!(metrics.waste() >= 3 * size_of::<usize>(), "two tags and the last one");
    assert!(metrics.largest_free.is_some_and(|largest| largest <= metrics.free));
}

#[test]
fn intervals_report_changes() {
    let mut pool = Local::new_in(Stats::new(Blocks::<Fixed<64>>::new()), Heap);
    let before = pool.metrics();
    let blocks: Vec<_> = (0..100).map(|_| pool.allocate(BLOCK).expect("the heap has room")).collect();
    let mut intervals = Intervals::new(&pool);
    assert_eq!(intervals.metrics().live_blocks, Some(100));
    for block in &blocks[..30] {
        // SAFETY: the block is live, and this pool handed it out for this layout.
        unsafe { pool.deallocate(block.cast(), BLOCK) };
    }
    assert!(pool.allocate(Layout::new::<[u8; 100]>()).is_err());
    let change = intervals.next().expect("it never ends");
    assert_eq!(change.allocated, Some(Requested::default()));
    assert_eq!(change.freed, Some(Requested { blocks: 30, bytes: 1500 }));
    assert_eq!((change.failed, change.chunks, change.held, change.live), (Some(1), 0, 0, -30 * 64));
    let again = intervals.next().expect("it never ends");
    assert_eq!((again.freed, again.failed, again.live), (Some(Requested::default()), Some(0), 0));

    pool.reset();
    let held = pool.trim();
    let all = pool.metrics().since(&before);
    assert_eq!(
        (all.allocated, all.freed),
        (Some(Requested { blocks: 100, bytes: 5000 }), Some(Requested { blocks: 100, bytes: 5000 }))
    );
    assert_eq!((all.chunks, all.held, all.live), (0, 0, 0));
    assert!(held > 0);
    let less = pool.metrics().since(&intervals_with_more());
    assert_eq!((less.chunks, less.held), (-1, -256));
}

fn intervals_with_more() -> millpond::observe::Metrics {
    let pool = Local::new(Blocks::<Fixed<64>>::new());
    let _ = pool.allocate(BLOCK).expect("the heap has room");
    pool.metrics()
}

#[cfg(feature = "serde")]
#[test]
fn metrics_and_heap_maps_are_serialized() {
    let pool = Local::new(Stats::new(Blocks::<Fixed<64>>::new()));
    let _ = pool.allocate(BLOCK).expect("the heap has room");
    let json = serde_json::to_value(pool.metrics()).expect("plain numbers");
    assert_eq!((&json["held"], &json["peak"]["bytes"]), (&256.into(), &50.into()));
    assert_eq!(json["left"], serde_json::Value::Null);
    let change = serde_json::to_value(pool.metrics().since(&pool.metrics())).expect("plain numbers");
    assert_eq!((&change["live"], &change["allocated"]["blocks"]), (&0.into(), &0.into()));
    let stats = serde_json::to_value((pool.stats(), pool.report())).expect("plain numbers");
    assert_eq!((&stats[0]["live"], &stats[1]["live_blocks"]), (&64.into(), &1.into()));

    use millpond::observe::InspectExt;
    let map = serde_json::to_value(pool.heap_map(4)).expect("plain numbers");
    assert_eq!(map, serde_json::to_value(pool.heap_map(4).view()).expect("plain numbers"));
    assert_eq!((&map["chunks"][0]["size"], &map["chunks"][0]["block"]), (&256.into(), &64.into()));
    assert_eq!(map["cells"].as_array().map(Vec::len), Some(4));
    assert_eq!((&map["cells"][0]["live"], &map["cells"][3]["free"]), (&64.into(), &64.into()));
}

/// Typed pools and arenas give the same answers as the memory behind them, to every query.
#[test]
fn typed_pools_forward_every_query() {
    let pool = Pool::<u64>::new();
    let _value = pool.alloc(1);
    assert_eq!((pool.largest_free(), pool.metrics().largest_free), (Some(8), Some(8)));
    let thin = ThinPool::<u64>::new();
    let _value = thin.alloc(1);
    assert_eq!((thin.largest_free(), thin.metrics().largest_free), (Some(8), Some(8)));
    let arena = Arena::new();
    arena.alloc(1u8);
    assert!(arena.largest_free().is_some_and(|size| size > 0 && size <= arena.stats().free));
    assert_eq!(arena.metrics().largest_free, arena.largest_free());
    let mut shared = SharedPool::<u64>::new();
    drop(shared.alloc(1));
    assert_eq!((shared.metrics().held, Inspect::metrics(&shared)), (256, shared.memory().metrics()));
    assert_eq!((Reclaim::trim(&mut shared), shared.stats().held), (256, 0));
    let frames = Frames::<2>::new();
    frames.alloc(1u64);
    assert_eq!(frames.metrics().largest_free, Some(256 - 8));
}

/// A guard that counts saves the pool a walk, and reports the same as the pool would.
#[test]
fn counting_guards_agree_with_the_pool() {
    fn agrees<P: RawPool + Inspect>(pool: P, inner: impl Fn(&P) -> PoolStats) {
        let mut pool = Owned::new(pool);
        let mut rng = fastrand::Rng::with_seed(1);
        let mut live = Vec::new();
        for _ in 0..3000 {
            if rng.u8(0..5) < 3 || live.is_empty() {
                live.extend(pool.allocate(BLOCK));
            } else {
                let block = live.swap_remove(rng.usize(0..live.len()));
                // SAFETY: the block is live, and this pool handed it out for this layout.
                unsafe { pool.deallocate(block.cast(), BLOCK) };
            }
            assert_eq!(pool.stats(), inner(pool.pool()));
            assert_eq!(pool.stats().live, live.len() * 64);
        }
        pool.reset();
        assert_eq!((pool.stats().live, pool.stats()), (0, inner(pool.pool())));
    }
    agrees(Counted::new(Blocks::<Fixed<64>>::new()), |guard| guard.inner().stats());
    agrees(Stats::new(Blocks::<(Fixed<64>, Magazine)>::new()), |guard| guard.inner().stats());
    agrees(Stats::new(Limit::bytes(Blocks::<(Fixed<64>, AddressOrdered)>::new(), 1 << 20)), |guard| {
        guard.inner().inner().stats()
    });
    agrees(Limit::blocks(Blocks::<(Fixed<64>, Validated<Lifo>)>::new(), 10_000), |guard| {
        guard.inner().stats()
    });
}

/// Blocks in caches are free, and count for the largest free block.
#[test]
fn cached_blocks_are_free() {
    let pool = Cached::<_>::new(Classes::new());
    let _kept = pool.allocate(Layout::new::<[u8; 50]>()).expect("the heap has room");
    let large = pool.allocate(Layout::new::<[u8; 200]>()).expect("the heap has room");
    // SAFETY: the block is live, and this pool handed it out for this layout.
    unsafe { pool.deallocate(large.cast(), Layout::new::<[u8; 200]>()) };
    let metrics = pool.metrics();
    assert!(metrics.largest_free.is_some_and(|largest| largest >= large.len()), "{metrics:?}");
    let empty = Cached::<_, _>::new_in(Classes::new(), NullAllocator);
    assert_eq!(empty.metrics().largest_free, Some(0));
}
