//! Blocks of mixed sizes in one region: `SignPost` and `Tlsf`, on parents of all kinds and sizes.

use std::{alloc::Layout, mem::MaybeUninit, ptr::NonNull, rc::Rc};

use fastrand::Rng;
use millpond::{
    AllocError, Allocator, Blocks, Buddy, Buffer, Fixed, Inspect, Linear, Local, Locked, Owned, Pages,
    SignPost, Tlsf,
    guard::{Counted, Fallback, Limit, Stats},
    observe::{Holes, PoolStats},
    raw::RawPool,
};

use crate::{
    composition::fail_each,
    oracle::Oracle,
    random::{LARGE, MIXED, Range, SMALL, play, trial},
    tracking_parent::TrackingParent,
};

/// Bytes in a word, which a tag takes.
const WORD: usize = size_of::<usize>();

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("the tests' layouts exist")
}

/// Calls a test with a maker of each pool. (A macro, because the pools have different types.)
macro_rules! for_each_pool {
    ($test:path $(, $argument:expr)*) => {
        $test(Tlsf::new $(, $argument)*);
        $test(Tlsf::without_quick_list $(, $argument)*);
        $test(SignPost::first_fit $(, $argument)*);
        $test(SignPost::best_fit $(, $argument)*);
        $test(|| SignPost::best_fit().wiping() $(, $argument)*);
    };
}

#[test]
fn random_operations_on_every_parent() {
    fn test<P: RawPool + Inspect>(make: fn() -> P) {
        trial(SMALL, || Local::new_in(make(), TrackingParent::default()));
        trial(MIXED, || Local::new_in(make(), TrackingParent::default()));
        trial(LARGE, || Local::new_in(make(), Pages));
    }
    for_each_pool!(test);
}

#[test]
fn random_operations_among_other_pools() {
    trial(MIXED, || Locked::<_, _>::new_in(Tlsf::without_quick_list(), Pages));
    trial(MIXED, || Local::new_in(Tlsf::new(), Local::new_in(Linear::new(), TrackingParent::default())));
    trial(MIXED, || {
        Local::new_in(SignPost::first_fit(), Local::new_in(Tlsf::new(), TrackingParent::default()))
    });
    trial(SMALL, || {
        Local::new_in(Blocks::<Fixed<64>>::new(), Local::new_in(Tlsf::new(), TrackingParent::default()))
    });
}

/// Buffers from nothing to a few kilobytes, of every size and at every offset from a granule.
#[test]
fn random_operations_in_odd_regions() {
    fn test<P: RawPool + Inspect>(make: fn() -> P) {
        let mut memory = vec![MaybeUninit::uninit(); 7000];
        for size in (0..200).chain([1000, 1023, 1024, 1025, 4095, 6901]) {
            let mut rng = Rng::with_seed(size as u64);
            let at = rng.usize(0..32);
            let mut oracle = Oracle::new(Local::new_in(make(), Buffer::new(&mut memory[at..at + size])));
            play(&mut oracle, Range { size: size / 2 + 8, align: 5 }, &mut rng, 200);
        }
    }
    for_each_pool!(test);
}

#[test]
fn parent_failures_lose_nothing() {
    for_each_pool!(fail_each);
}

