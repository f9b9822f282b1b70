//! Pools whose free blocks were overwritten, by a use after free or by a neighbour that writes past its end: every
//! query ends, and none follows what was written there.

use std::{alloc::Layout, ptr::NonNull};

use fastrand::Rng;
use millpond::{
    Allocator, Blocks, Buddy, Cached, Classes, Fixed, Inspect, Linear, Local, LockFree, Locked, Magazine,
    Reclaim, SignPost, Stack, Tlsf,
    observe::InspectExt,
    pool::{AddressOrdered, Lifo, Validated},
    shell::RemoteFree,
};

/// The blocks of a pool, as addresses; every second one is free.
struct Blocked {
    layout: Layout,
    live: Vec<NonNull<u8>>,
    free: Vec<NonNull<u8>>,
}

const COUNT: usize = if cfg!(miri) { 24 } else { 200 };

fn blocks(pool: &impl Allocator, size: usize, rng: &mut Rng) -> Blocked {
    let layout = Layout::from_size_align(size, 8).expect("a layout");
    let mut all: Vec<NonNull<u8>> =
        (0..COUNT).map(|_| pool.allocate(layout).expect("the heap has room").cast()).collect();
    // SAFETY: the blocks are live and have this length.
    all.iter().for_each(|block| unsafe { block.write_bytes(0, size) });
    if rng.bool() {
        rng.shuffle(&mut all);
    }
    let (mut live, mut free) = (Vec::new(), Vec::new());
    all.into_iter()
        .enumerate()
        .for_each(|(turn, block)| if turn % 2 == 0 { &mut live } else { &mut free }.push(block));
    // SAFETY: the blocks are live, and were handed out for this layout.
    free.iter().for_each(|&block| unsafe { pool.deallocate(block, layout) });
    Blocked { layout, live, free }
}

/// A word that a faulty program writes.
fn word(blocked: &Blocked, own: usize, rng: &mut Rng) -> usize {
    let other = |blocks: &[NonNull<u8>], rng: &mut Rng| blocks[rng.usize(0..blocks.len())].addr().get();
    match rng.u8(0..10) {
        0 => 0xDFDF_DFDF_DFDF_DFDF_u64 as usize,
        1 => own,
        2 => other(&blocked.free, rng),
        3 => rng.usize(0..100),
        4 => own + rng.usize(1..8),
        5 => other(&blocked.live, rng),
        6 => rng.usize(..),
        7 => own + blocked.layout.size(),
        8 => usize::MAX - rng.usize(0..32),
        _ => 16 * rng.usize(0..300) + rng.usize(0..4),
    }
}

/// Overwrites words of free blocks, and with `reach`, that many words in front of and behind them.
fn damage(blocked: &Blocked, reach: usize, rng: &mut Rng) {
    let words = blocked.layout.size() / size_of::<usize>();
    let all = rng.u8(0..4) == 0;
    let times = if all { blocked.free.len() * words } else { rng.usize(1..10) };
    for time in 0..times {
        let block =
            if all { blocked.free[time / words] } else { blocked.free[rng.usize(0..blocked.free.len())] };
        let at = if all {
            (time % words) as isize
        } else {
            rng.isize(-(reach as isize)..(words + reach) as isize)
        };
        // SAFETY: wrong on purpose. The word lies in a chunk of the pool.
        unsafe { block.cast::<usize>().offset(at).write(word(blocked, block.addr().get(), rng)) };
    }
}

/// Runs every query that there is.
fn ask(pool: &impl Inspect) {
    let _ = pool.check();
    let stats = pool.stats();
    assert!(stats.live <= stats.held && stats.free <= stats.held, "{stats:?}");
    let _ = (pool.largest_free(), pool.holes(), pool.report(), pool.metrics(), pool.heap_map(40));
    pool.owns(std::ptr::without_provenance(usize::MAX));
}

/// Damages a pool in one way, queries it, trims it, resets it, and uses it as a new one.
fn play<P: Allocator + Inspect + Reclaim>(
    pool: &mut P,
    size: usize,
    reach: usize,
    rng: &mut Rng,
    reserve: impl Fn(&P, Layout),
) {
    let blocked = blocks(pool, size, rng);
    damage(&blocked, reach, rng);
    ask(pool);
    reserve(pool, blocked.layout);
    if rng.bool() {
        pool.trim();
        ask(pool);
    }
    pool.reset();
    pool.check().expect("a reset mends what lies in blocks");
    for _ in 0..COUNT {
        pool.allocate(blocked.layout).expect("the heap has room");
    }
    pool.check().expect("sound again");
    // Blocks that are live at the end were never freed; that report does not matter here.
    pool.reset();
}

