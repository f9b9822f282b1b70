//! Running contenders in turn and comparing them round by round.
//!
//! This hardware is noisy and drifts, so every round runs every contender once, briefly, and ratios are taken within
//! a round; medians over the rounds are reported.

use std::time::{Duration, Instant};

/// One way to use an allocator, and who is compared at it.
pub struct Mix {
    pub name: &'static str,
    pub what: &'static str,
    pub runners: fn() -> Vec<Runner>,
}

/// A contender that is ready to run: `run(n)` does about `n` allocate+free pairs and says how many.
pub struct Runner {
    pub name: &'static str,
    pub run: Box<dyn FnMut(usize) -> usize>,
}

/// How often the contenders are made anew: where their memory happens to lie matters.
const MAKINGS: usize = 7;
const ROUNDS: usize = 9;
const SLICE: Duration = Duration::from_millis(5);

/// Runs a mix and prints a table: median ns per pair, and the median ratio to each of the first two contenders.
pub fn compare(mix: &Mix) {
    compare_these(&format!("{}: {}", mix.name, mix.what), &mix.runners);
}

/// The same for contenders that `make` makes.
pub fn compare_these(title: &str, make: &dyn Fn() -> Vec<Runner>) {
    let names: Vec<&str> = make().iter().map(|runner| runner.name).collect();
    let mut times = vec![Vec::with_capacity(MAKINGS * ROUNDS); names.len()];
    for _ in 0..MAKINGS {
        let mut runners = make();
        let counts: Vec<usize> = runners.iter_mut().map(warm_up).collect();
        for round in 0..ROUNDS {
            for turn in 0..runners.len() {
                let index = (turn + round) % runners.len();
                times[index].push(nanoseconds_per_pair(&mut runners[index], counts[index]));
            }
        }
    }
    println!("\n{title}");
    println!(
        "  {:<34}{:>9}{:>9}{:>9}   median ns per pair; ratio to the first, the second",
        "", "ns", "x 1st", "x 2nd"
    );
    for (name, mine) in names.iter().zip(&times) {
        let ratio = |base: &[f64]| median(mine.iter().zip(base).map(|(mine, base)| mine / base).collect());
        println!(
            "  {:<34}{:>9.2}{:>9.2}{:>9.2}",
            name,
            median(mine.clone()),
            ratio(&times[0]),
            ratio(&times[1])
        );
    }
}

/// Finds how many pairs take about a slice of time.
fn warm_up(runner: &mut Runner) -> usize {
    let mut count = 1000;
    loop {
        let start = Instant::now();
        (runner.run)(count);
        if start.elapsed() >= SLICE {
            return count;
        }
        count *= 2;
    }
}

fn nanoseconds_per_pair(runner: &mut Runner, count: usize) -> f64 {
    let start = Instant::now();
    let pairs = (runner.run)(count);
    start.elapsed().as_nanos() as f64 / pairs as f64
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
