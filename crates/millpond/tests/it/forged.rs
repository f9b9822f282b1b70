//! What a guard reports when the pool behind it has overwritten memory and returns a block that it must not.

use std::{alloc::Layout, ptr::NonNull};

use fastrand::Rng;
use millpond::{
    Allocator, Blocks, Cached, Fixed, Inspect, Local, Magazine, Tlsf,
    guard::{Canary, Checked, Poison, Quarantine, Zeroed},
    observe::MisuseKind,
    pool::{Lifo, Validated},
};

use crate::misuse::{HERE, free, heard, kind, layout, take};

/// Writes a word into a freed block, or in front of a block.
fn forge(block: NonNull<u8>, at: isize, word: usize) {
    // SAFETY: wrong on purpose. The word lies in a chunk of the pool.
    unsafe { block.cast::<usize>().offset(at).write(word) };
}

#[test]
fn checked_hands_out_no_live_block() {
    let pool = Local::new(Checked::new(Blocks::<Fixed<64>>::new()).reporting(HERE));
    let [first, second, live] = [0; 3].map(|_| take(&pool, 64));
    free(&pool, first, 64);
    free(&pool, second, 64);
    forge(second, 0, live.addr().get());
    assert_eq!(take(&pool, 64), second);
    assert!(pool.allocate(layout(64)).is_err());
    assert_eq!(kind(), MisuseKind::Overlap { live: live.addr().get() });
    free(&pool, live, 64);
    free(&pool, second, 64);
    assert!(heard().is_empty());
}

#[test]
fn checked_allocator_hands_out_no_live_block() {
    let pool = Checked::new(Local::new(Blocks::<Fixed<64>>::new())).reporting(HERE);
    let [first, live] = [0; 2].map(|_| take(&pool, 64));
    free(&pool, first, 64);
    forge(first, 0, live.addr().get());
    assert_eq!(take(&pool, 64), first);
    assert!(pool.allocate(layout(40)).is_err());
    assert_eq!(kind(), MisuseKind::Overlap { live: live.addr().get() });
    free(&pool, live, 64);
    free(&pool, first, 64);
}

#[test]
fn checked_blocks_hand_out_no_forged_address() {
    let admin = [0usize; 8];
    let mut pool = Local::new(Blocks::<(Fixed<64>, Validated<Lifo>)>::new().reporting(HERE));
    let [first, live] = [0; 2].map(|_| take(&pool, 64));
    // An address that can be read, one that cannot, one within a block, and a live one.
    for (word, expected) in [
        ((&raw const admin).addr(), MisuseKind::Forged),
        (0xDFDF_DFD0, MisuseKind::Forged),
        (live.addr().get() + 8, MisuseKind::Forged),
        (live.addr().get(), MisuseKind::Overlap { live: live.addr().get() }),
    ] {
        free(&pool, first, 64);
        forge(first, 0, word);
        assert_eq!(take(&pool, 64), first);
        let next = take(&pool, 64);
        assert_eq!(kind(), expected);
        assert!(next != live && next != first && next.addr().get() != word);
        free(&pool, next, 64);
    }
    pool.reset();
    pool.check().expect("a reset mends it");
}

/// A run of free blocks is a start, a count and a distance.
#[test]
fn checked_magazine_reports_a_forged_run() {
    let bits = usize::BITS / 4;
    for pace in [0, usize::MAX, 8 << bits | 4, 1 << (2 * bits) | 3, usize::MAX << bits | 4] {
        let pool = Local::new(Blocks::<(Fixed<64>, Validated<Magazine<8>>)>::new().reporting(HERE));
        let blocks: Vec<NonNull<u8>> = (0..64).map(|_| take(&pool, 64)).collect();
        blocks.iter().for_each(|&block| free(&pool, block, 64));
        blocks.iter().for_each(|&block| forge(block, 1, pace));
        let again: Vec<NonNull<u8>> = (0..64).map(|_| take(&pool, 64)).collect();
        let heard = heard();
        assert!(heard.iter().any(|misuse| misuse.kind == MisuseKind::Forged), "{pace:#x}: {heard:?}");
        let mut apart: Vec<usize> = again.iter().map(|block| block.addr().get()).collect();
        apart.sort_unstable();
        assert!(apart.windows(2).all(|pair| pair[1] - pair[0] >= 64));
        again.iter().for_each(|&block| free(&pool, block, 64));
    }
}

