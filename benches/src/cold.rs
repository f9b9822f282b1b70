//! Filling a cold pool: a million blocks of 64 bytes, all written, in memory that has not been touched before.
//!
//! Each fill uses a new pool on a new mapping; the time ends with the last block written and excludes returning the
//! memory. "Huge" means transparent huge pages; "no pool" is the lower bound. The very first fill is reported
//! separately, because the first huge pages of a process can cost more than later ones.

use std::{alloc::Layout, fs, mem, time::Instant};

use millpond::{
    Allocator, Blocks, Fixed, Heap, Magazine, Owned, Pages,
    raw::RawPool,
    source::{ReservedRegion, TunedPages},
};

use crate::{
    contenders::LAYOUT,
    memory::MILLION,
    report::{Case, Measure, Mix, measures},
};

pub const MIXES: &[Mix] = &[Mix {
    name: "cold",
    what: "fill a new pool of a million blocks of 64 bytes, all written",
    run: fill_of_a_million,
}];

const ROUNDS: usize = 15;
const ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// A way to fill a cold pool; returns nanoseconds per block.
struct Parent {
    name: &'static str,
    fill: fn() -> f64,
}

/// The first is the baseline.
const PARENTS: &[Parent] = &[
    Parent { name: "Pages", fill: || fill::<Blocks<Small>>(Pages) },
    Parent { name: "Pages, Magazine", fill: || fill::<Blocks<(Small, Magazine)>>(Pages) },
    Parent { name: "huge", fill: || fill::<Blocks<Small>>(HUGE) },
    Parent { name: "huge, Magazine", fill: || fill::<Blocks<(Small, Magazine)>>(HUGE) },
    Parent { name: "huge, guarded", fill: || fill::<Blocks<Small>>(HUGE.guarded()) },
    Parent { name: "huge, populated", fill: || fill::<Blocks<Small>>(HUGE.populated()) },
    Parent { name: "populated", fill: || fill::<Blocks<Small>>(TunedPages::new().populated()) },
    Parent { name: "guarded", fill: || fill::<Blocks<Small>>(TunedPages::new().guarded()) },
    Parent {
        name: "ReservedRegion",
        fill: || fill::<Blocks<Small>>(ReservedRegion::new(1 << 30).expect("addresses are plenty")),
    },
    Parent { name: "Heap", fill: || fill::<Blocks<Small>>(Heap) },
    Parent { name: "no pool, Pages", fill: || write_all(Pages) },
    Parent { name: "no pool, huge", fill: || write_all(HUGE) },
];

const EXPLICIT: Parent =
    Parent { name: "explicit huge", fill: || fill::<Blocks<Small>>(TunedPages::new().explicit_huge_pages()) };

const HUGE: TunedPages = TunedPages::new().transparent_huge_pages();

type Small = Fixed<64>;

/// Allocates and writes a million blocks of a new pool.
fn fill<P: RawPool + Default>(parent: impl Allocator) -> f64 {
    let mut pool = Owned::new_in(P::default(), parent);
    let start = Instant::now();
    for number in 0..MILLION as u64 {
        let block = pool.allocate(LAYOUT).expect("the system has memory for a million blocks");
        // SAFETY: the block is live and 64 bytes long.
        unsafe { block.cast::<[u64; 8]>().write_volatile([number; 8]) };
    }
    start.elapsed().as_nanos() as f64 / MILLION as f64
}

/// The lower bound: the same million in one new mapping, written in order.
fn write_all(parent: impl Allocator) -> f64 {
    let all = Layout::array::<[u64; 8]>(MILLION).expect("64 million bytes are a layout");
    let start = Instant::now();
    let block = parent.allocate(all).expect("the system has memory for a million blocks");
    for number in 0..MILLION {
        // SAFETY: the block is live and a million times 64 bytes long.
        unsafe { block.cast::<[u64; 8]>().add(number).write_volatile([number as u64; 8]) };
    }
    let time = start.elapsed().as_nanos() as f64 / MILLION as f64;
    // SAFETY: the block is live, and this is its layout.
    unsafe { parent.deallocate(block.cast(), all) };
    time
}

/// The parents that this machine supports.
fn parents() -> Vec<&'static Parent> {
    let mut parents: Vec<&Parent> = PARENTS.iter().collect();
    match fs::read_to_string(ENABLED) {
        Ok(state) if state.contains("[never]") => {
            eprintln!("there are no transparent huge pages here: rows that ask for them show none");
        }
        Ok(state) if state.contains("[always]") => {
            eprintln!("every large mapping is on huge pages here: the first row is not one of 4 KiB pages");
        }
        Ok(_) => {}
        Err(error) => eprintln!("no transparent huge pages are to be had here: {ENABLED}: {error}"),
    }
    // As much as a pool of a million blocks requests in one chunk.
    let largest = Layout::from_size_align(64 << 20, 8).expect("a layout");
    match TunedPages::new().explicit_huge_pages().allocate(largest) {
        Ok(block) => {
            // SAFETY: the block was just allocated with this layout.
            unsafe { TunedPages::new().explicit_huge_pages().deallocate(block.cast(), largest) };
            parents.push(&EXPLICIT);
        }
        Err(error) => {
            eprintln!("skipped: explicit huge pages: {error}; /proc/sys/vm/nr_hugepages sets some aside")
        }
    }
    parents
}

/// Fills pools on every parent.
fn fill_of_a_million() -> Vec<Case> {
    const MEASURES: &[Measure] = &measures("ns per block", ["time", "first"]);
    let parents = parents();
    let mut case = Case::new("", MEASURES);
    case.name_rows(parents.iter().map(|parent| parent.name));
    let mut is_first = vec![true; parents.len()];
    case.take_turns(ROUNDS, |row| {
        let time = (parents[row].fill)();
        [time, if mem::take(&mut is_first[row]) { time } else { f64::NAN }]
    });
    vec![case]
}