/// Everything that was handed out from a full region can be handed out again after it was freed in any order.
#[test]
fn full_region_merges_completely() {
    fn test<P: RawPool + Inspect>(make: fn() -> P) {
        let mut memory = vec![MaybeUninit::<u128>::uninit(); 4096];
        for seed in 0..30 {
            let mut rng = Rng::with_seed(seed);
            let size = rng.usize(1000..60_000);
            let bytes: *mut MaybeUninit<u8> = memory.as_mut_ptr().cast();
            // SAFETY: the bytes are the vector's, and nothing else uses them now.
            let buffer = Buffer::new(unsafe { std::slice::from_raw_parts_mut(bytes, size) });
            let pool = Local::new_in(make(), buffer);
            let whole = largest(&pool, size);
            assert!(whole + 48 > size, "{whole} of {size} bytes can be had at once");
            let mut blocks = Vec::new();
            while let Some(block) = {
                let layout = layout(rng.usize(1..400), 1 << rng.u32(0..7));
                pool.allocate(layout).ok().map(|block| (block, layout))
            } {
                blocks.push(block);
            }
            rng.shuffle(&mut blocks);
            for (block, layout) in blocks {
                // SAFETY: the block is live, and this pool handed it out for this layout.
                unsafe { pool.deallocate(block.cast(), layout) };
                pool.check().expect("sound after each free");
            }
            assert_eq!(pool.stats().live, 0);
            assert_eq!(largest(&pool, size), whole, "all is in one piece again");
            assert_eq!((pool.stats().live, pool.stats().free), (0, whole));
        }
    }
    for_each_pool!(test);
}

/// Returns the largest block that is served, found by trying.
fn largest(pool: &impl Allocator, most: usize) -> usize {
    let fits = |size: usize| match pool.allocate(layout(size, 1)) {
        Ok(block) => {
            // SAFETY: the block was just handed out for this layout.
            unsafe { pool.deallocate(block.cast(), layout(size, 1)) };
            true
        }
        Err(_) => false,
    };
    (0..=most).rev().find(|&size| fits(size)).expect("zero bytes always exist")
}

/// A comb: every second block is freed, so that nothing merges; then the others, so that everything does.
#[test]
fn comb_of_holes_merges() {
    fn test<P: RawPool + Inspect>(make: fn() -> P) {
        let pool = Local::new_in(make(), TrackingParent::default());
        let block = layout(100, 8);
        let mut blocks: Vec<_> =
            (0..2000).map(|_| pool.allocate(block).expect("the heap has room").cast::<u8>()).collect();
        blocks.sort_unstable();
        let chunks = pool.stats().chunks;
        let free = |pool: &Local<P, TrackingParent>, from: usize| {
            for block_at in blocks.iter().skip(from).step_by(2) {
                // SAFETY: each block is live until here, and this pool handed it out for this layout.
                unsafe { pool.deallocate(*block_at, block) };
            }
            pool.check().expect("sound after half the blocks were freed");
        };
        free(&pool, 0);
        assert_eq!(pool.parent().out(), chunks, "no hole is larger than a block");
        free(&pool, 1);
        let PoolStats { live, held, .. } = pool.stats();
        assert_eq!(
            (live, pool.trim(), pool.parent().out()),
            (0, held, 0),
            "each chunk is one hole, and goes back"
        );
    }
    for_each_pool!(test);
}

#[test]
fn trim_returns_empty_chunks_only() {
    fn test<P: RawPool + Inspect>(make: fn() -> P) {
        let pool = Local::new_in(make(), TrackingParent::default());
        let mut rng = Rng::with_seed(5);
        let block = layout(1000, 8);
        let mut blocks: Vec<NonNull<u8>> =
            (0..300).map(|_| pool.allocate(block).expect("the heap has room").cast()).collect();
        rng.shuffle(&mut blocks);
        let survivor = blocks.pop().expect("there are 300");
        for freed in blocks {
            // SAFETY: the block is live, and this pool handed it out for this layout.
            unsafe { pool.deallocate(freed, block) };
        }
        let chunks = pool.stats().chunks;
        assert!(chunks > 3 && pool.trim() > 0);
        pool.check().expect("sound after a trim");
        assert_eq!((pool.stats().chunks, pool.parent().out()), (1, 1));
        assert!(pool.owns(survivor.as_ptr()) && pool.trim() == 0);
        // SAFETY: as above.
        unsafe { pool.deallocate(survivor, block) };
        pool.trim();
        assert_eq!((pool.stats(), pool.parent().out()), (PoolStats::default(), 0));
        pool.allocate(block).expect("and it grows again");
    }
    for_each_pool!(test);
}

