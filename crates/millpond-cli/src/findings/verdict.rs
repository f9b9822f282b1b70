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
/// Huge pages are worth a recommendation if blocks of the advised sizes come to this many bytes at the peak.
const LEAST_ON_HUGE_PAGES: u64 = 4 << 20;

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
    /// The best of the pools, [`Name::Huge`] only where it is worth a recommendation; none if none took part.
    pub(crate) best: Option<Name>,
    /// The best of those on ordinary pages.
    pub(crate) best_ordinary: Option<Name>,
    /// CPU time with the best, in nanoseconds.
    pub(crate) time: Change,
    /// Peak memory with it, in bytes.
    pub(crate) memory: Change,
    /// The same in a sentence or two.
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
        if let Some(hindrance) = &study.hindrance {
            return Self::none(hindrance);
        }
        let judge = Judge { study, outcome, bound };
        let ordinary = judge.best_ordinary();
        let huge = judge.huge(ordinary);
        let best = huge.or(ordinary);
        Self {
            best: best.map(|standing| standing.name),
            best_ordinary: ordinary.map(|standing| standing.name),
            time: best.map_or(Change::Same, |pools| judge.time(pools)),
            memory: best.map_or(Change::Same, |pools| judge.memory(pools)),
            text: judge.text(ordinary, huge),
            mimalloc: best.and_then(|_| judge.mimalloc()),
        }
    }
}

impl Verdict {
    /// None, for this reason.
    fn none(hindrance: &str) -> Self {
        let (best, best_ordinary, mimalloc) = (None, None, None);
        let text = format!("No verdict: {hindrance}");
        Self { best, best_ordinary, time: Change::Same, memory: Change::Same, text, mimalloc }
    }
}

/// What there is to judge by.
struct Judge<'a> {
    study: &'a Study,
    outcome: &'a Outcome,
    bound: &'a Bound,
}

