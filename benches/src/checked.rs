//! The cost of detecting misuse: a pool of 64-byte blocks, and the same with each guard. Requests are for 32 bytes, so
//! that a guard has room in the block for what it adds.

use std::{alloc::Layout, hint::black_box, ptr::NonNull};

use millpond::{
    Allocator, Blocks, Classes, Fixed, Heap, Local, Magazine, Tlsf,
    guard::{Canary, Checked, Poison, Quarantine, Tracked, Zeroed},
    pool::{DynSize, Lifo, Validated},
    raw::RawPool,
};

use crate::{
    harness::{Runner, compare},
    random::Random,
    regions::SIZES,
    report::Mix,
    variable::{Layouts, Shared, Variable, pairs, replace},
};

pub const MIXES: &[Mix] = &[
    Mix {
        name: "checked-pair",
        what: "allocate one block of 32 bytes, free it, again",
        run: || compare(|| all::<1, 1>()),
    },
    Mix {
        name: "checked-batch",
        what: "allocate 10,000 blocks of 32 bytes, free them first first",
        run: || compare(|| all::<10_000, 10_000>()),
    },
    Mix {
        name: "checked-churn",
        what: "replace a random one of 100,000 live blocks of 32 bytes",
        run: || compare(|| all::<100_000, 1>()),
    },
    Mix {
        name: "checked-tlsf-pair",
        what: "allocate one block of 8 to 1024 bytes, free it, again",
        run: || compare(|| sized(Tlsf::new, Use::Pair)),
    },
    Mix {
        name: "checked-tlsf-batch",
        what: "allocate 10,000 blocks of 8 to 1024 bytes, free them first first",
        run: || compare(|| sized(Tlsf::new, Use::Batch)),
    },
    Mix {
        name: "checked-tlsf-churn",
        what: "replace a random one of 20,000 live blocks of 8 to 1024 bytes",
        run: || compare(|| sized(Tlsf::new, Use::Churn)),
    },
    Mix {
        name: "checked-classes-pair",
        what: "allocate one block of 8 to 1024 bytes, free it, again",
        run: || compare(|| sized(Classes::new, Use::Pair)),
    },
    Mix {
        name: "checked-classes-batch",
        what: "allocate 10,000 blocks of 8 to 1024 bytes, free them first first",
        run: || compare(|| sized(Classes::new, Use::Batch)),
    },
    Mix {
        name: "checked-classes-churn",
        what: "replace a random one of 20,000 live blocks of 8 to 1024 bytes",
        run: || compare(|| sized(Classes::new, Use::Churn)),
    },
];

const LAYOUT: Layout = Layout::new::<[u64; 4]>();

/// All contenders, with at most `LIVE` live blocks, of which `BATCH` at a time are allocated and freed.
fn all<const LIVE: usize, const BATCH: usize>() -> Vec<Runner> {
    let shape = || Layout::new::<[u64; 8]>();
    vec![
        runner::<LIVE, BATCH>("Lifo", Local::new(Blocks::<Fixed<64>>::new())),
        runner::<LIVE, BATCH>("Magazine", Local::new(Blocks::<(Fixed<64>, Magazine)>::new())),
        runner::<LIVE, BATCH>("Validated<Lifo>", Local::new(Blocks::<(Fixed<64>, Validated<Lifo>)>::new())),
        runner::<LIVE, BATCH>(
            "Validated<Magazine>",
            Local::new(Blocks::<(Fixed<64>, Validated<Magazine>)>::new()),
        ),
        runner::<LIVE, BATCH>("Lifo, run-time layout", Local::new(Blocks::of(shape()))),
        runner::<LIVE, BATCH>(
            "Validated<Lifo>, run-time layout",
            Local::new(Blocks::<(DynSize, Validated<Lifo>)>::with_layout(shape())),
        ),
        runner::<LIVE, BATCH>("Poison", Local::new(Poison::new(Blocks::<Fixed<64>>::new()))),
        runner::<LIVE, BATCH>("Zeroed", Local::new(Zeroed::new(Blocks::<Fixed<64>>::new()))),
        runner::<LIVE, BATCH>("Canary", Local::new(Canary::new(Blocks::<Fixed<64>>::new()))),
        runner::<LIVE, BATCH>("Quarantine", Local::new(Quarantine::<_, 64>::new(Blocks::<Fixed<64>>::new()))),
        runner::<LIVE, BATCH>("Checked", Local::new(Checked::new(Blocks::<Fixed<64>>::new()))),
        runner::<LIVE, BATCH>("Tracked, around", Tracked::new(Local::new(Blocks::<Fixed<64>>::new()))),
    ]
}

/// If as many blocks are live as a batch has, the batch is allocated and freed; if more are live, random blocks are
/// replaced.
fn runner<const LIVE: usize, const BATCH: usize>(
    name: &'static str,
    pool: impl Allocator + 'static,
) -> Runner {
    let pool: &'static _ = black_box(Box::leak(Box::new(pool)));
    let mut live: Vec<NonNull<u8>> = Vec::with_capacity(LIVE);
    let mut random = Random::new(1);
    let run = move |pairs: usize| {
        if LIVE == BATCH {
            for _ in 0..pairs.div_ceil(BATCH) {
                live.extend((0..BATCH).map(|_| black_box(take(pool))));
                for block in live.drain(..) {
                    // SAFETY: the block was just allocated, and is freed once.
                    unsafe { pool.deallocate(block, LAYOUT) };
                }
            }
            return pairs.div_ceil(BATCH) * BATCH;
        }
        while live.len() < LIVE {
            live.push(take(pool));
        }
        for _ in 0..pairs {
            let place = &mut live[random.below(LIVE)];
            // SAFETY: the block is live, and is freed once.
            unsafe { pool.deallocate(*place, LAYOUT) };
            *place = take(pool);
        }
        pairs
    };
    Runner { name, run: Box::new(run) }
}

/// How blocks of varying sizes are used.
#[derive(Clone, Copy)]
enum Use {
    Pair,
    Batch,
    Churn,
}

impl Use {
    fn of(self, name: &'static str, pool: impl Variable + 'static) -> Runner {
        match self {
            Self::Pair => pairs(name, pool, SIZES),
            Self::Batch => batches(name, pool),
            Self::Churn => replace::<false>(name, pool, 20_000, SIZES),
        }
    }
}

/// A pool of blocks of varying sizes, the same with its blocks checked, and with the checks around the shell.
fn sized<P: RawPool + 'static>(new: fn() -> P, how: Use) -> Vec<Runner> {
    vec![
        how.of("unchecked", Shared::new(new(), Heap)),
        how.of("Checked", Shared::new(Checked::new(new()), Heap)),
        how.of("Checked, around", Shared::of(Checked::new(Local::new(new())))),
    ]
}

/// Allocates 10,000 blocks and frees them in the same order.
fn batches(name: &'static str, mut pool: impl Variable + 'static) -> Runner {
    const BATCH: usize = 10_000;
    let mut layouts = Layouts::new(&SIZES);
    let mut live = Vec::with_capacity(BATCH);
    let run = move |pairs: usize| {
        for _ in 0..pairs.div_ceil(BATCH) {
            live.extend((0..BATCH).map(|_| {
                let layout = layouts.next();
                (black_box(pool.take(layout)), layout)
            }));
            for (block, layout) in live.drain(..) {
                // SAFETY: the block was just allocated, and is freed once.
                unsafe { pool.give(block, layout) };
            }
        }
        pairs.div_ceil(BATCH) * BATCH
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