/// A tag of 8 bytes, granules of 16, a minimum of 32: the documented overhead on 64-bit machines, byte by byte.
#[test]
#[cfg(target_pointer_width = "64")]
fn overhead_is_eight_bytes_and_rounding() {
    fn test<P: RawPool + Inspect>(make: fn() -> P) {
        for (size, distance) in
            [(1, 32), (8, 32), (24, 32), (25, 48), (40, 48), (41, 64), (120, 128), (1000, 1008), (1001, 1024)]
        {
            let pool = Local::new_in(make(), Pages);
            let [a, b] = [(); 2].map(|()| pool.allocate(layout(size, 16)).expect("the system has pages"));
            assert_eq!(b.addr().get() - a.addr().get(), distance, "{size}");
            assert_eq!(a.len(), distance - 8, "all except the tag may be used");
        }
    }
    for_each_pool!(test);
}

#[test]
fn blocks_grow_into_the_free_block_behind() {
    fn test<P: RawPool + Inspect>(make: fn() -> P) {
        let pool = Local::new_in(make(), Pages);
        let size = layout(200, 8);
        let [a, b, c] = [(); 3].map(|()| pool.allocate(size).expect("the system has pages").cast::<u8>());
        assert!(a < b && b < c, "fresh blocks come in order");
        let both = layout(c.addr().get() - a.addr().get() - 8, 8);
        // SAFETY: each block is live and has these layouts in turn.
        unsafe {
            a.write_bytes(0x5a, 200);
            c.write_bytes(0xc3, 200);
            assert_eq!(pool.grow_in_place(a, size, both), Err(AllocError::InPlace), "the next one is live");
            pool.deallocate(b, size);
            assert_eq!(pool.grow_in_place(a, size, layout(both.size() + 9, 8)), Err(AllocError::InPlace));
            for new in [layout(201, 8), layout(300, 8), both] {
                assert_eq!(pool.grow_in_place(a, size, new).map(NonNull::cast), Ok(a), "{new:?}");
                pool.check().expect("sound after growing");
                assert_eq!(pool.shrink_in_place(a, new, size).map(NonNull::cast), Ok(a));
                pool.check().expect("sound after shrinking");
            }
            assert_eq!(pool.allocate(size).map(NonNull::cast), Ok(b), "what was given back is free");
            assert_eq!(pool.shrink_in_place(c, size, layout(1, 8)).map(NonNull::cast), Ok(c));
            assert_eq!(pool.shrink_in_place(c, layout(1, 8), layout(1, 4096)), Err(AllocError::InPlace));
            pool.check().expect("sound after all");
            let kept = |block: NonNull<u8>, len| NonNull::slice_from_raw_parts(block, len).as_ref().to_vec();
            assert_eq!((kept(a, 200), kept(c, 1)), (vec![0x5a; 200], vec![0xc3]));
        }
    }
    test(Tlsf::without_quick_list);
    test(SignPost::first_fit);
    test(SignPost::best_fit);
}