impl Judge<'_> {
    /// The pools on ordinary pages that are faster, or take less memory where time does not tell.
    fn best_ordinary(&self) -> Option<&Standing> {
        let ordinary = |name: Name| name.is_pool() && name != Name::Huge;
        let pools = self.outcome.standings.iter().filter(|standing| ordinary(standing.name));
        pools.reduce(|best, other| {
            let time = Spread::difference(&other.times, &best.times);
            let memory = Spread::difference(&other.peaks, &best.peaks);
            let better = if time.is_clear() { time.median < 0.0 } else { memory.median < 0.0 };
            if better { other } else { best }
        })
    }

    /// The pools on huge pages, if they have several to fill and gain time that counts over glibc and over other pools.
    fn huge(&self, ordinary: Option<&Standing>) -> Option<&Standing> {
        let huge = self.outcome.of(Name::Huge)?;
        let mut rivals = self.outcome.of(Name::Glibc).into_iter().chain(ordinary);
        let enough = self.study.advice.bytes_at_peak() >= LEAST_ON_HUGE_PAGES;
        (enough && rivals.all(|rival| matches!(self.time_against(huge, rival), Change::Less(_))))
            .then_some(huge)
    }

    /// The change in CPU time, if it counts.
    fn time(&self, standing: &Standing) -> Change {
        self.outcome.of(Name::Glibc).map_or(Change::Same, |glibc| self.time_against(standing, glibc))
    }

    fn time_against(&self, standing: &Standing, rival: &Standing) -> Change {
        let difference = Spread::difference(&standing.times, &rival.times);
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

    fn text(&self, ordinary: Option<&Standing>, huge: Option<&Standing>) -> String {
        let program = &self.study.program;
        let told = ordinary.map(|pools| (pools.name, self.ordinary(pools)));
        let huge = huge.and_then(|huge| Some(self.effect(huge)? + &self.slow_start(huge)));
        match (told, huge) {
            (Some((name, Some(ordinary))), Some(huge)) => {
                let whose = if name == Name::Pools { "those as advised" } else { "they" };
                format!("{ordinary} On huge pages {whose} would make it {huge}.")
            }
            (Some((_, None)), Some(huge)) => {
                format!("Pools help only on huge pages: there, those as advised would make {program} {huge}.")
            }
            (None, Some(huge)) => {
                format!("On huge pages, pools as advised would make {program} {huge}.")
            }
            (Some((_, Some(ordinary))), None) => ordinary,
            (Some((_, None)), None) => format!("Pools do not help here: {}.", self.reason()),
            (None, None) if self.outcome.of(Name::Huge).is_some() => {
                "Huge pages are not worth it here. Without other pools, there is no verdict on these.".into()
            }
            (None, None) => "No pools took part, so there is no verdict on them.".into(),
        }
    }

    /// What the first turn has shown of huge pages that the system has yet to make, if that was slower than glibc.
    fn slow_start(&self, huge: &Standing) -> String {
        let glibc = self.outcome.of(Name::Glibc).map_or(0.0, |glibc| Spread::of(&glibc.times).median);
        let loss = huge.first - glibc;
        if self.bound.share(loss).unwrap_or(loss / self.bound.allocation) < LEAST_TIME {
            return String::new();
        }
        format!(", and {} when the system has to make such pages first", self.speed(loss, "slower"))
    }

    /// What pools on ordinary pages do, unless they do not help.
    fn ordinary(&self, standing: &Standing) -> Option<String> {
        let program = &self.study.program;
        let pools =
            if standing.name == Name::Advised { "Pools as advised" } else { "Pools of the default sizes" };
        if let Some(effect) = self.effect(standing) {
            return Some(format!("{pools} would make {program} {effect}."));
        }
        match (self.time(standing), self.memory(standing)) {
            (Change::Same, Change::Less(bytes)) => {
                let saved = self.of_the_peak(bytes);
                Some(format!("{pools} would save {saved}, but not make {program} faster."))
            }
            (Change::More(loss), Change::Less(bytes)) => {
                let (saved, speed) = (self.of_the_peak(bytes), self.speed(loss, "slower"));
                Some(format!("{pools} would save {saved}, but make {program} about {speed}."))
            }
            _ => None,
        }
    }

    /// How much faster, and at which price in memory; `None` if it is not faster.
    fn effect(&self, standing: &Standing) -> Option<String> {
        let Change::Less(gain) = self.time(standing) else { return None };
        let memory = match self.memory(standing) {
            Change::Less(bytes) => format!(" and save {}", self.of_the_peak(bytes)),
            Change::More(bytes) => format!(", but take {} more memory", units::bytes(bytes)),
            Change::Same => " and take as much memory".into(),
        };
        Some(format!("about {}{memory}", self.speed(gain, "faster")))
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
    fn mimalloc(&self) -> Option<String> {
        let effect = self.effect(self.outcome.of(Name::Mimalloc)?)?;
        Some(format!("Without a change to the code, mimalloc would make it {effect}."))
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
    use crate::{
        advise::{Advice, Block},
        replay::Stock,
        trace::Histogram,
    };

    const MS: f64 = 1e6;
    const MB: f64 = 1e6;

    /// Rounds of glibc, mimalloc and pools: milliseconds around which they lie, and megabytes.
    fn verdict(cpu_ms: u64, rounds: &[(Name, [f64; 3], f64)]) -> Verdict {
        judged(8 << 20, 0.0, cpu_ms, rounds)
    }

    /// The same, with so many bytes in blocks at the peak, and first turns of so many milliseconds.
    fn judged(bytes_at_peak: u64, first: f64, cpu_ms: u64, rounds: &[(Name, [f64; 3], f64)]) -> Verdict {
        let standings = rounds.iter().map(|(name, times, peak)| Standing {
            name: *name,
            times: times.map(|time| time * MS).to_vec(),
            first: first * MS,
            peaks: vec![peak * MB; 3],
            stock: Stock::default(),
        });
        let outcome = Outcome { standings: standings.collect(), bare: Spread::default(), without_huge: None };
        let summary = Summary { allocations: 221, cpu_ns: cpu_ms * 1_000_000, ..Summary::default() };
        let blocks = vec![Block { bytes_at_peak, ..Block::default() }];
        let study = Study {
            program: "jq".into(),
            command_line: "jq".into(),
            start: Start::default(),
            summary,
            advice: Advice { blocks, ..Advice::default() },
            hindrance: None,
            histogram: Histogram::default(),
        };
        let bound = Bound::new(&study.summary, &outcome);
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
            "Without a change to the code, mimalloc would make it about 3.0 % faster, but take 7.00 MB more memory."
        );
    }

    const GLIBC: (Name, [f64; 3], f64) = (Name::Glibc, [10.0, 10.0, 10.0], 33.0);

    #[test]
    fn huge_pages_are_told_with_their_price() {
        let advised = (Name::Advised, [7.0, 7.5, 8.0], 30.0);
        let huge = (Name::Huge, [3.0, 3.0, 4.0], 39.0);
        let found = verdict(100, &[GLIBC, advised, huge]);
        assert_eq!(
            found.text,
            "Pools as advised would make jq about 2.5 % faster and save 3.00 MB of 33.0 MB at the peak. On huge pages \
             they would make it about 7.0 % faster, but take 6.00 MB more memory."
        );
        assert_eq!((found.best, found.best_ordinary), (Some(Name::Huge), Some(Name::Advised)));
        assert_eq!((found.time, found.memory), (Change::Less(7.0 * MS), Change::More(6.0 * MB)));

        let slow = judged(8 << 20, 25.0, 100, &[GLIBC, advised, huge]).text;
        let told = " more memory, and 15 % slower when the system has to make such pages first.";
        assert!(slow.ends_with(told), "{slow}");

        let found = verdict(100, &[GLIBC, (Name::Pools, [7.0, 7.0, 7.0], 33.0), huge]);
        assert!(found.text.starts_with("Pools of the default sizes would make"), "{}", found.text);
        assert!(
            found.text.contains("On huge pages those as advised would make it about 7.0 % faster"),
            "{}",
            found.text
        );

        let found = verdict(100, &[GLIBC, (Name::Advised, [10.0, 10.0, 10.0], 33.0), huge]);
        assert!(found.text.starts_with("Pools help only on huge pages: there, those"), "{}", found.text);
        let found = verdict(100, &[GLIBC, huge]);
        assert!(found.text.starts_with("On huge pages, pools"), "{}", found.text);
        assert_eq!((found.best, found.best_ordinary), (Some(Name::Huge), None));
    }

    #[test]
    fn huge_pages_are_not_praised_for_little() {
        let advised = (Name::Advised, [7.0, 7.5, 8.0], 30.0);
        let none = |found: Verdict| {
            assert_eq!(found.best, Some(Name::Advised));
            assert!(!found.text.contains("huge"), "{}", found.text);
        };
        none(verdict(100, &[GLIBC, advised, (Name::Huge, [3.0, 3.0, 8.5], 39.0)]));
        none(verdict(100, &[GLIBC, advised, (Name::Huge, [6.6, 7.1, 7.6], 39.0)]));
        none(judged(3 << 20, 0.0, 100, &[GLIBC, advised, (Name::Huge, [3.0, 3.0, 4.0], 39.0)]));
        let found = verdict(100, &[GLIBC, (Name::Huge, [10.0, 10.0, 10.0], 39.0)]);
        assert_eq!(found.best, None);
        assert!(found.text.starts_with("Huge pages are not worth it here."), "{}", found.text);
    }
}
