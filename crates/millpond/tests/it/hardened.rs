//! Hardened blocks: what they detect, and that nothing that is written to a block changes what is handed out.

use std::{alloc::Layout, collections::HashSet, iter, ptr::NonNull, thread};

use millpond::{
    Allocator, Blocks, Cached, Fixed, Inspect, Local, Locked,
    guard::{Canary, Limit},
    observe::{Misuse, MisuseKind},
    pool::{Full, Hardened, HardenedClasses, Hardening, Light},
    secure,
    testing::TrackingParent,
};

use crate::misuse::{HERE, free, heard, kind, layout, misuse_in_every_chunk, take};

type Pool<M> = Blocks<(Fixed<64>, Hardened<M>)>;

/// Blocks of 64 bytes that report to the tests.
fn blocks<M: Hardening>() -> Pool<M> {
    Pool::<M>::new().reporting(HERE)
}

#[test]
fn each_kind_is_reported_and_prevented_in_every_chunk() {
    misuse_in_every_chunk(blocks::<Light>);
    misuse_in_every_chunk(blocks::<Full>);
}

/// Whatever is written to free blocks, the blocks that are handed out are those of the pool, and each once.
fn overwritten<M: Hardening>() -> Vec<Misuse> {
    let pool = Local::new_in(blocks::<M>(), Limit::bytes(TrackingParent::default(), 96 << 10));
    let mut rng = fastrand::Rng::with_seed(3);
    let all: Vec<NonNull<u8>> = iter::from_fn(|| pool.allocate(layout(64)).ok()).map(NonNull::cast).collect();
    let (live, freed) = all.split_at(100);
    freed.iter().for_each(|&block| free(&pool, block, 64));
    for &block in freed.iter().step_by(2) {
        let word = [live[0].addr().get(), usize::MAX, 8, rng.usize(..)][rng.usize(..4)];
        // SAFETY: wrong on purpose; the block lies in a chunk of the pool.
        (0..8).for_each(|at| unsafe { block.cast::<usize>().add(at).write(word) });
    }
    let again: Vec<usize> =
        iter::from_fn(|| pool.allocate(layout(64)).ok()).map(|block| block.addr().get()).collect();
    assert!(!again.is_empty());
    let distinct: HashSet<usize> = again.iter().copied().collect();
    assert_eq!(distinct.len(), again.len(), "a block is handed out twice");
    assert!(live.iter().all(|block| !distinct.contains(&block.addr().get())), "a live block is handed out");
    let is_owned = |block: &usize| pool.owns(std::ptr::without_provenance(*block));
    assert!(distinct.iter().all(is_owned), "what is handed out is no block");
    pool.check().expect("sound");
    heard()
}

#[test]
fn writes_to_free_blocks_change_no_address() {
    assert_eq!(overwritten::<Light>(), []);
    // Chunks that are free as a whole may have gone back to the parent, with what was written there.
    let found = overwritten::<Full>();
    // The lowest byte of an address may be zero.
    let is_right = |misuse: &Misuse| matches!(misuse.kind, MisuseKind::WrittenAfterFree { offset: 0..8 });
    assert!(found.iter().all(is_right), "{found:?}");
}

#[test]
fn blocks_are_erased_and_compared() {
    let pool = Local::new(blocks::<Full>());
    let mut seen = HashSet::new();
    for _ in 0..5000 {
        let block = take(&pool, 64);
        seen.insert(block.addr().get());
        // SAFETY: the block is live and has 64 bytes.
        unsafe {
            assert_eq!(block.cast::<[u8; 64]>().read(), [0; 64]);
            block.write_bytes(0x5A, 64);
        }
        free(&pool, block, 64);
    }
    assert!(seen.len() > 512, "blocks are held back: {}", seen.len());
    let pool = Local::new(blocks::<Full>());
    let block = take(&pool, 64);
    free(&pool, block, 64);
    // SAFETY: wrong on purpose; the block lies in a chunk of the pool.
    unsafe { block.add(63).write(1) };
    let mut told = Vec::new();
    for _ in 0..5000 {
        let next = take(&pool, 64);
        told.extend(heard());
        assert_ne!(next, block);
        free(&pool, next, 64);
    }
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].kind, told[0].address),
        (MisuseKind::WrittenAfterFree { offset: 63 }, block.addr().get())
    );
    pool.check().expect("sound");
}

/// The order in which blocks are handed out differs between pools, and is that of a seed if one is given.
#[test]
fn order_is_random() {
    let order = |pool: Pool<Light>| -> Vec<usize> {
        let pool = Local::new(pool);
        let blocks: Vec<usize> = (0..64).map(|_| take(&pool, 64).addr().get()).collect();
        let first = blocks.iter().min().copied().expect("there are some");
        blocks.iter().map(|block| block - first).collect()
    };
    assert!(!order(blocks()).is_sorted());
    assert_ne!(order(blocks()), order(blocks()));
    assert_eq!(order(blocks().with_seed([1; 8])), order(blocks().with_seed([1; 8])));
}

