//! How pools of blocks grow, and how many blocks are allocated at once.

use std::{alloc::Layout, collections::BTreeSet, mem::MaybeUninit, ptr::NonNull};

use millpond::{
    AllocError, Allocator, Blocks, Classes, Fixed, Inspect, Linear, Local, Locked, Magazine, Owned,
    guard::{Counted, Fallback, Limit, Segregator, Stats},
    pool::{AddressOrdered, Config, Lifo},
    raw::{RawPool, Reserve},
    source::NullAllocator,
};

use crate::tracking_parent::TrackingParent;

const BLOCK: Layout = Layout::new::<[u64; 8]>();

fn chunks_after<C: Config>(pool: Blocks<C>, blocks: usize) -> (usize, usize) {
    let pool = Local::new_in(pool, TrackingParent::default());
    for _ in 0..blocks {
        pool.allocate(BLOCK).expect("the heap has room");
    }
    pool.check().expect("sound");
    (pool.stats().chunks, pool.stats().live + pool.stats().free)
}

#[test]
fn chunks_double_or_have_the_configured_size() {
    let (doubling, _) = chunks_after(Blocks::<Fixed<64>>::new(), 10_000);
    assert!((8..=9).contains(&doubling), "4 KiB, 8 KiB, … 640 KB: {doubling} chunks");
    assert_eq!(chunks_after(Blocks::<Fixed<64>>::new().with_capacity(1000), 1000), (1, 64_000));
    assert_eq!(chunks_after(Blocks::<Fixed<64>>::new().with_capacity(1000), 1001).0, 2);
    for per_chunk in [1, 7, 64] {
        let (chunks, room) = chunks_after(Blocks::<Fixed<64>>::new().with_blocks_per_chunk(per_chunk), 640);
        assert_eq!(
            (chunks, room),
            (640usize.div_ceil(per_chunk), 640usize.div_ceil(per_chunk) * per_chunk * 64)
        );
    }
    let (chunks, room) =
        chunks_after(Blocks::<(Fixed<64>, AddressOrdered)>::new().with_blocks_per_chunk(100), 250);
    assert_eq!((chunks, room), (3, 300 * 64));
}

#[test]
fn small_blocks_per_chunk_are_exact() {
    let pool = Local::new_in(Blocks::<Fixed<8>>::new().with_blocks_per_chunk(5), TrackingParent::default());
    for _ in 0..50 {
        pool.allocate(Layout::new::<u64>()).expect("the heap has room");
    }
    assert_eq!((pool.stats().chunks, pool.stats().live, pool.stats().free), (10, 400, 0));
}

fn reserves<C: Config>(make: impl Fn() -> Blocks<C>) {
    let pool = Local::new_in(make(), TrackingParent::default());
    let first = pool.allocate(BLOCK).expect("the heap has room").cast();
    pool.reserve(BLOCK, 50_000).expect("the heap has room");
    let asked = pool.parent().requests();
    pool.reserve(BLOCK, 50_000).expect("it is there already");
    // SAFETY: the block is live, and this pool handed it out for this layout.
    unsafe { pool.deallocate(first, BLOCK) };
    for _ in 0..50_001 {
        pool.allocate(BLOCK).expect("reserved");
    }
    assert_eq!(pool.parent().requests(), asked, "what was reserved needs no parent");
    assert_eq!(pool.reserve(Layout::new::<[u8; 65]>(), 1), Err(AllocError::Unsupported));
    pool.check().expect("sound");
}

#[test]
fn reserved_blocks_need_no_parent() {
    reserves(Blocks::<Fixed<64>>::new);
    reserves(|| Blocks::<(Fixed<64>, Lifo)>::new().with_blocks_per_chunk(333));
    reserves(Blocks::<(Fixed<64>, Magazine)>::new);
    reserves(Blocks::<(Fixed<64>, AddressOrdered)>::new);
    let pool = Local::new(Classes::new());
    pool.reserve(BLOCK, 1000).expect("the heap has room");
    assert!(pool.stats().free >= 64_000);
    let stuck = Local::new_in(Blocks::<Fixed<64>>::new(), NullAllocator);
    assert_eq!(stuck.reserve(BLOCK, 1), Err(AllocError::Exhausted));
    assert_eq!(stuck.reserve(BLOCK, 0), Ok(()));
}

