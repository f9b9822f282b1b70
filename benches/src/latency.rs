//! The time of single operations: median, tail and worst case.
//!
//! Every allocation and every free of a random replacement is timed separately, with the processor's time stamp counter
//! between two fences. The timing itself takes time, which the first row shows and which is included in all other rows.
//! The worst case of a single run says more about interrupts than about pools. Each run is therefore repeated from the
//! start, with the same steps, and in the last column each operation counts with its minimum over all runs.

use std::{alloc::Layout, hint::black_box, time::Instant};

use bumpalo::Bump;
use millpond::{
    Allocator, Blocks, Classes, Fixed, Linear, Local, Magazine, Owned, SignPost, Stack, Tlsf,
    pool::{AddressOrdered, Lifo, NoQuickList},
};

use crate::{
    arenas, buddy,
    contenders::{Contender, List, Slabs, Slots},
    cpp,
    mixes::LIVE,
    random::Random,
    regions,
    report::{Case, Measure, Mix, measures},
    variable::{GLIBC, Layouts, MIMALLOC, Variable},
};

/// First fit searches longer if there are more blocks.
const LIVE_SEARCHED: usize = 1_000;
const PAIRS: usize = 500_000;
const RUNS: usize = 5;

/// A contender: each call is one run from the start, always with the same steps, and returns the ticks of every
/// operation.
struct Row {
    name: &'static str,
    run: Box<dyn Fn() -> Vec<u32>>,
}

/// Returns the current time in ticks, ordered after all earlier and before all later instructions.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn now() -> u64 {
    use core::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every x86-64 processor has both instructions.
    unsafe {
        _mm_lfence();
        let time = _rdtsc();
        _mm_lfence();
        time
    }
}

/// Returns the nanoseconds per tick.
fn tick() -> f64 {
    let (start, ticks) = (Instant::now(), now());
    while start.elapsed().as_millis() < 50 {}
    start.elapsed().as_nanos() as f64 / (now() - ticks) as f64
}

/// A fallback with a coarser clock, so that the program builds on other architectures.
#[cfg(not(target_arch = "x86_64"))]
fn now() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// A contender that does nothing: measures the timer itself.
fn nothing() -> Vec<u32> {
    let mut ticks = vec![0; 2 * PAIRS];
    for place in &mut ticks {
        let first = now();
        *place = (now() - first) as u32;
    }
    ticks
}

/// Times a free and an allocation, which stores the new block in its place.
#[inline(always)]
fn timed<C>(ticks: &mut [u32], contender: &mut C, free: impl FnOnce(&mut C), allocate: impl FnOnce(&mut C)) {
    let first = now();
    free(contender);
    let second = now();
    allocate(contender);
    let third = now();
    ticks[0] = (second - first) as u32;
    ticks[1] = (third - second) as u32;
}

/// Replaces random ones of many blocks of 64 bytes.
fn churn<C: Contender>(mut contender: C) -> Vec<u32> {
    let (mut random, mut ticks) = (Random::new(1), vec![0; 2 * PAIRS]);
    let mut blocks: Vec<C::Block> = (0..LIVE).map(|_| contender.take()).collect();
    for ticks in ticks.chunks_exact_mut(2) {
        let place = &mut blocks[random.below(LIVE)];
        let old = black_box(*place);
        // SAFETY: the block was allocated earlier, and another one replaces it at once.
        let free = |contender: &mut C| unsafe { contender.give(old) };
        timed(ticks, &mut contender, free, |contender| *place = black_box(contender.take()));
    }
    ticks
}

/// Replaces random ones of `live` blocks of 8 to 1024 bytes.
fn mixed<V: Variable + 'static>(contender: V, live: usize) -> Vec<u32> {
    // On the heap, because some contenders must not move once they have memory.
    let mut contender = Box::new(contender);
    let (mut random, mut layouts, mut ticks) =
        (Random::new(1), Layouts::new(&regions::SIZES), vec![0; 2 * PAIRS]);
    let mut blocks: Vec<(*mut u8, Layout)> = (0..live)
        .map(|_| {
            let layout = layouts.next();
            (contender.take(layout), layout)
        })
        .collect();
    for ticks in ticks.chunks_exact_mut(2) {
        let place = &mut blocks[random.below(live)];
        let ((old, layout), new) = (black_box(*place), black_box(layouts.next()));
        // SAFETY: the block was allocated with this layout, and another one replaces it at once.
        let free = |contender: &mut V| unsafe { contender.give(old, layout) };
        timed(ticks, &mut *contender, free, |contender| *place = (black_box(contender.take(new)), new));
        assert!(!place.0.is_null(), "there is more memory than the mix needs");
    }
    ticks
}

/// Fills an arena with blocks of 8 to 64 bytes and empties it, repeatedly; emptying counts as an operation.
fn filled(mut allocate: impl FnMut(Layout), mut reset: impl FnMut()) -> Vec<u32> {
    let layouts = arenas::layouts();
    let mut ticks = Vec::with_capacity(2 * PAIRS);
    while ticks.len() < 2 * PAIRS {
        for &layout in &layouts {
            let first = now();
            allocate(layout);
            ticks.push((now() - first) as u32);
        }
        let first = now();
        reset();
        ticks.push((now() - first) as u32);
    }
    ticks
}