const ROUNDS: u64 = if cfg!(miri) { 4 } else { 400 };

/// Runs all rounds of one pool, each with a seed of its own.
fn rounds<P: Allocator + Inspect + Reclaim>(
    make: impl Fn() -> P,
    size: usize,
    reach: usize,
    reserve: impl Fn(&P, Layout) + Copy,
) {
    let first = if cfg!(miri) { 0 } else { fastrand::u64(..u64::MAX - ROUNDS) };
    for seed in first..first + ROUNDS {
        println!("seed {seed}");
        play(&mut make(), size, reach, &mut Rng::with_seed(seed), reserve);
    }
}

/// Blocks of one size: a quarter of the free ones is overwritten with random words.
type Of<S> = Blocks<(Fixed<64>, S)>;

#[test]
fn lifo() {
    rounds(|| Local::new(Of::<Lifo>::new()), 64, 0, |pool, layout| _ = pool.reserve(layout, 500));
}

#[test]
fn lifo_of_a_word() {
    rounds(|| Local::new(Blocks::<Fixed<8>>::new()), 8, 0, |pool, layout| _ = pool.reserve(layout, 500));
}

#[test]
fn magazine() {
    rounds(|| Local::new(Of::<Magazine<8>>::new()), 64, 0, |pool, layout| _ = pool.reserve(layout, 500));
}

#[test]
fn compact() {
    rounds(|| Local::new(Of::<AddressOrdered>::new()), 64, 0, |pool, layout| _ = pool.reserve(layout, 500));
}

#[test]
fn marked_lifo() {
    rounds(|| Local::new(Of::<Validated<Lifo>>::new()), 64, 0, |pool, layout| _ = pool.reserve(layout, 500));
}

#[test]
fn marked_magazine() {
    rounds(
        || Local::new(Of::<Validated<Magazine<8>>>::new()),
        64,
        0,
        |pool, layout| _ = pool.reserve(layout, 500),
    );
}

#[test]
fn locked() {
    rounds(|| Locked::<_>::new(Of::<Lifo>::new()), 64, 0, |pool, layout| _ = pool.reserve(layout, 500));
}

#[test]
fn cached() {
    rounds(|| Cached::<_>::new(Of::<Lifo>::new()), 64, 0, |pool, layout| _ = pool.reserve(layout, 500));
}

#[test]
fn classes() {
    rounds(|| Local::new(Classes::new()), 64, 0, |pool, layout| _ = pool.reserve(layout, 500));
}

#[test]
fn cached_classes() {
    rounds(|| Cached::<_>::new(Classes::new()), 64, 0, |pool, layout| _ = pool.reserve(layout, 500));
}

#[test]
fn lock_free() {
    rounds(LockFree::<Fixed<64>>::new, 64, 0, |_, _| ());
}

#[test]
fn circular_list_ends_every_query() {
    for others in 0..5 {
        let mut pool = LockFree::<Fixed<64>>::new();
        let mut rng = Rng::with_seed(others);
        let blocked = blocks(&pool, 64, &mut rng);
        let twice = blocked.free[blocked.free.len() - 1];
        // SAFETY: the last call is wrong on purpose; the pool does not track what it has handed out.
        unsafe {
            blocked
                .live
                .iter()
                .take(others as usize)
                .for_each(|&block| pool.deallocate(block, blocked.layout));
            pool.deallocate(twice, blocked.layout);
        }
        assert!(pool.check().is_err());
        ask(&pool);
        assert_eq!(pool.trim(), 0, "blocks in a circle cannot be distinguished from live ones");
        ask(&pool);
        pool.reset();
        pool.check().expect("sound after a reset");
        assert_ne!(pool.trim(), 0);
    }
}

#[test]
fn regions_of_any_size() {
    // A word in front is the tag of a free block; a word behind belongs to the next block, live or free.
    rounds(|| Local::new(Tlsf::without_quick_list()), 104, 1, |_, _| ());
    rounds(|| Local::new(Tlsf::new()), 104, 1, |_, _| ());
    rounds(|| Local::new(SignPost::first_fit()), 104, 1, |_, _| ());
    rounds(|| Local::new(SignPost::best_fit()), 104, 1, |_, _| ());
}

