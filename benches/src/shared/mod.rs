//! Pools that threads share: two or more threads use one allocator at once, compared with a hand-written magazine per
//! thread and with the peers.
//!
//! The threads live as long as the contenders, so that all caches are warm. Each turn starts when all threads are ready
//! and ends when the last one has finished. Times are per thread: if two threads perform `n` pairs each in `t`, a pair
//! takes `t / n`.

mod contenders;
mod tails;
mod thread_team;
mod workloads;

use std::{sync::Arc, time::Duration};

use millpond::{Blocks, Cached, Fixed, Heap, shell::CacheOptions};

use self::{
    contenders::{everyone, handing_over, in_bursts},
    tails::ticks_per_nanosecond,
    thread_team::ThreadTeam,
    workloads::{Bursts, Replace, Tides, Workload},
};
pub use self::{
    tails::{Clock, Tails, Untimed},
    workloads::Pairs,
};
use crate::{
    contenders::{Contender, Ours, SIZE},
    harness::{MAKINGS, ROUNDS, operations_in},
    report::{Case, Measure, Mix, measures},
};

/// A contender: its name, and the work of a thread with it.
pub type Entrant = (&'static str, Job);

/// A thread's part of a turn: its number, and the number of pairs. With `tails`, each operation is timed.
pub type Job = Arc<dyn Fn(usize, usize, Option<&mut Tails>) + Send + Sync>;

pub const MIXES: &[Mix] = &[
    Mix {
        name: "shared-pairs",
        what: "both threads allocate one block and free it, again",
        run: || vec![compare(everyone::<Pairs>, 2)],
    },
    Mix {
        name: "shared-replace",
        what: "both threads replace a random one of 4,096 blocks in a shared array",
        run: || vec![compare(everyone::<Replace>, 2)],
    },
    Mix {
        name: "shared-bursts",
        what: "both threads allocate 1 to 64 blocks and free them, first first",
        run: || vec![compare(in_bursts::<Bursts<64>>, 2)],
    },
    Mix {
        name: "shared-tides",
        what: "the same, while their other live blocks go up to 64 and down again",
        run: || vec![compare(in_bursts::<Tides>, 2)],
    },
    Mix {
        name: "shared-handoff",
        what: "one thread allocates, the other frees, a ring between them",
        run: || vec![compare(handing_over::<false>, 2)],
    },
    Mix {
        name: "shared-handoff-read",
        what: "the same; the first writes to the block, the second reads it before freeing it",
        run: || vec![compare(handing_over::<true>, 2)],
    },
    Mix {
        name: "shared-depot",
        what: "both threads allocate 1,000 blocks and free them: the cost of visits to the depot",
        run: || vec![compare(magazines, 2)],
    },
    Mix {
        name: "shared-crowd",
        what: "pairs and bursts of 8 and 14 threads",
        run: || {
            let crowd = |threads| {
                let cases = [
                    compare(everyone::<Pairs>, threads).titled("pairs"),
                    compare(in_bursts::<Bursts<64>>, threads).titled("bursts"),
                ];
                cases.into_iter()
            };
            crowd(8).chain(crowd(14)).collect()
        },
    },
];

/// Pools with magazines of different sizes.
fn magazines() -> Vec<Entrant> {
    vec![cached::<128>("126 in a magazine"), cached::<32>("30"), cached::<8>("6"), cached::<4>("2")]
}

/// A pool with magazines of this many places, under load that exceeds them.
fn cached<const PLACES: usize>(name: &'static str) -> Entrant {
    let pool =
        Cached::with_options(Blocks::<Fixed<SIZE>>::new(), Heap, CacheOptions::new().words::<PLACES>());
    job::<Bursts<1000>, _>(name, Ours::<_, true>::new(pool))
}

/// A contender of which each thread has a copy.
pub trait Sharer: Contender<Block = *mut u8> + Copy + Send + Sync + 'static {}
impl<C: Contender<Block = *mut u8> + Copy + Send + Sync + 'static> Sharer for C {}

pub fn job<W: Workload, C: Sharer>(name: &'static str, contender: C) -> Entrant {
    let workload = W::new(contender);
    let job = move |thread, pairs, tails: Option<&mut Tails>| match tails {
        None => workload.run(contender, thread, pairs, Untimed),
        Some(tails) => workload.run(contender, thread, pairs, tails),
    };
    (name, Arc::new(job))
}

const SLICE: Duration = Duration::from_millis(8);
/// Number of operations of each thread that are timed, for each time the contenders are created.
const TIMED: usize = 200_000;

/// Measures a pair, and the slowest single operations, of each contender that `make` creates.
pub fn compare(make: impl Fn() -> Vec<Entrant>, threads: usize) -> Case {
    const MEASURES: &[Measure] = &measures("ns", ["time", "p99.9", "worst"]);
    let ticks = ticks_per_nanosecond();
    let mut case = Case::new(format!("{threads} thread{}", if threads == 1 { "" } else { "s" }), MEASURES);
    let mut tails: Vec<Tails> = Vec::new();
    for _ in 0..MAKINGS {
        let team = ThreadTeam::of(threads);
        let contenders = make();
        case.name_rows(contenders.iter().map(|(name, _)| *name));
        tails.resize(contenders.len(), Tails::new());
        let counts: Vec<usize> =
            contenders.iter().map(|(_, job)| operations_in(SLICE, |count| team.time(job, count))).collect();
        case.take_turns(ROUNDS, |row| {
            team.time(&contenders[row].1, counts[row] / 8);
            let took = team.time(&contenders[row].1, counts[row]);
            [took.as_nanos() as f64 / counts[row] as f64]
        });
        for ((_, job), tails) in contenders.iter().zip(&mut tails) {
            team.turn(job, TIMED, true).into_iter().for_each(|done| tails.extend(done.tails));
        }
    }
    for (row, mut tails) in tails.into_iter().enumerate() {
        tails.sort_unstable();
        let last = tails.len() - 1;
        case.add(row, 1, f64::from(tails[last - last / 1000]) / ticks);
        case.add(row, 2, f64::from(tails[last]) / ticks);
    }
    case
}
