//! The verdict in plain words. It is conservative: what lies within the spread of the rounds is no difference, and
//! what nobody would notice is not called help.

use super::{Bound, Study};
use crate::{
    replay::{Name, Outcome, Spread, Standing},
    units,
};

/// A difference in time counts from this share of the program's CPU time on.
const LEAST_TIME: f64 = 0.005;
/// The same of the time that allocation takes, where the program's CPU time is unknown.
const LEAST_ALLOCATION_TIME: f64 = 0.1;
/// A difference in memory counts from this share of glibc's peak on,
const LEAST_MEMORY_SHARE: f64 = 0.02;
/// and from this many bytes on.
const LEAST_MEMORY: f64 = 256.0 * 1024.0;

/// What changes against glibc.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    /// Less by that much, which is a good thing.
    Less(f64),
    /// More by that much.
    More(f64),
    /// Nothing that counts.
    Same,
}

/// What the replay comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// The better of the pools; none if none took part.
    pub(crate) best: Option<Name>,
    /// CPU time with them, in nanoseconds.
    pub(crate) time: Change,
    /// Peak memory with them, in bytes.
    pub(crate) memory: Change,
    /// The same in a sentence.
    pub(crate) text: String,
    /// What mimalloc would do for nothing, if that is worth a sentence.
    pub(crate) mimalloc: Option<String>,
}

impl Verdict {
    /// Whether pools gain anything.
    pub(crate) fn helps(&self) -> bool {
        matches!(self.time, Change::Less(_)) || matches!(self.memory, Change::Less(_))
    }

    pub(super) fn new(study: &Study, outcome: &Outcome, bound: &Bound) -> Self {
        let judge = Judge { study, outcome, bound };
        let Some(best) = judge.best_pool() else {
            let text = "No pools took part, so there is no verdict on them.".into();
            return Self { best: None, time: Change::Same, memory: Change::Same, text, mimalloc: None };
        };
        let (time, memory) = (judge.time(best), judge.memory(best));
        let text = judge.sentence(best.name, time, memory);
        let mimalloc = judge.mimalloc(time);
        Self { best: Some(best.name), time, memory, text, mimalloc }
    }
}

/// What there is to judge by.
struct Judge<'a> {
    study: &'a Study,
    outcome: &'a Outcome,
    bound: &'a Bound,
}

impl Judge<'_> {
    /// The pools that are faster, or take less memory where time does not tell.
    fn best_pool(&self) -> Option<&Standing> {
        let pools = self.outcome.standings.iter().filter(|standing| standing.name.is_pool());
        pools.reduce(|best, other| {
            let time = Spread::difference(&other.times, &best.times);
            let memory = Spread::difference(&other.peaks, &best.peaks);
            let better = if time.is_clear() { time.median < 0.0 } else { memory.median < 0.0 };
            if better { other } else { best }
        })
    }

    /// The change in CPU time, if it counts.
    fn time(&self, standing: &Standing) -> Change {
        let Some(glibc) = self.outcome.of(Name::Glibc) else { return Change::Same };
        let difference = Spread::difference(&standing.times, &glibc.times);
        let enough = match self.bound.share(difference.median) {
            Some(share) => share.abs() >= LEAST_TIME,
            None => difference.median.abs() >= self.bound.allocation * LEAST_ALLOCATION_TIME,
        };
        change(difference, enough)
    }

    /// The change in peak memory, if it counts.
    fn memory(&self, standing: &Standing) -> Change {
        let Some(glibc) = self.outcome.of(Name::Glibc) else { return Change::Same };
        let difference = Spread::difference(&standing.peaks, &glibc.peaks);
        let least = LEAST_MEMORY.max(Spread::of(&glibc.peaks).median * LEAST_MEMORY_SHARE);
        change(difference, difference.median.abs() >= least)
    }

    fn sentence(&self, best: Name, time: Change, memory: Change) -> String {
        let program = &self.study.program;
        let pools = if best == Name::Advised { "Pools as advised" } else { "Pools of the default sizes" };
        match (time, memory) {
            (Change::Less(gain), memory) => {
                let memory = match memory {
                    Change::Less(bytes) => format!(" and save {}", self.of_the_peak(bytes)),
                    Change::More(bytes) => format!(", but take {} more memory", units::bytes(bytes)),
                    Change::Same => " and take as much memory".into(),
                };
                format!("{pools} would make {program} about {}{memory}.", self.speed(gain, "faster"))
            }
            (Change::Same, Change::Less(bytes)) => {
                format!("{pools} would save {}, but not make {program} faster.", self.of_the_peak(bytes))
            }
            (Change::More(loss), Change::Less(bytes)) => {
                let speed = self.speed(loss, "slower");
                format!("{pools} would save {}, but make {program} about {speed}.", self.of_the_peak(bytes))
            }
            (Change::Same | Change::More(_), _) => format!("Pools do not help here: {}.", self.reason()),
        }
    }

    /// Why pools do not help.
    fn reason(&self) -> String {
        let allocations = units::counted(self.study.summary.allocations, "allocation");
        match self.bound.share(self.bound.allocation) {
            Some(share) if share < 0.02 => {
                format!("{allocations} take {} of the CPU time", units::percent(share))
            }
            Some(share) => {
                let share = units::percent(share);
                format!("{allocations} take {share} of the CPU time, but glibc is at least as good at them")
            }
            None => format!("glibc is at least as good at these {allocations}"),
        }
    }

    fn speed(&self, nanoseconds: f64, comparative: &str) -> String {
        match self.bound.share(nanoseconds) {
            Some(share) => format!("{} {comparative}", units::percent(share)),
            None => format!("{} {comparative} (its CPU time is unknown)", units::time(nanoseconds)),
        }
    }

    fn of_the_peak(&self, bytes: f64) -> String {
        let peak = self.outcome.of(Name::Glibc).map_or(0.0, |glibc| Spread::of(&glibc.peaks).median);
        format!("{} of {} at the peak", units::bytes(bytes), units::bytes(peak))
    }

    /// What can be had without pools, and for less work.
    fn mimalloc(&self, pools: Change) -> Option<String> {
        let mimalloc = self.outcome.of(Name::Mimalloc)?;
        let Change::Less(gain) = self.time(mimalloc) else { return None };
        let speed = self.speed(gain, "faster");
        Some(match pools {
            Change::Less(_) => format!("mimalloc would make it {speed} without a change to the code."),
            _ => format!("But mimalloc would make it {speed}, without a change to the code."),
        })
    }
}