#[test]
fn buddies() {
    rounds(|| Local::new(Buddy::new()), 64, 0, |_, _| ());
}

#[test]
fn arenas() {
    rounds(|| Local::new(Linear::new()), 64, 0, |_, _| ());
    rounds(|| Local::new(Stack::new()), 64, 0, |_, _| ());
}

#[test]
fn remotely_freed_blocks() {
    for seed in 0..ROUNDS {
        let mut rng = Rng::with_seed(seed);
        let mut remote_free = RemoteFree::new(Of::<Lifo>::new());
        let owner = remote_free.try_own().expect("it has no owner");
        let mut blocked = blocks(&owner, 64, &mut rng);
        let returned = blocked.live.split_off(blocked.live.len() / 2);
        // SAFETY: the blocks are live, and were handed out for this layout.
        returned.iter().for_each(|&block| unsafe { remote_free.deallocate(block, blocked.layout) });
        blocked.free.extend(returned);
        damage(&blocked, 0, &mut rng);
        ask(&owner);
        drop(owner);
        remote_free.trim();
        ask(&remote_free.try_own().expect("it has no owner"));
        remote_free.reset();
    }
}

/// Damage is found and reported.
#[test]
fn check_reports_damage() {
    fn broken<P: Allocator + Inspect + Reclaim>(mut pool: P, words: std::ops::Range<usize>) {
        let blocked = blocks(&pool, 64, &mut Rng::with_seed(1));
        pool.check().expect("sound so far");
        for block in &blocked.free {
            // SAFETY: wrong on purpose. The words belong to the block.
            words.clone().for_each(|at| unsafe { block.cast::<usize>().add(at).write(usize::MAX / 3) });
        }
        let flaw = pool.check().expect_err("links were overwritten");
        assert!(flaw.0.contains("overwritten"), "{flaw}");
        pool.reset();
    }
    broken(Local::new(Of::<Lifo>::new()), 0..1);
    broken(Local::new(Of::<Validated<Lifo>>::new()), 0..1);
    broken(Local::new(Of::<Magazine<8>>::new()), 0..8);
    broken(Locked::<_>::new(Of::<Lifo>::new()), 0..1);
    broken(Local::new(Classes::new()), 0..1);
    broken(Local::new(Tlsf::without_quick_list()), 0..1);
    broken(Local::new(Tlsf::without_quick_list()), 1..2);
    broken(Local::new(SignPost::first_fit()), 0..1);
    broken(Local::new(Buddy::new()), 0..1);
    broken(Local::new(Buddy::new()), 1..2);
}

/// A pool of several chunks; the header of one was overwritten, as by a neighbour in memory.
#[test]
fn overwritten_chunk_header_ends_the_list() {
    for seed in 0..ROUNDS {
        let mut rng = Rng::with_seed(seed);
        // Chunks that are lost are freed with the arena.
        let arena = Local::new(Linear::new());
        let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &arena);
        let layout = Layout::new::<[u64; 8]>();
        let blocks: Vec<NonNull<u8>> =
            (0..1000).map(|_| pool.allocate(layout).expect("the heap has room").cast()).collect();
        pool.check().expect("sound so far");
        // The first block of the newest chunk lies behind its header, which has three words and padding.
        let newest = blocks
            .iter()
            .rev()
            .zip(blocks.iter().rev().skip(1))
            .find(|(block, before)| block.addr().get().wrapping_sub(before.addr().get()) != 64);
        let (first, _) = newest.expect("there is more than one chunk");
        for _ in 0..rng.usize(1..4) {
            let at = rng.isize(-3..0);
            // SAFETY: wrong on purpose. The words belong to the chunk's header.
            unsafe {
                let word = first.cast::<usize>().offset(at);
                word.write(word.read() ^ 1 << rng.u32(0..usize::BITS));
            }
        }
        let flaw = pool.check();
        assert!(flaw.is_ok() || flaw.is_err_and(|flaw| flaw.0.contains("overwritten")), "{flaw:?}");
        let _ = (pool.stats(), pool.heap_map(40), pool.largest_free());
        for &block in blocks.iter().filter(|block| pool.owns(block.as_ptr())) {
            // SAFETY: the block is live, and was handed out for this layout.
            unsafe { pool.deallocate(block, layout) };
        }
        let _ = (pool.check(), pool.stats(), pool.trim(), pool.heap_map(40));
        std::mem::forget(pool);
    }
}
