//! Filling a cold pool: a million blocks of 64 bytes, all written, on memory that nobody has touched yet.
//!
//! Each fill is a new pool on a new mapping; the time ends with the last block written and leaves out the return of the
//! memory. "Huge" are transparent huge pages, "no pool" is the bound. The parents take turns, and ratios are taken within a round. The first fill of all is told apart, because
//! a process's first huge pages can cost more than its later ones.

use std::{alloc::Layout, fs, time::Instant};

use millpond::{Allocator, Blocks, Fixed, Heap, Magazine, Owned, Pages, RawPool, ReservedRegion, TunedPages};

use crate::harness::median;

const MILLION: usize = 1_000_000;
const LAYOUT: Layout = Layout::new::<[u64; 8]>();
const ROUNDS: usize = 15;
const ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// A way to fill a cold pool: nanoseconds per block.
struct Parent {
    name: &'static str,
    fill: fn() -> f64,
}

/// The first is what all are compared with.
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
        name: "Reserved",
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

/// Takes and writes a million blocks of a new pool.
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

/// The bound: the same million in one new mapping, written one after the other.
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

/// Runs every parent that this machine can serve, and prints a table.
pub fn fill_of_a_million() {
    println!("\ncold: a new pool, a million blocks of 64 bytes taken and written");
    let mut parents: Vec<&Parent> = PARENTS.iter().collect();
    match fs::read_to_string(ENABLED) {
        Ok(state) => {
            println!("  {ENABLED}: {}", state.trim());
            if state.contains("[never]") {
                println!(
                    "  skipped: no transparent huge pages are to be had here, so rows that ask for them show none"
                );
            } else if state.contains("[always]") {
                println!(
                    "  beware: every large mapping is on huge pages here, so the first row is not one of 4 KiB pages"
                );
            }
        }
        Err(error) => println!("  skipped: no transparent huge pages are to be had here: {ENABLED}: {error}"),
    }
    // As much as a pool of a million blocks asks for in one chunk.
    let largest = Layout::from_size_align(64 << 20, 8).expect("a layout");
    match TunedPages::new().explicit_huge_pages().allocate(largest) {
        Ok(block) => {
            // SAFETY: the block was just handed out for this layout.
            unsafe { TunedPages::new().explicit_huge_pages().deallocate(block.cast(), largest) };
            parents.push(&EXPLICIT);
        }
        Err(error) => {
            println!("  skipped: explicit huge pages: {error}; /proc/sys/vm/nr_hugepages sets some aside")
        }
    }
    let mut times = vec![Vec::with_capacity(ROUNDS); parents.len()];
    for round in 0..ROUNDS {
        for turn in 0..parents.len() {
            let index = (turn + round) % parents.len();
            times[index].push((parents[index].fill)());
        }
    }
    println!(
        "  {:<34}{:>9}{:>9}{:>9}{:>9}   ns per block: median, first, worst; median ratio to the first row",
        "", "ns", "first", "worst", "x 1st"
    );
    for (parent, mine) in parents.iter().zip(&times) {
        let ratio = median(mine.iter().zip(&times[0]).map(|(mine, base)| mine / base).collect());
        let worst = mine.iter().copied().fold(0.0, f64::max);
        println!(
            "  {:<34}{:>9.2}{:>9.2}{:>9.2}{ratio:>9.2}",
            parent.name,
            median(mine.clone()),
            mine[0],
            worst
        );
    }
}