fn change(difference: Spread, enough: bool) -> Change {
    match difference.median {
        _ if !enough || !difference.is_clear() => Change::Same,
        median if median < 0.0 => Change::Less(-median),
        median => Change::More(median),
    }
}

#[cfg(test)]
mod tests {
    use millpond_trace::{Start, Summary};

    use super::*;
    use crate::{advise::Advice, replay::Stock, trace::Histogram};

    const MS: f64 = 1e6;
    const MB: f64 = 1e6;

    /// Rounds of glibc, mimalloc and pools: milliseconds around which they lie, and megabytes.
    fn verdict(cpu_ms: u64, rounds: &[(Name, [f64; 3], f64)]) -> Verdict {
        let standings = rounds.iter().map(|(name, times, peak)| Standing {
            name: *name,
            times: times.map(|time| time * MS).to_vec(),
            peaks: vec![peak * MB; 3],
            stock: Stock::default(),
        });
        let outcome = Outcome { standings: standings.collect(), bare: Spread::default() };
        let summary = Summary { allocations: 221, cpu_ns: cpu_ms * 1_000_000, ..Summary::default() };
        let study = Study {
            program: "jq".into(),
            command_line: "jq".into(),
            start: Start::default(),
            summary,
            advice: Advice::default(),
            histogram: Histogram::default(),
        };
        let bound = Bound::new(&study.summary, &outcome, None);
        Verdict::new(&study, &outcome, &bound)
    }

    #[test]
    fn faster_and_smaller() {
        let found =
            verdict(100, &[(Name::Glibc, [10.0, 11.0, 12.0], 33.0), (Name::Pools, [6.0, 7.0, 8.0], 25.0)]);
        assert_eq!(
            found.text,
            "Pools of the default sizes would make jq about 4.0 % faster and save 8.00 MB of 33.0 MB at the peak."
        );
        assert_eq!((found.time, found.memory), (Change::Less(4.0 * MS), Change::Less(8.0 * MB)));
    }

    #[test]
    fn what_lies_within_the_spread_is_no_difference() {
        let glibc = (Name::Glibc, [10.0, 11.0, 12.0], 33.0);
        let found = verdict(100, &[glibc, (Name::Pools, [5.0, 12.0, 8.0], 33.0)]);
        assert_eq!(found.time, Change::Same);
        assert_eq!(
            found.text,
            "Pools do not help here: 221 allocations take 11 % of the CPU time, but glibc is at least as good at them."
        );
    }

    #[test]
    fn allocations_that_hardly_take_time_are_not_worth_a_pool() {
        let glibc = (Name::Glibc, [0.01, 0.01, 0.01], 0.5);
        let found = verdict(100, &[glibc, (Name::Pools, [0.001, 0.001, 0.001], 0.4)]);
        assert_eq!(found.text, "Pools do not help here: 221 allocations take 0.01 % of the CPU time.");
    }

    #[test]
    fn smaller_but_slower_is_said() {
        let glibc = (Name::Glibc, [10.0, 10.0, 10.0], 33.0);
        let found = verdict(100, &[glibc, (Name::Advised, [12.0, 12.0, 12.0], 23.0)]);
        assert_eq!(
            found.text,
            "Pools as advised would save 10.0 MB of 33.0 MB at the peak, but make jq about 2.0 % slower."
        );
    }

    #[test]
    fn the_better_pools_are_judged_and_mimalloc_is_not_passed_over() {
        let found = verdict(
            100,
            &[
                (Name::Glibc, [10.0, 10.0, 10.0], 33.0),
                (Name::Mimalloc, [7.0, 7.0, 7.0], 40.0),
                (Name::Pools, [8.0, 8.0, 8.0], 30.0),
                (Name::Advised, [5.0, 5.0, 5.0], 35.0),
            ],
        );
        assert_eq!(found.best, Some(Name::Advised));
        assert_eq!(
            found.text,
            "Pools as advised would make jq about 5.0 % faster, but take 2.00 MB more memory."
        );
        assert_eq!(
            found.mimalloc.unwrap(),
            "mimalloc would make it 3.0 % faster without a change to the code."
        );
    }
}