/// If blocks were freed in no regular order, a free block carries the addresses of others.
#[test]
fn checked_magazine_hands_out_no_forged_address() {
    let mut pool = Local::new(Blocks::<(Fixed<64>, Validated<Magazine<32>>)>::new().reporting(HERE));
    let mut blocks: Vec<NonNull<u8>> = (0..100).map(|_| take(&pool, 64)).collect();
    let live = blocks.pop().expect("there are some");
    fastrand::Rng::with_seed(1).shuffle(&mut blocks);
    blocks.iter().for_each(|&block| free(&pool, block, 64));
    blocks.iter().for_each(|&block| (1..8).for_each(|at| forge(block, at, live.addr().get())));
    let again: Vec<NonNull<u8>> = (0..150).map(|_| take(&pool, 64)).collect();
    assert!(!again.contains(&live));
    let found = heard();
    assert!(!found.is_empty());
    let overlap = MisuseKind::Overlap { live: live.addr().get() };
    assert!(
        found.iter().all(|misuse| misuse.kind == overlap || misuse.kind == MisuseKind::Forged),
        "{found:?}"
    );
    pool.reset();
}

/// If blocks were freed in the order of their addresses, a free block holds the number and the distance of the others.
#[test]
fn checked_magazine_follows_no_forged_distance() {
    for word in [usize::MAX, 0xDFDF_DFD0, 64 << 16 | 1000, 3 << 16 | 5, 0] {
        let mut pool = Local::new(Blocks::<(Fixed<64>, Validated<Magazine<4>>)>::new().reporting(HERE));
        let mut blocks: Vec<NonNull<u8>> = (0..20).map(|_| take(&pool, 64)).collect();
        let live = blocks.pop().expect("there are some");
        blocks.iter().for_each(|&block| free(&pool, block, 64));
        blocks.iter().for_each(|&block| forge(block, 1, word));
        let mut again: Vec<usize> = (0..30).map(|_| take(&pool, 64).addr().get()).collect();
        assert!(!again.contains(&live.addr().get()), "{word:#x}");
        again.sort_unstable();
        assert!(again.windows(2).all(|pair| pair[1] - pair[0] >= 64), "{word:#x}: blocks overlap");
        heard();
        pool.reset();
    }
}

/// The table of blocks, under random calls on a pool without faults: nothing is reported.
#[test]
fn sound_pools_are_not_reported() {
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let pool = Checked::new(Local::new(Tlsf::new())).reporting(HERE);
        let mut live: Vec<(NonNull<u8>, Layout)> = Vec::new();
        for _ in 0..500 {
            let size = rng.usize(1..400);
            match rng.u8(0..4) {
                0 | 1 => live.push((take(&pool, size), layout(size))),
                2 if !live.is_empty() => {
                    let (block, old) = live.swap_remove(rng.usize(0..live.len()));
                    free(&pool, block, old.size());
                }
                3 if !live.is_empty() => {
                    let at = rng.usize(0..live.len());
                    let (block, old) = live[at];
                    // SAFETY: the block is live and of this layout.
                    let resized = unsafe {
                        if size < old.size() {
                            pool.shrink_in_place(block, old, layout(size))
                        } else {
                            pool.grow_in_place(block, old, layout(size))
                        }
                    };
                    if resized.is_ok() {
                        live[at].1 = layout(size);
                    }
                }
                _ => {}
            }
            pool.check().expect("sound after each step");
        }
        live.drain(..).for_each(|(block, old)| free(&pool, block, old.size()));
        assert!(heard().is_empty());
    }
}

