//! How the free lists of `Blocks` differ.

use std::{alloc::Layout, collections::BTreeSet, ptr::NonNull};

use millpond::{
    Allocator, Blocks, Fixed, Inspect, Local, Magazine, Pages,
    observe::InspectExt,
    pool::{AddressOrdered, ConstBlockLayout, FreeList, Lifo},
};

use crate::tracking_parent::TrackingParent;

const BLOCK: Layout = Layout::new::<[u64; 8]>();

fn take(pool: &impl Allocator) -> NonNull<u8> {
    pool.allocate(BLOCK).expect("there is memory").cast()
}

#[test]
fn address_ordered_lists_exactly_the_live_blocks() {
    for seed in 0..10 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut pool =
            Local::new_in(Blocks::<(Fixed<64>, AddressOrdered<16, 8192>)>::new(), TrackingParent::default());
        let mut live: Vec<NonNull<u8>> = Vec::new();
        for _ in 0..20 {
            for _ in 0..rng.usize(0..400) {
                if rng.u8(0..5) < 3 || live.is_empty() {
                    live.push(take(&pool));
                } else {
                    let block = live.swap_remove(rng.usize(0..live.len()));
                    // SAFETY: the block is live, and this pool handed it out for this layout.
                    unsafe { pool.deallocate(block, BLOCK) };
                }
            }
            let expected: BTreeSet<_> = live.iter().copied().collect();
            let listed: Vec<_> = pool.live().map(|block| block.cast()).collect();
            assert_eq!(listed.len(), expected.len(), "each once");
            assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected);
            pool.trim();
            pool.check().expect("sound");
        }
        pool.reset();
        assert_eq!(pool.live().count(), 0);
    }
}

#[test]
fn address_ordered_serves_an_aged_heap_in_order() {
    let pool = Local::new_in(Blocks::<(Fixed<64>, AddressOrdered)>::new(), Pages);
    let mut blocks: Vec<_> = (0..10_000).map(|_| take(&pool)).collect();
    fastrand::Rng::with_seed(3).shuffle(&mut blocks);
    for block in blocks {
        // SAFETY: the block is live, and this pool handed it out for this layout.
        unsafe { pool.deallocate(block, BLOCK) };
    }
    let again: Vec<_> = (0..10_000).map(|_| take(&pool)).collect();
    let ascending = again.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!(ascending > 9_500, "only {ascending} of 9,999 steps go up");
}

#[test]
fn magazine_does_not_touch_freed_blocks() {
    let pool = Local::new_in(Blocks::<(Fixed<64>, Magazine)>::new(), Pages);
    let blocks: Vec<_> = (0..100).map(|_| take(&pool)).collect();
    for &block in &blocks {
        // SAFETY: the block is live until it is freed; after that, its memory is still the pool's and mapped.
        unsafe {
            block.cast::<[u64; 8]>().write([42; 8]);
            pool.deallocate(block, BLOCK);
        }
    }
    for &block in &blocks {
        // SAFETY: as above.
        assert_eq!(unsafe { block.cast::<[u64; 8]>().read() }, [42; 8]);
    }
}

/// Returns orders in which a program might free the given number of blocks, which are sorted.
fn orders(sorted: &[NonNull<u8>]) -> Vec<(&'static str, Vec<NonNull<u8>>)> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut shuffled = sorted.to_vec();
    rng.shuffle(&mut shuffled);
    let grouped = |size: usize, rng: &mut fastrand::Rng| {
        let mut groups: Vec<&[NonNull<u8>]> = sorted.chunks(size).collect();
        rng.shuffle(&mut groups);
        groups.concat()
    };
    let strided = (0..64).flat_map(|first| sorted.iter().skip(first).step_by(64)).copied().collect();
    vec![
        ("ascending", sorted.to_vec()),
        ("descending", sorted.iter().rev().copied().collect()),
        ("at a stride of 64", strided),
        ("in groups of 3", grouped(3, &mut rng)),
        ("in groups of 20", grouped(20, &mut rng)),
        ("in groups of 64", grouped(64, &mut rng)),
        ("in groups of 1,024", grouped(1024, &mut rng)),
        ("in any order", shuffled),
    ]
}

/// Frees blocks in each order and allocates as many again: they come back last freed first, except for those in the
/// array.
fn hands_out_last_freed_first<const SIZE: usize, const PLACES: usize>() {
    const COUNT: usize = 5000;
    let block = Layout::from_size_align(SIZE, 8).expect("a layout");
    let pool =
        Local::new_in(Blocks::<(Fixed<SIZE>, Magazine<PLACES>)>::new().with_blocks_per_chunk(999), Pages);
    let take = || pool.allocate(block).expect("there is memory").cast::<u8>();
    let mut live: Vec<_> = (0..COUNT).map(|_| take()).collect();
    live.sort();
    for (name, order) in orders(&live.clone()) {
        for &freed in &order {
            // SAFETY: the block is live, and this pool handed it out for this layout.
            unsafe {
                freed.write_bytes(0xa5, SIZE);
                pool.deallocate(freed, block);
            }
        }
        pool.check().unwrap_or_else(|flaw| panic!("{SIZE} bytes, {PLACES} places, {name}: {flaw}"));
        let again: Vec<_> = (0..COUNT).map(|_| take()).collect();
        assert!(again.iter().eq(order.iter().rev()), "{SIZE} bytes, {PLACES} places, {name}");
    }
}

