//! What it costs to have misuse found: a pool of 64-byte blocks, and the same with each guard.

use std::{alloc::Layout, hint::black_box, ptr::NonNull};

use millpond::{
    Allocator, AnySize, Blocks, Canary, Checked, Fixed, Lifo, Local, Magazine, Marked, Poison, Quarantine,
    Tracked, Zeroed,
};

use crate::harness::{Mix, Runner};

pub const MIXES: &[Mix] = &[
    Mix {
        name: "checked-pair",
        what: "allocate one block of 48 bytes, free it, again",
        runners: || all::<1, 1>(),
    },
    Mix {
        name: "checked-batch",
        what: "allocate 10,000 blocks of 48 bytes, free them first first",
        runners: || all::<10_000, 10_000>(),
    },
    Mix {
        name: "checked-churn",
        what: "replace a random one of 100,000 live blocks of 48 bytes",
        runners: || all::<100_000, 1>(),
    },
];

const LAYOUT: Layout = Layout::new::<[u64; 6]>();

/// Everyone, with `LIVE` blocks at most, of which `BATCH` at a time are taken and given.
fn all<const LIVE: usize, const BATCH: usize>() -> Vec<Runner> {
    let shape = || Layout::new::<[u64; 8]>();
    vec![
        runner::<LIVE, BATCH>("Lifo", Local::new(Blocks::<Fixed<64>>::new())),
        runner::<LIVE, BATCH>("Magazine", Local::new(Blocks::<(Fixed<64>, Magazine)>::new())),
        runner::<LIVE, BATCH>("Marked<Lifo>", Local::new(Blocks::<(Fixed<64>, Marked<Lifo>)>::new())),
        runner::<LIVE, BATCH>("Marked<Magazine>", Local::new(Blocks::<(Fixed<64>, Marked<Magazine>)>::new())),
        runner::<LIVE, BATCH>("Lifo, run-time layout", Local::new(Blocks::of(shape()))),
        runner::<LIVE, BATCH>(
            "Marked<Lifo>, run-time layout",
            Local::new(Blocks::<(AnySize, Marked<Lifo>)>::shaped(shape())),
        ),
        runner::<LIVE, BATCH>("Poison", Local::new(Poison::new(Blocks::<Fixed<64>>::new()))),
        runner::<LIVE, BATCH>("Zeroed", Local::new(Zeroed::new(Blocks::<Fixed<64>>::new()))),
        runner::<LIVE, BATCH>("Canary", Local::new(Canary::new(Blocks::<Fixed<64>>::new()))),
        runner::<LIVE, BATCH>("Quarantine", Local::new(Quarantine::<_, 64>::new(Blocks::<Fixed<64>>::new()))),
        runner::<LIVE, BATCH>("Checked", Local::new(Checked::new(Blocks::<Fixed<64>>::new()))),
        runner::<LIVE, BATCH>("Tracked, around", Tracked::new(Local::new(Blocks::<Fixed<64>>::new()))),
    ]
}

/// With as many live blocks as a batch, the batch is taken and given; with more, random blocks are replaced.
fn runner<const LIVE: usize, const BATCH: usize>(
    name: &'static str,
    pool: impl Allocator + 'static,
) -> Runner {
    let pool: &'static _ = black_box(Box::leak(Box::new(pool)));
    let mut live: Vec<NonNull<u8>> = Vec::with_capacity(LIVE);
    let mut state = 1u64;
    let run = move |pairs: usize| {
        if LIVE == BATCH {
            for _ in 0..pairs.div_ceil(BATCH) {
                live.extend((0..BATCH).map(|_| black_box(take(pool))));
                for block in live.drain(..) {
                    // SAFETY: the block was just taken, and is given once.
                    unsafe { pool.deallocate(block, LAYOUT) };
                }
            }
            return pairs.div_ceil(BATCH) * BATCH;
        }
        while live.len() < LIVE {
            live.push(take(pool));
        }
        for _ in 0..pairs {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let place = &mut live[(state % LIVE as u64) as usize];
            // SAFETY: the block is live, and is given once.
            unsafe { pool.deallocate(*place, LAYOUT) };
            *place = take(pool);
        }
        pairs
    };
    Runner { name, run: Box::new(run) }
}

#[inline(always)]
fn take(pool: &impl Allocator) -> NonNull<u8> {
    match pool.allocate(LAYOUT) {
        Ok(block) => block.cast(),
        Err(error) => panic!("the heap has room: {error}"),
    }
}
