//! Stress tests for everything that threads share:
//! `cargo run --release -p millpond --example stress -- [SECONDS] [THREADS]`.
//!
//! Runs what the tests run briefly, for the given time (default: 60 seconds, 4 threads), with a new seed in each round.

use std::{
    alloc::Layout,
    env,
    process::ExitCode,
    time::{Duration, Instant},
};

use millpond::{
    Allocator, Blocks, Cached, Classes, Fixed, Heap, Inspect, LockFree, Locked, Tlsf,
    guard::Limit,
    lock::{SpinLock, TicketLock},
    shell::{AtomicLinear, CacheOptions},
    testing::Stress,
};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).map(|argument| argument.parse::<usize>());
    let (Ok(seconds), Ok(threads)) = (arguments.next().unwrap_or(Ok(60)), arguments.next().unwrap_or(Ok(4)))
    else {
        eprintln!("the arguments are numbers: how many seconds, and how many threads");
        return ExitCode::from(2);
    };
    // A round of all pools takes about the same time for any number of threads.
    let rounds = 8000 / threads.max(4);
    let stress = Stress::of(Layout::new::<[u64; 8]>()).threads(threads).rounds(rounds);
    let lock_free = LockFree::<Fixed<64>>::new();
    let locked = Locked::<_>::new(Blocks::<Fixed<64>>::new());
    let spinning = Locked::<_, _, SpinLock>::new_in(Blocks::<Fixed<64>>::new(), Heap);
    let classes = Locked::<_>::new(Classes::new());
    let tlsf = Locked::<_>::new(Tlsf::new());
    let fair = Locked::<_, _, TicketLock>::new_in(Tlsf::without_quick_list(), Heap);
    let cached = Cached::new(Blocks::<Fixed<64>>::new());
    let cached_classes = Cached::new(Classes::new());
    let small = Cached::with_options(Blocks::<Fixed<64>>::new(), Heap, CacheOptions::new().words::<4>());
    let bounded = Cached::new(Limit::blocks(Blocks::<Fixed<64>>::new(), 100));
    let mut arena = AtomicLinear::new();
    let start = Instant::now();
    let mut served = 0;
    for seed in 0.. {
        if start.elapsed() >= Duration::from_secs(seconds as u64) {
            break;
        }
        let stress = stress.seed(seed);
        served += whole(stress, &lock_free) + whole(stress, &locked) + whole(stress, &classes);
        served += whole(stress, &tlsf) + whole(stress, &spinning);
        // If there are more threads than cores, a fair lock waits for the next thread in line even if that thread is
        // not running.
        served += whole(stress.rounds(20), &fair);
        served += whole(stress, &cached) + whole(stress, &cached_classes);
        served += whole(stress, &small) + whole(stress, &bounded);
        served += stress.rounds(100).run(&arena);
        arena.reset();
    }
    println!("{served} requests of {threads} threads in {} s, and nothing wrong", start.elapsed().as_secs());
    ExitCode::SUCCESS
}

/// Stresses a pool, which must then pass its checks and have no live blocks.
fn whole(stress: Stress, pool: &(impl Allocator + Inspect + Sync)) -> usize {
    let served = stress.run(pool);
    assert_eq!(pool.check(), Ok(()));
    assert_eq!(pool.stats().live, 0, "a block is lost");
    served
}
