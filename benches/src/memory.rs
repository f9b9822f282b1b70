//! What a million live blocks cost: the time of a reset, and resident memory.

use std::{alloc::Layout, fs, time::Instant};

use millpond::{Blocks, Fixed, Owned, Reclaim};

use crate::harness::median;

const MILLION: usize = 1_000_000;
const LAYOUT: Layout = Layout::new::<[u64; 8]>();

fn fill(pool: &mut Owned<Blocks<Fixed<64>>>) {
    for _ in 0..MILLION {
        let block = pool.allocate(LAYOUT).expect("the heap has room for a million blocks");
        // SAFETY: the block is live and 64 bytes long.
        unsafe { block.cast::<[u64; 8]>().write([1; 8]) };
    }
}

/// How long `reset` takes with a million live blocks.
pub fn reset_of_a_million() {
    let mut pool = Owned::new(Blocks::<Fixed<64>>::new());
    let mut times = Vec::new();
    for _ in 0..21 {
        fill(&mut pool);
        let start = Instant::now();
        pool.reset();
        times.push(start.elapsed().as_nanos() as f64);
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    println!(
        "\nreset: a million live blocks of 64 bytes: median {:.0} ns in all, worst {worst:.0} ns",
        median(times)
    );
}

/// Resident bytes per block of 64 bytes, a million live, all written.
pub fn resident_at_a_million() {
    let Some(before) = resident() else {
        println!("\nresident: skipped: /proc/self/statm cannot be read here");
        return;
    };
    let mut pool = Owned::new(Blocks::<Fixed<64>>::new());
    fill(&mut pool);
    let after = resident().unwrap_or(before);
    let per_block = (after - before) as f64 / MILLION as f64;
    println!("\nresident: a million live blocks of 64 bytes: {per_block:.3} bytes per block");
    drop(pool);
}

fn resident() -> Option<usize> {
    let pages: usize =
        fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
