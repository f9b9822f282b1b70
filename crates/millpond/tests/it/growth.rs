//! How pools of blocks grow, and how many blocks are had at once.

use std::{alloc::Layout, collections::BTreeSet, mem::MaybeUninit, ptr::NonNull};

use millpond::{
    AllocError, Allocator, Blocks, Classes, Compact, Config, Fixed, Inspect, Lifo, Local, Locked, Magazine,
    Nothing, Owned,
};

use crate::parents::Watched;

const BLOCK: Layout = Layout::new::<[u64; 8]>();

fn chunks_after<C: Config>(pool: Blocks<C>, blocks: usize) -> (usize, usize) {
    let pool = Local::new_in(pool, Watched::default());
    for _ in 0..blocks {
        pool.allocate(BLOCK).expect("the heap has room");
    }
    pool.check().expect("sound");
    (pool.stats().chunks, pool.stats().live + pool.stats().free)
}

#[test]
fn chunks_double_or_hold_what_was_said() {
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
    let (chunks, room) = chunks_after(Blocks::<(Fixed<64>, Compact)>::new().with_blocks_per_chunk(100), 250);
    assert_eq!((chunks, room), (3, 300 * 64));
}

#[test]
fn small_blocks_per_chunk_are_exact_where_a_header_would_hold_some() {
    let pool = Local::new_in(Blocks::<Fixed<8>>::new().with_blocks_per_chunk(5), Watched::default());
    for _ in 0..50 {
        pool.allocate(Layout::new::<u64>()).expect("the heap has room");
    }
    assert_eq!((pool.stats().chunks, pool.stats().live, pool.stats().free), (10, 400, 0));
}

fn reserves<C: Config>(make: impl Fn() -> Blocks<C>) {
    let pool = Local::new_in(make(), Watched::default());
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
fn what_is_reserved_is_there() {
    reserves(Blocks::<Fixed<64>>::new);
    reserves(|| Blocks::<(Fixed<64>, Lifo)>::new().with_blocks_per_chunk(333));
    reserves(Blocks::<(Fixed<64>, Magazine)>::new);
    reserves(Blocks::<(Fixed<64>, Compact)>::new);
    let pool = Local::new(Classes::new());
    pool.reserve(BLOCK, 1000).expect("the heap has room");
    assert!(pool.stats().free >= 64_000);
    let stuck = Local::new_in(Blocks::<Fixed<64>>::new(), Nothing);
    assert_eq!(stuck.reserve(BLOCK, 1), Err(AllocError::Exhausted));
    assert_eq!(stuck.reserve(BLOCK, 0), Ok(()));
}

/// Takes many, checks that they differ, and gives them back.
fn many(take: impl FnOnce(&mut [MaybeUninit<NonNull<u8>>]) -> Result<(), AllocError>) -> Vec<NonNull<u8>> {
    let mut places = [MaybeUninit::uninit(); 1000];
    take(&mut places).expect("the heap has room");
    // SAFETY: all places were filled.
    let blocks = unsafe { places.assume_init_ref() }.to_vec();
    assert_eq!(blocks.iter().collect::<BTreeSet<_>>().len(), 1000);
    blocks
}

#[test]
fn many_blocks_come_and_go_at_once() {
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

    // Past the pool, to the parent, which sees each block go and come.
    let classes = Local::new_in(Classes::with_sizes(&[64]).expect("one size"), Watched::default());
    let large = Layout::new::<[u8; 100]>();
    let blocks = many(|places| classes.allocate_many(large, places));
    assert_eq!(classes.parent().out(), 1000);
    // SAFETY: as above.
    unsafe { classes.deallocate_many(&blocks, large) };
    assert_eq!(classes.parent().out(), 0);
}

#[test]
fn too_many_are_none_at_all() {
    let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Watched::failing(1..usize::MAX));
    let mut places = [MaybeUninit::uninit(); 65];
    assert_eq!(pool.allocate_many(BLOCK, &mut places), Err(AllocError::Exhausted));
    assert_eq!(pool.stats().live, 0);
    assert_eq!(pool.allocate_many(BLOCK, &mut places[..64]), Ok(()));
    assert_eq!(pool.stats().free, 0);
}