/// Takes many blocks, checks that they differ, and frees them.
fn many(take: impl FnOnce(&mut [MaybeUninit<NonNull<u8>>]) -> Result<(), AllocError>) -> Vec<NonNull<u8>> {
    let mut places = [MaybeUninit::uninit(); 1000];
    take(&mut places).expect("the heap has room");
    // SAFETY: all places were filled.
    let blocks = places.map(|place| unsafe { place.assume_init() }).to_vec();
    assert_eq!(blocks.iter().collect::<BTreeSet<_>>().len(), 1000);
    blocks
}

#[test]
fn many_blocks_at_once() {
    let mut owned = Owned::new(Blocks::<(Fixed<64>, Magazine)>::new());
    let blocks = many(|places| owned.allocate_many(BLOCK, places));
    // SAFETY: the blocks are live, and this pool handed them out for this layout.
    unsafe { owned.deallocate_many(&blocks, BLOCK) };
    assert_eq!(owned.stats().live, 0);

    let locked = Locked::<_>::new(Blocks::<Fixed<64>>::new());
    let blocks = many(|places| locked.allocate_many(BLOCK, places));
    // SAFETY: as above.
    unsafe { locked.deallocate_many(&blocks, BLOCK) };
    assert_eq!(locked.stats().live, 0);

    // These pass through the pool to the parent, which sees each block come and go.
    let classes = Local::new_in(Classes::with_sizes(&[64]).expect("one size"), TrackingParent::default());
    let large = Layout::new::<[u8; 100]>();
    let blocks = many(|places| classes.allocate_many(large, places));
    assert_eq!(classes.parent().out(), 1000);
    // SAFETY: as above.
    unsafe { classes.deallocate_many(&blocks, large) };
    assert_eq!(classes.parent().out(), 0);
}

#[test]
fn all_or_none() {
    let pool = Local::new_in(Blocks::<Fixed<64>>::new(), TrackingParent::failing(1..usize::MAX));
    let mut places = [MaybeUninit::uninit(); 65];
    assert_eq!(pool.allocate_many(BLOCK, &mut places), Err(AllocError::Exhausted));
    assert_eq!(pool.stats().live, 0);
    assert_eq!(pool.allocate_many(BLOCK, &mut places[..64]), Ok(()));
    assert_eq!(pool.stats().free, 0);
}

/// Fills many chunks, frees all except a few blocks in random order, and checks that the chunks without live blocks are
/// released and the others are as usable as before.
fn trims_exactly<P: RawPool + Inspect>(pool: P) {
    let parent = TrackingParent::default();
    let pool = Local::new_in(pool, &parent);
    for round in 0..3 {
        let mut blocks: Vec<_> =
            (0..6000).map(|_| pool.allocate(BLOCK).expect("the heap has room")).collect();
        let kept: Vec<_> = blocks.iter().copied().step_by(64 << round).collect();
        blocks.retain(|block| !kept.contains(block));
        fastrand::Rng::with_seed(round).shuffle(&mut blocks);
        for block in blocks {
            // SAFETY: the block is live, and this pool handed it out for this layout.
            unsafe { pool.deallocate(block.cast(), BLOCK) };
        }
        let (before, bytes) = (pool.stats(), parent.bytes());
        let returned = pool.trim();
        pool.check().expect("sound after a trim");
        let after = pool.stats();
        assert_eq!((bytes - parent.bytes(), parent.out()), (returned, after.chunks));
        assert_eq!(after.live, before.live, "what is live is so after a trim");
        assert!(after.chunks <= kept.len(), "a chunk without a live block stayed");
        assert!(kept.iter().all(|block| pool.owns(block.as_ptr().cast())));
        assert_eq!(pool.trim(), 0, "there is nothing left to give back");
        for block in kept {
            // SAFETY: as above.
            unsafe { pool.deallocate(block.cast(), BLOCK) };
        }
        pool.check().expect("sound after freeing");
    }
    assert!(pool.trim() > 0);
    assert_eq!((parent.out(), pool.stats().live), (0, 0));
}

