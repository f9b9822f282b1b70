//! What sets the strategies of `Blocks` apart.

use std::{alloc::Layout, collections::BTreeSet, ptr::NonNull};

use millpond::{Allocator, Blocks, Compact, Fixed, Inspect, Local, Magazine, Pages};

use crate::parents::Watched;

const BLOCK: Layout = Layout::new::<[u64; 8]>();

fn take(pool: &impl Allocator) -> NonNull<u8> {
    pool.allocate(BLOCK).expect("there is memory").cast()
}

#[test]
fn compact_lists_exactly_the_live_blocks() {
    for seed in 0..10 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut pool = Local::new_in(Blocks::<(Fixed<64>, Compact<16, 8192>)>::new(), Watched::default());
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
fn compact_hands_out_an_aged_heap_in_address_order() {
    let pool = Local::new_in(Blocks::<(Fixed<64>, Compact)>::new(), Pages);
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
fn a_magazine_does_not_touch_what_is_freed() {
    let pool = Local::new_in(Blocks::<(Fixed<64>, Magazine)>::new(), Pages);
    let blocks: Vec<_> = (0..100).map(|_| take(&pool)).collect();
    for &block in &blocks {
        // SAFETY: the block is live until it is freed; what is read after that is still the pool's mapped memory.
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