/// Returns the bytes of a block of 64, of which 40 were requested, as they are when it is handed out again.
fn again(pool: &impl Allocator) -> [u8; 64] {
    let blocks: Vec<NonNull<u8>> = (0..40).map(|_| take(pool, 40)).collect();
    for &block in &blocks {
        // SAFETY: the block is live, and its holder may use this many bytes.
        unsafe { block.write_bytes(0x77, 40) };
    }
    blocks.iter().for_each(|&block| free(pool, block, 40));
    let block = take(pool, 40);
    // SAFETY: the block lies in a chunk of the pool, 64 bytes from the next one.
    let bytes = unsafe { block.cast::<[u8; 64]>().read() };
    free(pool, block, 40);
    bytes
}

#[test]
fn erased_or_poisoned_blocks_hold_no_address() {
    type Of<S> = Blocks<(Fixed<64>, S)>;
    assert_eq!(again(&Local::new(Zeroed::new(Of::<Lifo>::new()))), [0; 64]);
    assert_eq!(again(&Local::new(Zeroed::new(Of::<Magazine<4>>::new()))), [0; 64]);
    assert_eq!(again(&Zeroed::new(Local::new(Of::<Magazine<4>>::new()))), [0; 64]);
    assert_eq!(again(&Zeroed::new(Cached::<_>::new(Of::<Lifo>::new()))), [0; 64]);
    assert_eq!(again(&Local::new(Poison::new(Of::<Lifo>::new()))), [0xA5; 64]);
    assert_eq!(again(&Local::new(Poison::new(Of::<Magazine<4>>::new()))), [0xA5; 64]);
    assert_eq!(again(&Poison::new(Cached::<_>::new(Of::<Lifo>::new()))), [0xA5; 64]);
}

#[test]
fn grown_bytes_hold_no_address() {
    for zeroed in [true, false] {
        let pool = Tlsf::without_quick_list();
        let (zeros, rubbish) =
            (Zeroed::new(Local::new(pool)), Poison::new(Local::new(Tlsf::without_quick_list())));
        let blocks = [0; 3].map(|_| if zeroed { take(&zeros, 100) } else { take(&rubbish, 100) });
        let (lower, upper) = (blocks[0].min(blocks[1]), blocks[0].max(blocks[1]));
        let (old, new) = (layout(100), layout(180));
        // SAFETY: the blocks are live and of this layout.
        let grown = unsafe {
            if zeroed {
                free(&zeros, upper, 100);
                zeros.grow_in_place(lower, old, new)
            } else {
                free(&rubbish, upper, 100);
                rubbish.grow_in_place(lower, old, new)
            }
        };
        let grown = grown.expect("what lies behind it is free").cast::<[u8; 180]>();
        // SAFETY: the block is live and has this length.
        let bytes = unsafe { grown.read() };
        let expected = if zeroed { 0 } else { 0xA5 };
        assert!(bytes[100..].iter().all(|&byte| byte == expected), "{bytes:x?}");
    }
}

#[test]
fn double_free_is_detected_by_owner_or_inverted_end() {
    let pool = Local::new(Quarantine::<_, 4>::new(Blocks::<Fixed<64>>::new()).reporting(HERE));
    let around = Quarantine::<_, 4>::around(Local::new(Blocks::<Fixed<64>>::new())).reporting(HERE);
    let canary = Local::new(Canary::new(Blocks::<Fixed<80>>::new()).reporting(HERE));
    fn twice(pool: &impl Allocator, size: usize) {
        for _ in 0..10 {
            let block = take(pool, size);
            free(pool, block, size);
            free(pool, block, size);
            assert_eq!(kind(), MisuseKind::DoubleFree);
        }
        let blocks = [0; 20].map(|_| take(pool, size));
        assert!(blocks.iter().enumerate().all(|(at, block)| !blocks[..at].contains(block)));
        blocks.iter().for_each(|&block| free(pool, block, size));
    }
    twice(&pool, 64);
    twice(&around, 64);
    twice(&canary, 48);
    assert!(heard().is_empty());
}