#[test]
fn trim_finds_every_empty_chunk() {
    trims_exactly(Blocks::<Fixed<64>>::new().with_blocks_per_chunk(20));
    trims_exactly(Blocks::<(Fixed<64>, Magazine)>::new().with_blocks_per_chunk(20));
    trims_exactly(Blocks::<(Fixed<64>, Magazine<5>)>::new().with_blocks_per_chunk(33));
    trims_exactly(Blocks::<(Fixed<64>, AddressOrdered<8, 4096>)>::new());
    trims_exactly(Blocks::<(Fixed<64>, AddressOrdered<8, 4096>)>::new().with_blocks_per_chunk(7));
    trims_exactly(Blocks::<Fixed<64>>::new());
}

/// Wrappers of a pool forward the search for empty chunks.
#[test]
fn trim_reaches_through_wrappers() {
    let small = || Blocks::<Fixed<64>>::new().with_blocks_per_chunk(20);
    trims_exactly(Limit::blocks(Stats::new(small()), 1 << 20));
    trims_exactly(Segregator::new(64, small(), Linear::new()));
    trims_exactly(Segregator::new(8, Linear::new(), small()));
    trims_exactly(Fallback::new(small(), Linear::new()));
    trims_exactly(Fallback::new(Limit::blocks(small(), 0), small()));
    trims_exactly(Classes::with_sizes(&[8, 64]).expect("two sizes"));
}

/// Wrappers of a pool forward reservations; afterwards, no request reaches the parent.
fn reserves_through<P: Reserve + Inspect>(pool: P) {
    let parent = TrackingParent::default();
    let pool = Local::new_in(pool, &parent);
    pool.reserve(BLOCK, 500).expect("the heap has room");
    let requests = parent.requests();
    assert!(requests != 0);
    for _ in 0..500 {
        pool.allocate(BLOCK).expect("there is room for all");
    }
    assert_eq!(parent.requests(), requests);
    pool.check().expect("sound when full");
}

#[test]
fn reserve_reaches_through_wrappers() {
    reserves_through(Stats::new(Blocks::<Fixed<64>>::new()));
    reserves_through(Limit::blocks(Counted::new(Classes::new()), 500));
    reserves_through(Segregator::new(8, Blocks::<Fixed<8>>::new(), Stats::new(Classes::new())));
    reserves_through(Segregator::new(64, Stats::new(Blocks::<Fixed<64>>::new()), Classes::new()));
    reserves_through(Fallback::new(Blocks::<Fixed<64>>::new(), Classes::new()));
    reserves_through(Fallback::new(Blocks::<Fixed<32>>::new(), Stats::new(Classes::new())));
    reserves_through(Fallback::new(Limit::blocks(Blocks::<Fixed<64>>::new(), 0), Classes::new()));
}

#[test]
fn arena_knows_its_largest_free_block() {
    let bytes = |size: usize| Layout::from_size_align(size, 1).expect("a layout");
    let arena_with_a_chunk_ahead = || {
        let mut arena = Local::new_in(Linear::new(), TrackingParent::default());
        for _ in 0..2 {
            arena.allocate(bytes(3000)).expect("the heap has room");
        }
        arena.reset();
        arena
    };
    let arena = arena_with_a_chunk_ahead();
    let (held, largest) = (arena.stats().held, arena.largest_free().expect("an arena knows"));
    arena.allocate(bytes(largest)).expect("it has room");
    assert_eq!(arena.stats().held, held, "{largest} bytes are served without the parent");
    let arena = arena_with_a_chunk_ahead();
    arena.allocate(bytes(largest + 1)).expect("the heap has room");
    assert!(arena.stats().held > held, "there was room for more than {largest} bytes");
}