#[test]
fn largest_free_block_is_served_and_one_byte_more_is_not() {
    for seed in 0..50 {
        let mut rng = Rng::with_seed(seed);
        let mut pool = Owned::new_in(Tlsf::without_quick_list(), TrackingParent::failing(1..usize::MAX));
        let (all, pin) = (layout(50_000, 8), layout(8, 8));
        let first = pool.allocate(layout(60_000, 8)).expect("the first chunk is had");
        // SAFETY: the block is live, and this pool handed it out for this layout.
        unsafe { pool.deallocate(first.cast(), layout(60_000, 8)) };
        // One block stays live, because otherwise the pool would release its only chunk for a request that is too
        // large.
        pool.allocate(pin).expect("there is room");
        let mut live = vec![(pool.allocate(all).expect("there is room").cast::<u8>(), all)];
        for _ in 0..200 {
            let size = layout(rng.usize(1..2000), 8);
            if let Ok(block) = pool.allocate(size) {
                live.push((block.cast::<u8>(), size));
            }
            if !live.is_empty() && rng.bool() {
                let (block, size) = live.swap_remove(rng.usize(0..live.len()));
                // SAFETY: the block is live, and this pool handed it out for this layout.
                unsafe { pool.deallocate(block, size) };
            }
            let (largest, holes) = (pool.pool().largest_free(), pool.pool().holes());
            // Another block that is up to 1/32 larger may stand behind it on its list.
            assert!(largest <= holes.largest && holes.largest - largest <= holes.largest / 32, "{holes:?}");
            assert_eq!(holes.bytes, pool.stats().free);
            assert!(pool.allocate(layout(largest + 1, 1)).is_err());
            if largest != 0 {
                let all = pool.allocate(layout(largest, 1)).expect("the largest is what is served");
                // SAFETY: as above.
                unsafe { pool.deallocate(all.cast(), layout(largest, 1)) };
            }
        }
        pool.check().expect("sound in the end");
    }
}

#[test]
fn fragmentation() {
    let mut pool = Owned::new_in(Tlsf::without_quick_list(), Pages);
    let blocks: Vec<_> = (0..100)
        .map(|_| pool.allocate(layout(5 * WORD, 8)).expect("the system has pages").cast::<u8>())
        .collect();
    let free_behind = pool.pool().holes().bytes;
    assert_eq!(pool.pool().holes().fragmentation(), 0.0);
    let rest = pool.allocate(layout(free_behind, 8)).expect("it is in one piece").cast::<u8>();
    for block in blocks.iter().step_by(2) {
        // SAFETY: the block is live, and this pool handed it out for this layout.
        unsafe { pool.deallocate(*block, layout(5 * WORD, 8)) };
    }
    assert_eq!(pool.pool().holes(), Holes { count: 50, bytes: 50 * 5 * WORD, largest: 5 * WORD });
    assert_eq!(pool.pool().holes().fragmentation(), 0.98);
    assert!(pool.pool().owns(rest.as_ptr()));
}

/// Blocks on a quick list come back first, count as free, and are merged when nothing else is left.
#[test]
fn quick_lists_are_reused_and_counted_as_free() {
    let pool = Local::new_in(Tlsf::new(), TrackingParent::failing(1..usize::MAX));
    let large = layout(20_000, 8);
    let first = pool.allocate(large).expect("the first chunk is had").cast::<u8>();
    // SAFETY: the block is live, and this pool handed it out for this layout.
    unsafe { pool.deallocate(first, large) };
    let block = layout(13 * WORD, 8);
    let blocks: Vec<NonNull<u8>> =
        std::iter::from_fn(|| pool.allocate(block).ok()).map(NonNull::cast).collect();
    let full = pool.stats();
    assert!(full.free < 13 * WORD, "{full:?}");
    // SAFETY: each block is live when it is freed, and this pool handed it out for this layout.
    let free = |which: &[NonNull<u8>]| which.iter().for_each(|&at| unsafe { pool.deallocate(at, block) });
    free(&blocks[..8]);
    pool.check().expect("sound with a full quick list");
    assert_eq!(
        (pool.stats().live, pool.stats().free),
        (full.live - 8 * 13 * WORD, full.free + 8 * 13 * WORD)
    );
    for expected in blocks[..8].iter().rev() {
        assert_eq!(pool.allocate(block).map(NonNull::cast), Ok(*expected), "last freed, first handed out");
    }
    assert_eq!(pool.stats(), full);
    free(&blocks[..8]);
    let all = layout(8 * 14 * WORD - WORD, 8);
    let merged = pool.allocate(all).expect("eight blocks that touch are as large as all of them");
    assert_eq!(merged.cast(), blocks[0]);
    // SAFETY: as above, each with its own layout.
    unsafe { pool.deallocate(merged.cast(), all) };
    free(&blocks[8..]);
    pool.check().expect("sound when all is freed");
}

