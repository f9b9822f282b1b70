//! Runs contenders in turns and compares them round by round.
//!
//! The hardware is noisy and drifts. Every round therefore runs each contender once, briefly, and ratios are taken
//! within a round. Before its turn, a contender runs untimed: in the meantime, the others have used the caches, and the
//! host of a virtual machine may have dropped the mappings of unused pages, which then take a microsecond each to
//! restore.

use std::time::{Duration, Instant};

use crate::report::{Case, Measure, measures};

/// A contender that is ready to run: `run(n)` performs about `n` operations and returns the exact number.
pub struct Runner {
    pub name: &'static str,
    pub run: Box<dyn FnMut(usize) -> usize>,
}

/// How often the contenders are created again: the position of their memory affects the results.
pub const MAKINGS: usize = 5;
pub const ROUNDS: usize = 9;
const SLICE: Duration = Duration::from_millis(4);

const TIME: &[Measure] = &measures("ns", ["time"]);

/// Measures the time of one operation for each contender that `make` creates. The first is the baseline.
pub fn compare(make: impl Fn() -> Vec<Runner>) -> Vec<Case> {
    let mut case = Case::new("", TIME);
    for _ in 0..MAKINGS {
        let mut runners = make();
        case.name_rows(runners.iter().map(|runner| runner.name));
        let counts: Vec<usize> =
            runners.iter_mut().map(|runner| operations_in(SLICE, |count| timed(runner, count).0)).collect();
        case.take_turns(ROUNDS, |index| {
            (runners[index].run)(counts[index] / 2);
            let (took, operations) = timed(&mut runners[index], counts[index]);
            [took.as_nanos() as f64 / operations as f64]
        });
    }
    vec![case]
}

/// Finds the number of operations that takes about `slice` when memory is warm, by increasing it step by step.
pub fn operations_in(slice: Duration, mut run: impl FnMut(usize) -> Duration) -> usize {
    let mut count = 1000;
    while (0..3).any(|_| run(count) < slice) {
        count *= 2;
    }
    count
}

fn timed(runner: &mut Runner, count: usize) -> (Duration, usize) {
    let start = Instant::now();
    let operations = (runner.run)(count);
    (start.elapsed(), operations)
}