#[test]
fn freed_block_is_not_the_next() {
    let pool = Local::new(blocks::<Full>());
    for _ in 0..500 {
        let block = take(&pool, 64);
        free(&pool, block, 64);
        let next = take(&pool, 64);
        assert_ne!(next, block);
        free(&pool, next, 64);
    }
}

#[test]
fn memory_that_runs_out_ends_the_quarantine() {
    let pool = Local::new_in(blocks::<Full>(), Limit::bytes(TrackingParent::default(), 64 << 10));
    let mut blocks: Vec<NonNull<u8>> = Vec::new();
    for _ in 0..20 {
        while let Ok(block) = pool.allocate(layout(64)) {
            blocks.push(block.cast());
        }
        assert!(blocks.len() > 400, "{}", blocks.len());
        blocks.drain(..).for_each(|block| free(&pool, block, 64));
        pool.check().expect("sound");
    }
    assert_eq!(heard(), []);
}

#[test]
fn reset_trim_and_live() {
    let mut pool = Local::new_in(blocks::<Full>(), TrackingParent::default());
    let before: Vec<NonNull<u8>> = (0..500).map(|_| take(&pool, 64)).collect();
    assert_eq!(pool.live().count(), 500);
    pool.reset();
    for block in before {
        free(&pool, block, 64);
        assert_eq!(kind(), MisuseKind::Foreign);
    }
    let again: Vec<NonNull<u8>> = (0..500).map(|_| take(&pool, 64)).collect();
    again.iter().for_each(|&block| free(&pool, block, 64));
    assert_ne!(pool.trim(), 0);
    assert_eq!((pool.parent().out(), pool.stats().held), (0, 0));
    free(&pool, again[499], 64);
    assert_eq!(kind(), MisuseKind::Foreign, "its chunk is gone, and not looked at");
    take(&pool, 64);
    pool.check().expect("sound");
}

/// Every thread's double free is detected, before it has any effect.
#[test]
fn threads() {
    fn detect(pool: &(impl Allocator + Sync)) {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let blocks = [0; 8].map(|_| take(pool, 64));
                        blocks.iter().for_each(|&block| free(pool, block, 64));
                        assert_eq!(heard(), []);
                    }
                });
            }
        });
        let block = take(pool, 64);
        free(pool, block, 64);
        free(pool, block, 64);
        assert_eq!(kind(), MisuseKind::DoubleFree);
    }
    let cached = Cached::new_in(blocks::<Full>(), TrackingParent::default());
    detect(&cached);
    cached.check().expect("sound");
    drop(cached);
    let locked = Locked::<_, _>::new_in(blocks::<Light>(), TrackingParent::default());
    detect(&locked);
    locked.check().expect("sound");
}

#[test]
fn canaries_around_hardened_blocks() {
    let pool = Local::new(Canary::new(blocks::<Full>()).reporting(HERE));
    for _ in 0..2000 {
        let block = take(&pool, 32);
        free(&pool, block, 32);
    }
    assert_eq!(heard(), []);
    let block = take(&pool, 32);
    // SAFETY: wrong on purpose; the byte is one of the guard's.
    unsafe { block.add(32).write(7) };
    free(&pool, block, 32);
    assert_eq!(kind(), MisuseKind::Overflow { offset: 32 });
    free(&pool, block, 32);
    assert_eq!(kind(), MisuseKind::DoubleFree);
}

#[test]
fn classes_detect_the_wrong_class() {
    let pool = Local::new_in(HardenedClasses::<Full>::new().reporting(HERE), TrackingParent::default());
    let block = take(&pool, 100);
    free(&pool, block, 24);
    assert_eq!(
        kind(),
        MisuseKind::WrongLayout { expected: Layout::from_size_align(112, 16).expect("a class") }
    );
    free(&pool, block, 100);
    assert_eq!(heard(), []);
    free(&pool, block, 100);
    assert_eq!(kind(), MisuseKind::DoubleFree);
    let large = take(&pool, 100_000);
    free(&pool, large, 8);
    assert_eq!(kind(), MisuseKind::Foreign);
    free(&pool, large, 100_000);
    pool.check().expect("sound");
}

#[test]
fn secure_pools_serve_all_sizes() {
    let (blocks, classes) = (secure::blocks(layout(64)), secure::classes());
    let all: Vec<(NonNull<u8>, usize)> =
        [1, 8, 64, 100, 5000, 32768, 100_000].iter().map(|&size| (take(&classes, size), size)).collect();
    for (block, size) in all {
        // SAFETY: the block is live and has this many bytes.
        unsafe { block.write_bytes(1, size) };
        free(&classes, block, size);
    }
    let block = take(&blocks, 64);
    assert!(blocks.allocate(layout(65)).is_err());
    free(&blocks, block, 64);
    assert_eq!((blocks.stats().live, classes.stats().live), (0, 0));
}
