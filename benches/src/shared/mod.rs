//! Pools that threads share: two threads (or more) at once on one allocator, beside a magazine per thread written by hand
//! and beside the peers.
//!
//! The threads live as long as the contenders do, so that everyone's caches are warm; each turn begins when all of them are
//! there, and ends when the last is done. A nanosecond here is one of a thread: with two threads that do `n` pairs each in
//! `t`, a pair takes `t / n`.

mod contenders;
mod crew;
mod tails;
mod ways;

use std::{sync::Arc, time::Duration};

use millpond::{Blocks, Cached, Fail, Fixed, Heap, SpinLock};

use self::{
    contenders::{everyone, handing_over, in_bursts},
    crew::Crew,
    tails::ticks_per_nanosecond,
    ways::{Bursts, Replace, Tides, Way},
};
pub use self::{
    tails::{Clock, Tails, Untimed},
    ways::Pairs,
};
use crate::{
    contenders::{Contender, Ours, SIZE},
    harness::median,
};

/// What each of several threads does, `n` times or about; says how often.
pub struct Mix {
    pub name: &'static str,
    pub what: &'static str,
    pub contenders: fn() -> Vec<(&'static str, Job)>,
}

/// A thread's part of a turn: its number, and how many pairs. With `tails`, each operation is timed.
pub type Job = Arc<dyn Fn(usize, usize, Option<&mut Tails>) + Send + Sync>;

pub const MIXES: &[Mix] = &[
    Mix {
        name: "shared-pairs",
        what: "both threads allocate one block and free it, again",
        contenders: || everyone::<Pairs>(),
    },
    Mix {
        name: "shared-handoff",
        what: "one thread allocates, the other frees, a ring between them",
        contenders: || handing_over::<false>(),
    },
    Mix {
        name: "shared-handoff-read",
        what: "the same; the first writes to the block, the second reads it before freeing it",
        contenders: || handing_over::<true>(),
    },
    Mix {
        name: "shared-replace",
        what: "both threads replace a random one of 4,096 blocks in a shared array",
        contenders: || everyone::<Replace>(),
    },
    Mix {
        name: "shared-bursts",
        what: "both threads allocate 1 to 64 blocks and free them, first first",
        contenders: || in_bursts::<Bursts<64>>(),
    },
    Mix {
        name: "shared-tides",
        what: "the same, while their other live blocks go up to 64 and down again",
        contenders: || in_bursts::<Tides>(),
    },
    Mix {
        name: "shared-depot",
        what: "both threads allocate 1,000 blocks and free them, first first: what do visits to the depot cost?",
        contenders: || {
            vec![cached::<128>("126 in a magazine"), cached::<32>("30"), cached::<8>("6"), cached::<4>("2")]
        },
    },
];

/// A pool with magazines of so many places, under load that goes past them.
fn cached<const PLACES: usize>(name: &'static str) -> (&'static str, Job) {
    let pool = Cached::<_, Heap, SpinLock, _, PLACES>::with_policy(Blocks::<Fixed<SIZE>>::new(), Heap, Fail);
    job::<Bursts<1000>, _>(name, Ours::<_, true>::new(pool))
}

/// Pairs and bursts of more threads than there are cores: how contended is the depot?
pub fn crowd() {
    for threads in [8, 14] {
        MIXES
            .iter()
            .filter(|mix| ["shared-pairs", "shared-bursts", "shared-depot"].contains(&mix.name))
            .for_each(|mix| compare(mix, threads));
    }
}

/// A contender that each thread has a copy of.
pub trait Sharer: Contender<Block = *mut u8> + Copy + Send + Sync + 'static {}
impl<C: Contender<Block = *mut u8> + Copy + Send + Sync + 'static> Sharer for C {}

pub fn job<W: Way, C: Sharer>(name: &'static str, contender: C) -> (&'static str, Job) {
    let way = W::new(contender);
    let job = move |thread, pairs, tails: Option<&mut Tails>| match tails {
        None => way.run(contender, thread, pairs, Untimed),
        Some(tails) => way.run(contender, thread, pairs, tails),
    };
    (name, Arc::new(job))
}

const MAKINGS: usize = 5;
const ROUNDS: usize = 9;
const SLICE: Duration = Duration::from_millis(8);
/// How many operations of each thread are timed, in each of the makings.
const TIMED: usize = 200_000;

/// Runs a mix and prints a table: median ns per pair, the median ratio to each of the first two, and tails.
pub fn compare(mix: &Mix, threads: usize) {
    let names: Vec<&str> = (mix.contenders)().iter().map(|(name, _)| *name).collect();
    let mut times = vec![Vec::new(); names.len()];
    let mut tails = vec![Tails::new(); names.len()];
    let ticks = ticks_per_nanosecond();
    for _ in 0..MAKINGS {
        let crew = Crew::of(threads);
        let jobs = (mix.contenders)();
        let counts: Vec<usize> = jobs.iter().map(|(_, job)| warm_up(&crew, job)).collect();
        for round in 0..ROUNDS {
            for turn in 0..jobs.len() {
                let index = (turn + round) % jobs.len();
                let took = crew.time(&jobs[index].1, counts[index]);
                times[index].push(took.as_nanos() as f64 / counts[index] as f64);
            }
        }
        for (index, (_, job)) in jobs.iter().enumerate() {
            for done in crew.turn(job, TIMED, true) {
                tails[index].extend(done.tails);
            }
        }
    }
    println!("\n{}: {} ({threads} threads)", mix.name, mix.what);
    println!("  {:<34}{:>8}{:>8}{:>8}{:>10}{:>10}", "", "ns", "x 1st", "x 2nd", "p99.9", "max");
    for (index, name) in names.iter().enumerate() {
        let mine = &times[index];
        let ratio = |base: &[f64]| median(mine.iter().zip(base).map(|(mine, base)| mine / base).collect());
        let tails = &mut tails[index];
        tails.sort_unstable();
        let nanoseconds = |index: usize| f64::from(tails[index]) / ticks;
        println!(
            "  {:<34}{:>8.2}{:>8.2}{:>8.2}{:>10.0}{:>10.0}",
            name,
            median(mine.clone()),
            ratio(&times[0]),
            ratio(&times[1]),
            nanoseconds(tails.len() - tails.len() / 1000 - 1),
            nanoseconds(tails.len() - 1),
        );
    }
}

/// Finds how many pairs take about a slice of time.
fn warm_up(crew: &Crew, job: &Job) -> usize {
    let mut count = 1000;
    while crew.time(job, count) < SLICE {
        count *= 2;
    }
    count
}