fn row(name: &'static str, run: impl Fn() -> Vec<u32> + 'static) -> Row {
    Row { name, run: Box::new(run) }
}

fn of_one_size() -> Vec<Row> {
    let mut rows = vec![
        row("the timer alone", nothing),
        row("hand-written list", || churn(List::new(LIVE + 1))),
        row("Blocks<(…, Lifo)>", || churn(Owned::new(Blocks::<(Fixed<64>, Lifo)>::new()))),
        row("Blocks<(…, Magazine)>", || churn(Owned::new(Blocks::<(Fixed<64>, Magazine)>::new()))),
        row("Blocks<(…, AddressOrdered)>", || {
            churn(Owned::new(Blocks::<(Fixed<64>, AddressOrdered)>::new()))
        }),
        row("slab", || churn(Slabs::new())),
        row("slotmap", || churn(Slots::new())),
        row("glibc", || churn(GLIBC)),
        row("mimalloc", || churn(MIMALLOC)),
    ];
    rows.extend((0..2).filter_map(|which| {
        let (name, _) = cpp::Peer::nth(which)?;
        Some(row(name, move || {
            cpp::Peer::nth(which).map_or_else(Vec::new, |(_, mut peer)| peer.latency(PAIRS))
        }))
    }));
    rows
}

fn of_mixed_sizes() -> Vec<Row> {
    vec![
        row("the timer alone", nothing),
        row("Tlsf", || mixed(regions::owned(Tlsf::new()), regions::LIVE)),
        row("Tlsf<NoQuickList>", || {
            mixed(regions::owned(Tlsf::<NoQuickList>::without_quick_list()), regions::LIVE)
        }),
        row("Buddy", || mixed(buddy::ours(), regions::LIVE)),
        row("Classes", || mixed(Owned::new(Classes::new()), regions::LIVE)),
        row("SignPost first fit, 1,000 live", || mixed(regions::owned(SignPost::first_fit()), LIVE_SEARCHED)),
        row("SignPost best fit, 1,000 live", || mixed(regions::owned(SignPost::best_fit()), LIVE_SEARCHED)),
        row("rlsf", || mixed(regions::rlsf(), regions::LIVE)),
        row("talc", || mixed(regions::talc(), regions::LIVE)),
        row("buddy_system_allocator", || mixed(buddy::theirs(), regions::LIVE)),
        row("glibc", || mixed(GLIBC, regions::LIVE)),
        row("mimalloc", || mixed(MIMALLOC, regions::LIVE)),
    ]
}

fn of_arenas() -> Vec<Row> {
    vec![
        row("the timer alone", nothing),
        row("Linear", || {
            let pool = std::cell::RefCell::new(Local::new(Linear::with_capacity(1 << 16)));
            filled(
                |layout| {
                    let _ = black_box(Allocator::allocate(&*pool.borrow(), layout));
                },
                || pool.borrow_mut().reset(),
            )
        }),
        row("Stack", || {
            let pool = std::cell::RefCell::new(Local::new(Stack::with_capacity(1 << 16)));
            filled(
                |layout| {
                    let _ = black_box(Allocator::allocate(&*pool.borrow(), layout));
                },
                || pool.borrow_mut().reset(),
            )
        }),
        row("bumpalo", || {
            let arena = std::cell::RefCell::new(Bump::with_capacity(1 << 16));
            filled(
                |layout| {
                    black_box(arena.borrow().alloc_layout(layout));
                },
                || arena.borrow_mut().reset(),
            )
        }),
        row("pmr::monotonic_buffer", || cpp::monotonic_latency(&arenas::layouts(), 2 * PAIRS)),
    ]
}

const MEASURES: &[Measure] = &measures("ns", ["median", "p99", "p99.9", "worst", "worst, repeated"]);

pub const MIXES: &[Mix] = &[Mix {
    name: "latency",
    what: "single operations, the time of the timer included",
    run: || {
        vec![
            table("replace a random one of 100,000 blocks of 64 bytes", &of_one_size()),
            table("replace a random one of 20,000 blocks of 8 to 1,024 bytes", &of_mixed_sizes()),
            table("allocate 1,000 blocks of 8 to 64 bytes, reset", &of_arenas()),
        ]
    },
}];

fn table(what: &str, rows: &[Row]) -> Case {
    let nanoseconds = tick();
    let mut case = Case::new(what, MEASURES);
    case.name_rows(rows.iter().map(|row| row.name));
    let mut least: Vec<Vec<u32>> = vec![Vec::new(); rows.len()];
    case.take_turns(RUNS, |row| {
        let mut ticks = (rows[row].run)();
        if least[row].is_empty() {
            least[row] = ticks.clone();
        }
        least[row].iter_mut().zip(&ticks).for_each(|(least, &now)| *least = now.min(*least));
        ticks.sort_unstable();
        [0.5, 0.99, 0.999, 1.0]
            .map(|share| f64::from(ticks[((ticks.len() - 1) as f64 * share) as usize]) * nanoseconds)
    });
    for (row, least) in least.iter().enumerate() {
        case.add(row, 4, f64::from(least.iter().copied().max().unwrap_or(0)) * nanoseconds);
    }
    case
}