/// Free blocks of 100, 40 and 60 bytes, freed in this order: first fit takes the last freed block that holds 50, best
/// fit the smallest.
#[test]
fn first_fit_and_best_fit() {
    for (pool, expected) in [(SignPost::first_fit(), 1), (SignPost::best_fit(), 2)] {
        let pool = Local::new_in(pool, Pages);
        let sizes = [40, 104, 56].map(|size| layout(size, 8));
        let blocks = sizes.map(|size| {
            let block = pool.allocate(size).expect("the system has pages").cast::<u8>();
            pool.allocate(layout(8, 8)).expect("the system has pages");
            block
        });
        for index in [2, 0, 1] {
            // SAFETY: the block is live, and this pool handed it out for this layout.
            unsafe { pool.deallocate(blocks[index], sizes[index]) };
        }
        assert_eq!(pool.allocate(layout(50, 8)).map(NonNull::cast), Ok(blocks[expected]));
        pool.check().expect("sound after a fit");
    }
}

/// Every alignment up to a page, from regions that are just large enough, wherever they start.
#[test]
fn any_alignment_from_a_region_of_the_requested_size() {
    fn test<P: RawPool + Inspect>(make: fn() -> P) {
        let mut memory = vec![MaybeUninit::uninit(); 20_000];
        for align in (0..=12).map(|log2| 1 << log2) {
            for at in 0..40 {
                let (wanted, pool) = (layout(100, align), make());
                let least = pool.chunk_request(wanted).expect("it can be had").least;
                assert!(least.size() <= 100 + align + 64, "{least:?} for {wanted:?}");
                let start = memory[at..].as_ptr().align_offset(least.align()) + at;
                let pool = Local::new_in(pool, Buffer::new(&mut memory[start..start + least.size()]));
                let block = pool.allocate(wanted).unwrap_or_else(|error| panic!("{align} at {at}: {error}"));
                assert!(block.addr().get().is_multiple_of(align));
                pool.check().expect("sound with an aligned block");
                // SAFETY: the block is live, and this pool handed it out for this layout.
                unsafe { pool.deallocate(block.cast(), wanted) };
                pool.check().expect("sound without it");
            }
        }
    }
    for_each_pool!(test);
}

/// One kilobyte serves numbers, text and bytes, and is one free block again when all is freed.
#[test]
fn one_kilobyte_for_all_types() {
    #[repr(align(16))]
    struct Kilobyte([MaybeUninit<u8>; 1024]);
    let mut memory = Kilobyte([MaybeUninit::new(0xee); 1024]);
    let pool = Local::new_in(SignPost::best_fit().wiping(), Buffer::new(&mut memory.0));
    // 1024 bytes are padding in front, a tag, the block, and the last tag.
    assert_eq!(largest(&pool, 1024), 1024 - 3 * WORD);
    let shapes = [Layout::new::<[i32; 5]>(), Layout::new::<[u8; 5]>(), Layout::new::<f64>(), layout(33, 64)];
    for _ in 0..3 {
        let blocks: Vec<_> = shapes
            .iter()
            .map(|&shape| {
                let block = pool.allocate(shape).expect("a kilobyte is enough");
                assert!(block.addr().get().is_multiple_of(shape.align()));
                // SAFETY: the block is live, and a wiping pool has initialised it.
                assert!(unsafe { block.as_ref() }.iter().all(|&byte| byte == 0), "freed bytes are zero");
                // SAFETY: the block is live.
                unsafe { block.cast::<u8>().write_bytes(0x77, block.len()) };
                (block.cast::<u8>(), shape)
            })
            .collect();
        pool.check().expect("sound with four blocks");
        for (block, shape) in blocks {
            // SAFETY: the block is live, and this pool handed it out for this layout.
            unsafe { pool.deallocate(block, shape) };
        }
        assert_eq!(largest(&pool, 1024), 1024 - 3 * WORD, "all of it is there again");
    }
    drop(pool);
    // SAFETY: every byte was initialised at the beginning.
    let left = memory.0.iter().filter(|byte| unsafe { byte.assume_init() } == 0x77).count();
    assert_eq!(left, 0, "nothing that was freed can be read");
}