#[test]
fn magazine_is_last_in_first_out() {
    hands_out_last_freed_first::<8, 256>();
    hands_out_last_freed_first::<16, 256>();
    hands_out_last_freed_first::<24, 256>();
    hands_out_last_freed_first::<64, 256>();
    hands_out_last_freed_first::<64, 4>();
    hands_out_last_freed_first::<16, 5>();
    hands_out_last_freed_first::<4096, 31>();
}

#[test]
fn magazine_keeps_free_blocks_through_trims() {
    for (seed, per_chunk) in [(1, 7), (2, 100), (3, 1000)] {
        let mut rng = fastrand::Rng::with_seed(seed);
        let pool = Blocks::<(Fixed<16>, Magazine<16>)>::new().with_blocks_per_chunk(per_chunk);
        let pool = Local::new_in(pool, TrackingParent::default());
        let block = Layout::new::<[u64; 2]>();
        let mut live: Vec<NonNull<u8>> = Vec::new();
        for _ in 0..30 {
            live.extend(
                (0..rng.usize(0..1000)).map(|_| pool.allocate(block).expect("there is memory").cast::<u8>()),
            );
            live.sort();
            if rng.bool() {
                rng.shuffle(&mut live);
            }
            for freed in live.drain(rng.usize(0..=live.len())..) {
                // SAFETY: the block is live, and this pool handed it out for this layout.
                unsafe { pool.deallocate(freed, block) };
            }
            pool.check().expect("sound before");
            let before = pool.stats();
            let returned = pool.trim();
            pool.check().expect("sound after");
            let after = pool.stats();
            assert_eq!(before.held - after.held, returned);
            assert_eq!((before.live, after.live), (live.len() * 16, live.len() * 16));
        }
    }
}

/// Overwrites free blocks with words that may look like links, and runs every query: each one ends.
fn answers_whatever_free_blocks_hold<S: ConstBlockLayout, T: FreeList>(per_chunk: usize) {
    let block = Layout::from_size_align(S::SIZE, 8).expect("a layout");
    for seed in 0..40 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let pool = Blocks::<(S, T)>::new().with_blocks_per_chunk(per_chunk);
        let pool = Local::new_in(pool, Pages);
        let mut blocks: Vec<NonNull<u8>> =
            (0..2000).map(|_| pool.allocate(block).expect("there is memory").cast()).collect();
        rng.shuffle(&mut blocks);
        for &freed in &blocks[500..] {
            // SAFETY: the block is live, and this pool handed it out for this layout.
            unsafe { pool.deallocate(freed, block) };
        }
        for _ in 0..rng.usize(1..4) {
            let victim = blocks[rng.usize(500..2000)].cast::<usize>();
            let other = blocks[rng.usize(..2000)].addr().get();
            let word = [
                other,
                other + 8,
                other | 1,
                other | 2,
                rng.usize(..),
                0,
                1,
                usize::MAX,
                victim.addr().get(),
            ];
            for number in 0..S::SIZE / 8 {
                // SAFETY: the memory is the pool's, which is only queried from now on, and then leaked.
                unsafe { victim.add(number).write(rng.choice(word).expect("there are words")) };
            }
        }
        let _ = (pool.check(), pool.stats(), pool.largest_free(), pool.metrics(), pool.heap_map(64));
        let _ = pool.reserve(block, 1800);
        pool.trim();
        std::mem::forget(pool);
    }
}

#[test]
fn queries_of_a_damaged_list_end() {
    answers_whatever_free_blocks_hold::<Fixed<8>, Lifo>(100);
    answers_whatever_free_blocks_hold::<Fixed<64>, Lifo>(2000);
    answers_whatever_free_blocks_hold::<Fixed<8>, Magazine<16>>(100);
    answers_whatever_free_blocks_hold::<Fixed<64>, Magazine<16>>(100);
    answers_whatever_free_blocks_hold::<Fixed<16>, Magazine>(700);
}

const BROKEN: &str = "a link in a free block leads to no block, or back: it was overwritten, or freed twice";

#[test]
fn stray_link_is_found_by_check() {
    let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Pages);
    let blocks: Vec<_> = (0..10).map(|_| take(&pool)).collect();
    for &freed in &blocks {
        // SAFETY: the block is live, and this pool handed it out for this layout.
        unsafe { pool.deallocate(freed, BLOCK) };
    }
    let broken = |link: usize| {
        // SAFETY: the memory is the pool's, and only `check` is called.
        unsafe { blocks[5].cast::<usize>().write(link) };
        pool.check().expect_err("it is not").0
    };
    let next = blocks[4].addr().get();
    assert_eq!(broken(next + 8), BROKEN);
    assert_eq!(broken(usize::MAX), BROKEN);
    assert_eq!(broken(blocks[9].addr().get()), BROKEN);
    // SAFETY: as above.
    unsafe { blocks[5].cast::<usize>().write(next) };
    pool.check().expect("sound again");
}
