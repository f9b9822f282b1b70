//! The cost of a million live blocks: the time of a reset, and resident memory.

use std::{hint::black_box, time::Instant};

use millpond::{
    Blocks, Buddy, Classes, Fixed, Linear, Magazine, Owned, Pages, SignPost, Stack, Tlsf,
    pool::{AddressOrdered, Lifo, NoQuickList},
    raw::RawPool,
};
use slab::Slab;
use slotmap::SlotMap;

use crate::{
    contenders::LAYOUT,
    cpp,
    fork::{in_copies, resident},
    report::{Case, Measure, Mix, measures},
    variable::{GLIBC, MIMALLOC, Variable},
};

pub const MILLION: usize = 1_000_000;

pub const RESIDENT: &[Mix] = &[Mix {
    name: "resident",
    what: "resident memory of a million blocks of 64 bytes: live, all freed, trimmed",
    run: resident_at_a_million,
}];

pub const RESET: &[Mix] = &[Mix {
    name: "reset",
    what: "reset a pool with a million live blocks of 64 bytes",
    run: reset_of_a_million,
}];

/// Measures how long `reset` takes with a million live blocks.
fn reset_of_a_million() -> Vec<Case> {
    const TIME: &[Measure] = &measures("ns in all", ["time"]);
    let mut case = Case::new("", TIME);
    let row = case.row("Owned<Blocks<Fixed<64>>>");
    let mut pool = Owned::new(Blocks::<Fixed<64>>::new());
    for _ in 0..21 {
        for _ in 0..MILLION {
            let block = pool.allocate(LAYOUT).expect("the heap has room for a million blocks");
            // SAFETY: the block is live and 64 bytes long.
            unsafe { block.cast::<[u64; 8]>().write([1; 8]) };
        }
        let start = Instant::now();
        pool.reset();
        case.add(row, 0, start.elapsed().as_nanos() as f64);
    }
    vec![case]
}

/// A contender for filling and emptying.
struct Row {
    name: &'static str,
    /// Resident bytes per block with a million live blocks, after freeing all, and after `trim` or its equivalent.
    run: fn() -> [f64; 3],
}

/// Allocates and writes a million blocks, frees them in the same order, and trims.
fn fill<V: Variable>(mut contender: V, trim: impl FnOnce(&mut V)) -> [f64; 3] {
    // The memory for the bookkeeping of this function is resident before.
    let mut blocks = vec![std::ptr::without_provenance_mut::<u8>(1); MILLION];
    black_box(&mut blocks).fill(std::ptr::null_mut());
    let before = resident().unwrap_or(f64::NAN);
    let now = || resident().unwrap_or(f64::NAN) - before;
    for place in &mut blocks {
        *place = contender.take(LAYOUT);
        // SAFETY: the block is live and 64 bytes long; only this function uses it.
        unsafe { place.cast::<[u64; 7]>().byte_add(8).write([1; 7]) };
    }
    let full = now();
    for &block in &blocks {
        // SAFETY: the block is live, and freed once.
        unsafe { contender.give(block, LAYOUT) };
    }
    let empty = now();
    trim(&mut contender);
    [full, empty, now()].map(|bytes| bytes / MILLION as f64)
}

fn ours<P: RawPool + 'static>(pool: P) -> [f64; 3] {
    fill(Owned::new_in(pool, Pages), |pool| {
        pool.trim();
    })
}

/// The same for arenas, which free everything at once.
fn emptied<P: RawPool + 'static>(pool: P) -> [f64; 3] {
    fill(Owned::new_in(pool, Pages), |pool| {
        pool.reset();
        pool.trim();
    })
}

fn cpp_peer(which: usize) -> [f64; 3] {
    cpp::Peer::nth(which).map_or([f64::NAN; 3], |(_, peer)| fill(peer, |_| ()))
}

const ROWS: &[Row] = &[
    Row { name: "Blocks, Lifo", run: || ours(Blocks::<(Fixed<64>, Lifo)>::new()) },
    Row { name: "Blocks, Magazine", run: || ours(Blocks::<(Fixed<64>, Magazine)>::new()) },
    Row { name: "Blocks, AddressOrdered", run: || ours(Blocks::<(Fixed<64>, AddressOrdered)>::new()) },
    Row { name: "Classes", run: || ours(Classes::new()) },
    Row { name: "Tlsf", run: || ours(Tlsf::new()) },
    Row { name: "Tlsf<NoQuickList>", run: || ours(Tlsf::<NoQuickList>::without_quick_list()) },
    Row { name: "SignPost", run: || ours(SignPost::first_fit()) },
    Row { name: "Buddy", run: || ours(Buddy::new()) },
    Row { name: "Linear, reset at the end", run: || emptied(Linear::new()) },
    Row { name: "Stack, reset at the end", run: || emptied(Stack::new()) },
    Row { name: "slab, with_capacity", run: || fill(Slab::with_capacity(MILLION), Slab::shrink_to_fit) },
    Row { name: "slotmap, with_capacity", run: || fill(SlotMap::with_capacity(MILLION), |_| ()) },
    Row { name: "boost::pool", run: || cpp_peer(0) },
    Row { name: "pmr::unsynchronized_pool", run: || cpp_peer(1) },
    Row {
        name: "glibc, malloc_trim",
        run: || {
            fill(GLIBC, |_| {
                // SAFETY: `malloc_trim` may be called at any time.
                unsafe { libc::malloc_trim(0) };
            })
        },
    },
    Row { name: "mimalloc", run: || fill(MIMALLOC, |_| ()) },
];

/// Returns resident bytes per block of 64 bytes: with a million live blocks, all written; when all are freed; and after
/// a trim.
fn resident_at_a_million() -> Vec<Case> {
    const MEASURES: &[Measure] = &measures("bytes per block", ["live", "freed", "trimmed"]);
    if resident().is_none() {
        eprintln!("skipped: /proc/self/statm cannot be read here");
        return Vec::new();
    }
    vec![in_copies(MEASURES, ROWS.iter().map(|row| (row.name, row.run)))]
}