/// A zeroing pool leaves no contents in what a block loses or gains when it is resized in place.
#[test]
fn zeroing_reaches_resized_blocks() {
    let pool = Local::new_in(SignPost::first_fit().wiping(), Pages);
    let (small, large) = (layout(100, 8), layout(1000, 8));
    let block = pool.allocate(large).expect("the system has pages").cast::<u8>();
    // SAFETY: the block is live, has these layouts in turn, and is this pool's.
    unsafe {
        block.write_bytes(0x77, 1000);
        let shrunk = pool.shrink_in_place(block, large, small).expect("a block shrinks where it is");
        let grown = pool.grow_in_place(block, small, large).expect("the bytes behind are free");
        assert!(grown.as_ref()[..100].iter().all(|&byte| byte == 0x77), "contents stay");
        assert!(grown.as_ref()[100..].iter().all(|&byte| byte != 0x77), "nothing comes back");
        let gained = &grown.as_ref()[shrunk.len()..];
        assert!(gained.iter().all(|&byte| byte == 0), "and no tag or link of the pool is visible");
        pool.deallocate(block, large);
    }
}

/// The same figure through every wrapper.
#[test]
fn largest_free_block_through_guards_and_shells() {
    fn ask(pool: &impl Inspect) -> (Option<usize>, Option<Holes>) {
        (pool.largest_free(), pool.holes())
    }
    let pool =
        Rc::new(Locked::<_, _>::new_in(Limit::bytes(Stats::new(Tlsf::without_quick_list()), 1 << 20), Pages));
    let block = pool.allocate(layout(1000, 8)).expect("the system has pages").cast();
    let (largest, holes) = ask(&pool);
    let largest = largest.expect("Tlsf knows");
    assert_eq!(holes.map(|holes| (holes.count, holes.largest)), Some((1, largest)));
    assert!(pool.allocate(layout(largest, 8)).is_ok() && pool.allocate(layout(16, 8)).is_ok());
    // SAFETY: the block is live, and this pool handed it out for this layout.
    unsafe { pool.deallocate(block, layout(1000, 8)) };
    let buddy = Local::new_in(Counted::new(Buddy::new().first_chunk(1 << 16)), Pages);
    buddy.allocate(layout(4096, 1)).expect("the system has pages");
    let (largest, holes) = ask(&buddy);
    assert_eq!(holes.map(|holes| Some(holes.largest)), Some(largest));
    assert_eq!(holes.map(|holes| holes.bytes), Some(buddy.stats().free));
    let both = Fallback::new(buddy, pool);
    assert_eq!(ask(&both).0, ask(both.first()).0.max(ask(both.second()).0));
    let count = |holes: Option<Holes>| holes.map_or(0, |holes| holes.count);
    assert_eq!(count(both.holes()), count(both.first().holes()) + count(both.second().holes()));
}

#[test]
fn free_bytes_in_tags_are_served() {
    let mut pool = Owned::new_in(SignPost::first_fit(), Pages);
    pool.allocate(layout(1000, 8)).expect("the system has pages");
    let (held, largest, holes) = (pool.stats().held, pool.pool().largest_free(), pool.pool().holes());
    assert_eq!((holes.count, holes.largest), (1, largest));
    assert_eq!((Inspect::holes(&pool), Inspect::largest_free(&pool)), (Some(holes), Some(largest)));
    assert!(largest >= 1000 && pool.allocate(layout(largest, 8)).is_ok());
    assert_eq!(pool.stats().held, held, "{largest} bytes are served without the parent");
}
