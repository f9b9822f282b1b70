//! The verdict in plain words. It is conservative: a difference within the spread of the rounds is not reported, nor is
//! one on which the rounds disagree, and a difference too small to notice is not called help.

use super::{
    Bound, Study,
    exclusion::too_few,
    judge::{Change, Judge},
};
use crate::{
    estimate::Estimate,
    replay::{Comparison, Name, Outcome, Relation, mimalloc_version},
    units,
};

/// The conclusions of the replay.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// The best of the pools, [`Name::Huge`] only if it is worth a recommendation; `None` if no pools took part.
    pub(crate) best: Option<Name>,
    /// The best of the pools on ordinary pages.
    pub(crate) best_ordinary: Option<Name>,
    /// CPU time with the best, in nanoseconds.
    pub(crate) time: Change,
    /// Peak memory with it, in bytes.
    pub(crate) memory: Change,
    /// The verdict in a sentence or two.
    pub(crate) text: String,
    /// What denser blocks may gain beyond that, if they are denser.
    pub(crate) locality: Option<String>,
    /// What mimalloc would gain without changes to the program, if that is worth a sentence.
    pub(crate) mimalloc: Option<String>,
}

impl Verdict {
    /// Whether pools gain anything.
    pub(crate) fn helps(&self) -> bool {
        matches!(self.time, Change::Less(_)) || matches!(self.memory, Change::Less(_))
    }

    pub(super) fn new(study: &Study, comparison: &Comparison, bound: &Bound) -> Self {
        if let Some(exclusion) = &study.exclusion {
            return Self::none(exclusion);
        }
        let rounds = comparison.outcomes.iter().map(|outcome| outcome.times.len()).min().unwrap_or(0);
        if let Some(reason) = too_few(rounds) {
            return Self::none(&reason);
        }
        let words = Words { judge: Judge { study, comparison, bound } };
        let ordinary = words.judge.best_ordinary();
        let huge = words.judge.huge(ordinary);
        let best = huge.or(ordinary);
        Self {
            best: best.map(|outcome| outcome.name),
            best_ordinary: ordinary.map(|outcome| outcome.name),
            time: best.map_or(Change::Same, |pools| words.judge.time(pools)),
            memory: best.map_or(Change::Same, |pools| words.judge.memory(pools)),
            text: words.compared(words.text(ordinary, huge)),
            locality: best.and_then(|pools| words.locality(pools)),
            mimalloc: best.and_then(|_| words.mimalloc()),
        }
    }

    /// No verdict, for this reason.
    fn none(exclusion: &str) -> Self {
        let (best, best_ordinary, locality, mimalloc) = (None, None, None, None);
        let text = format!("No verdict: {exclusion}");
        Self { best, best_ordinary, time: Change::Same, memory: Change::Same, text, locality, mimalloc }
    }
}

/// Puts the findings of a judge into words.
struct Words<'a> {
    judge: Judge<'a>,
}

impl Words<'_> {
    /// Says what a verdict compares with, if that is not what served the program.
    fn compared(&self, text: String) -> String {
        match self.judge.comparison.baseline.relation {
            Relation::Other => {
                let program = &self.judge.study.program;
                format!("This compares with {}, which {program} did not use. {text}", self.baseline())
            }
            Relation::Recorded | Relation::Assumed => text,
        }
    }

    /// Returns the name of the baseline.
    fn baseline(&self) -> String {
        self.judge.comparison.baseline.title()
    }

    fn text(&self, ordinary: Option<&Outcome>, huge: Option<&Outcome>) -> String {
        let program = &self.judge.study.program;
        let told = ordinary.map(|pools| (pools, self.ordinary(pools)));
        let huge = huge.and_then(|huge| Some(self.effect(huge)? + &self.slow_start(huge)));
        let text = match (told, huge) {
            (Some((pools, Some(ordinary))), Some(huge)) => {
                let whose = if pools.name == Name::Pools { "those as advised" } else { "they" };
                format!("{ordinary} On huge pages {whose} would make it {huge}.")
            }
            (Some((_, None)), Some(huge)) => {
                format!("Pools help only on huge pages: there, those as advised would make {program} {huge}.")
            }
            (None, Some(huge)) => {
                format!("On huge pages, pools as advised would make {program} {huge}.")
            }
            (Some((_, Some(ordinary))), None) => ordinary,
            (Some((pools, None)), None) => match self.judge.time(pools) {
                Change::Unclear(_) => self.no_help(pools),
                // There is no time whose share would be of interest.
                _ => return self.no_help(pools),
            },
            (None, None) if self.judge.comparison.of(Name::Huge).is_some() => {
                "Huge pages are not worth it here. Without other pools, there is no verdict on these.".into()
            }
            (None, None) => "No pools took part, so there is no verdict on them.".into(),
        };
        match &self.judge.bound.doubt {
            Some(doubt) if ordinary.is_some() && doubt.replay_is_sound => {
                format!("{text} What share of its CPU time this is cannot be determined: {}.", doubt.text)
            }
            Some(doubt) if ordinary.is_some() => {
                format!("Cannot tell what pools would change: {}.", doubt.text)
            }
            _ => text,
        }
    }

    /// Describes what the first turn has shown about huge pages that the system has yet to make, if it was slower than
    /// the baseline.
    fn slow_start(&self, huge: &Outcome) -> String {
        let baseline = self.judge.comparison.of_baseline();
        let loss = huge.first - baseline.map_or(0.0, |baseline| Estimate::of(&baseline.times).median);
        if loss < self.judge.least_time() {
            return String::new();
        }
        let speed = self.speed(Estimate::exact(loss), "slower");
        format!(", and {speed} when the system has to make such pages first")
    }

    /// Describes what pools on ordinary pages gain, unless they do not help.
    fn ordinary(&self, outcome: &Outcome) -> Option<String> {
        let program = &self.judge.study.program;
        let pools =
            if outcome.name == Name::Advised { "Pools as advised" } else { "Pools of the default sizes" };
        if let Some(effect) = self.effect(outcome) {
            return Some(format!("{pools} would make {program} {effect}."));
        }
        match (self.judge.time(outcome), self.judge.memory(outcome)) {
            (Change::Same, Change::Less(bytes)) => {
                let saved = self.of_the_peak(bytes);
                Some(format!("{pools} would save {saved}, but not make {program} faster."))
            }
            (Change::Unclear(range), Change::Less(bytes)) => {
                let (saved, between) = (self.of_the_peak(bytes), self.between(range));
                Some(format!(
                    "{pools} would save {saved}. The rounds do not show whether they make {program} faster: {between}."
                ))
            }
            (Change::More(loss), Change::Less(bytes)) => {
                let (saved, speed) = (self.of_the_peak(bytes), self.speed(loss, "slower"));
                Some(format!("{pools} would save {saved}, but make {program} {speed}."))
            }
            _ => None,
        }
    }

    /// Describes how much faster the pools are, and at which price in memory; `None` if they are not faster.
    fn effect(&self, outcome: &Outcome) -> Option<String> {
        let Change::Less(gain) = self.judge.time(outcome) else { return None };
        let memory = match self.judge.memory(outcome) {
            Change::Less(bytes) => format!(" and save {}", self.of_the_peak(bytes)),
            Change::More(bytes) => format!(", but take {} more memory", units::range(bytes, units::bytes)),
            Change::Same => " and take as much memory".into(),
            Change::Unclear(_) => "; the rounds do not show whether it would take more or less memory".into(),
        };
        Some(format!("{}{memory}", self.faster(outcome, gain)))
    }

    /// Describes how much faster the pools are. If live blocks are packed more densely or more loosely, the gain in the
    /// allocator is not the whole effect: it is then the minimum or the maximum to expect.
    fn faster(&self, outcome: &Outcome, gain: Estimate) -> String {
        let (word, end): (_, fn(Estimate) -> f64) = match self.judge.locality(outcome) {
            Some(ratio) if ratio.most < 1.0 => ("at least", |range| range.least),
            Some(_) => ("at most", |range| range.most),
            None => return self.speed(gain, "faster"),
        };
        match self.judge.bound.share(gain) {
            Some(share) => format!("{word} {} faster", units::percent(end(share).min(1.0))),
            None => format!("{word} {} faster", units::time(end(gain))),
        }
    }

    /// States that these pools do not help, or that this cannot be determined.
    fn no_help(&self, pools: &Outcome) -> String {
        match self.judge.time(pools) {
            Change::Unclear(range) => format!(
                "Cannot tell whether pools help here: {}. More rounds, or a less busy machine, may tell (--rounds {}).",
                self.between(range),
                (pools.times.len() * 4).max(20)
            ),
            _ => format!("Pools do not help here: {}.", self.reason()),
        }
    }

    /// Describes a change in time of unknown sign.
    fn between(&self, range: Estimate) -> String {
        let side = |amount: f64| {
            let comparative = if amount < 0.0 { "faster" } else { "slower" };
            let size = match self.judge.bound.share(Estimate::exact(amount.abs())) {
                Some(share) => units::percent(share.median),
                None => units::time(amount.abs()),
            };
            format!("{size} {comparative}")
        };
        format!("between {} and {}", side(range.least), side(range.most))
    }

    /// Explains why pools do not help.
    fn reason(&self) -> String {
        let allocations = units::counted(self.judge.study.summary.allocations, "allocation");
        let takes = if self.judge.study.summary.allocations == 1 { "takes" } else { "take" };
        match self.judge.bound.share(self.judge.bound.allocation) {
            Some(share) if share.most < 0.02 => {
                format!("{allocations} {takes} {} of the CPU time", part(share))
            }
            Some(share) => format!(
                "{allocations} {takes} {} of the CPU time, but {} is at least as good at it",
                part(share),
                self.baseline()
            ),
            None => format!("{} is at least as good at {allocations}", self.baseline()),
        }
    }

    fn speed(&self, nanoseconds: Estimate, comparative: &str) -> String {
        match self.judge.bound.share(nanoseconds) {
            Some(share) if comparative == "faster" => format!("{} faster", part(share)),
            Some(share) => format!("{} {comparative}", units::range(share, units::percent)),
            None if self.judge.bound.doubt.is_some() => {
                format!("{} {comparative}", units::range(nanoseconds, units::time))
            }
            None => {
                format!("{} {comparative} (its CPU time is unknown)", units::range(nanoseconds, units::time))
            }
        }
    }

    fn of_the_peak(&self, bytes: Estimate) -> String {
        let baseline = self.judge.comparison.of_baseline();
        let peak = baseline.map_or(0.0, |baseline| Estimate::of(&baseline.peaks).median);
        format!("{} of {} at the peak", units::range(bytes, units::bytes), units::bytes(peak))
    }

    /// Describes the gain beyond the time in the allocator if blocks are denser, and the loss if they are not.
    fn locality(&self, pools: &Outcome) -> Option<String> {
        let program = &self.judge.study.program;
        let ratio = self.judge.locality(pools)?;
        let times = units::range(ratio, |ratio| format!("{ratio:.2}"));
        if ratio.least > 1.0 {
            return Some(format!(
                "There, the live blocks lie farther apart: reading them all takes {times} times as long, which slows down what {program} does with them."
            ));
        }
        Some(format!(
            "There, the live blocks also lie denser: reading them all takes {times} of the time that it takes with {}. That speeds up what {program} does with its blocks as well. No replay can measure by how much, and the figures above leave it out.",
            self.baseline()
        ))
    }

    /// Describes what can be gained without pools, for less work.
    fn mimalloc(&self) -> Option<String> {
        if self.judge.bound.doubt.as_ref().is_some_and(|doubt| !doubt.replay_is_sound) {
            return None;
        }
        let effect = self.effect(self.judge.comparison.of(Name::Mimalloc)?)?;
        let version = mimalloc_version();
        Some(format!("Without a change to the code, mimalloc {version} would make it {effect}."))
    }
}

/// Formats a part of a whole, which is at most the whole.
fn part(share: Estimate) -> String {
    units::range(share.map(|share| share.min(1.0)), units::percent)
}

#[cfg(test)]
mod tests {
    use millpond_trace::{Start, Summary};

    use super::*;
    use crate::{
        advise::{Advice, Block},
        replay::Baseline,
        trace::Histogram,
    };

    const MS: f64 = 1e6;
    const MB: f64 = 1048576.0;

    fn less(amount: f64) -> Change {
        Change::Less(Estimate::exact(amount))
    }

    /// Returns the verdict on rounds of glibc, mimalloc and pools around these milliseconds and megabytes.
    fn verdict(cpu_ms: u64, rounds: &[(Name, [f64; 3], f64)]) -> Verdict {
        judged(8 << 20, 0.0, cpu_ms, rounds)
    }

    /// Returns the same, with these nanoseconds to read a live block with glibc and with all others.
    fn verdict_with_walks(walks: (f64, f64), rounds: &[(Name, [f64; 3], f64)]) -> Verdict {
        let (study, mut comparison) = made(8 << 20, 0.0, 100, rounds);
        for outcome in &mut comparison.outcomes {
            outcome.walk = vec![if outcome.name == Name::Glibc { walks.0 } else { walks.1 }; 5];
        }
        let bound = Bound::new(&study.summary, &comparison, None, "jq");
        Verdict::new(&study, &comparison, &bound)
    }

    /// Returns the same, with this many bytes in blocks at the peak, and first turns of these milliseconds.
    fn judged(bytes_at_peak: u64, first: f64, cpu_ms: u64, rounds: &[(Name, [f64; 3], f64)]) -> Verdict {
        let (study, comparison) = made(bytes_at_peak, first, cpu_ms, rounds);
        let bound = Bound::new(&study.summary, &comparison, None, "jq");
        Verdict::new(&study, &comparison, &bound)
    }

    /// The parts that such a verdict is made of.
    fn made(
        bytes_at_peak: u64,
        first: f64,
        cpu_ms: u64,
        rounds: &[(Name, [f64; 3], f64)],
    ) -> (Study, Comparison) {
        let outcomes = rounds.iter().map(|(name, times, peak)| Outcome {
            name: *name,
            times: times.iter().cycle().take(6).map(|time| time * MS).collect(),
            first: first * MS,
            peaks: vec![peak * MB; 6],
            ..Outcome::default()
        });
        let comparison = Comparison { outcomes: outcomes.collect(), ..Comparison::default() };
        let summary = Summary {
            allocations: 221,
            cpu_ns: cpu_ms * 1_000_000,
            peak_bytes: 2 << 20,
            ..Summary::default()
        };
        let blocks = vec![Block { bytes_at_peak, ..Block::default() }];
        let study = Study {
            program: "jq".into(),
            command_line: "jq".into(),
            start: Start::default(),
            summary,
            advice: Advice { blocks, ..Advice::default() },
            exclusion: None,
            baseline: Baseline::default(),
            cost: None,
            histogram: Histogram::default(),
        };
        (study, comparison)
    }

    #[test]
    fn faster_and_smaller() {
        let found =
            verdict(100, &[(Name::Glibc, [10.0, 11.0, 12.0], 33.0), (Name::Pools, [6.0, 7.0, 8.0], 25.0)]);
        assert_eq!(
            found.text,
            "Pools of the default sizes would make jq about 4.0 % faster and save about 8.00 MiB of 33.0 MiB at the peak."
        );
        assert_eq!((found.time, found.memory), (less(4.0 * MS), less(8.0 * MB)));
    }

    #[test]
    fn denser_blocks_are_mentioned() {
        let rounds = [(Name::Glibc, [10.0, 11.0, 12.0], 33.0), (Name::Pools, [6.0, 7.5, 8.0], 25.0)];
        let found = verdict_with_walks((100.0, 60.0), &rounds);
        assert_eq!(
            found.text,
            "Pools of the default sizes would make jq at least 3.5 % faster and save about 8.00 MiB of 33.0 MiB at the peak."
        );
        let told = found.locality.unwrap();
        assert!(told.contains("denser") && told.ends_with("the figures above leave it out."), "{told}");
        let found = verdict_with_walks((60.0, 100.0), &rounds);
        assert!(found.text.contains(" jq at most 4.0 % faster and save"), "{}", found.text);
        let found = verdict_with_walks((100.0, 99.0), &rounds);
        assert!(found.text.contains(" jq 3.5 to 4.0 % faster and save"), "{}", found.text);
        assert_eq!(found.locality, None);
    }

    #[test]
    fn difference_within_the_spread_is_none() {
        let glibc = (Name::Glibc, [10.0, 11.0, 12.0], 33.0);
        let found = verdict(100, &[glibc, (Name::Pools, [5.0, 12.0, 8.0], 33.0)]);
        assert!(matches!(found.time, Change::Unclear(_)), "{:?}", found.time);
        assert_eq!(
            found.text,
            "Cannot tell whether pools help here: between 5.0 % faster and 1.0 % slower. More rounds, or a less busy machine, may tell (--rounds 24)."
        );
    }

    #[test]
    fn cheap_allocations_need_no_pool() {
        let glibc = (Name::Glibc, [0.01, 0.01, 0.01], 0.5);
        let found = verdict(100, &[glibc, (Name::Pools, [0.001, 0.001, 0.001], 0.4)]);
        assert_eq!(found.text, "Pools do not help here: 221 allocations take about 0.01 % of the CPU time.");
    }

    #[test]
    fn smaller_but_slower() {
        let glibc = (Name::Glibc, [10.0, 10.0, 10.0], 33.0);
        let found = verdict(100, &[glibc, (Name::Advised, [12.0, 12.0, 12.0], 23.0)]);
        assert_eq!(
            found.text,
            "Pools as advised would save about 10.0 MiB of 33.0 MiB at the peak, but make jq about 2.0 % slower."
        );
    }

    #[test]
    fn better_pools_are_judged_and_mimalloc_is_mentioned() {
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
            "Pools as advised would make jq about 5.0 % faster, but take about 2.00 MiB more memory."
        );
        assert_eq!(
            found.mimalloc.unwrap(),
            "Without a change to the code, mimalloc 3.3.2 would make it about 3.0 % faster, but take about 7.00 MiB more memory."
        );
    }

    #[test]
    fn share_of_no_gain_is_not_missed() {
        let rounds = [(Name::Glibc, [10.0, 10.0, 10.0], 33.0), (Name::Pools, [12.0, 12.0, 12.0], 33.0)];
        let (mut study, comparison) = made(8 << 20, 0.0, 100, &rounds);
        study.summary.events = 5_000_000;
        let bound = Bound::new(&study.summary, &comparison, None, "jq");
        assert!(bound.doubt.as_ref().is_some_and(|doubt| doubt.replay_is_sound), "{bound:?}");
        let found = Verdict::new(&study, &comparison, &bound);
        assert_eq!(found.text, "Pools do not help here: glibc is at least as good at 221 allocations.");
    }

    #[test]
    fn baseline_that_did_not_serve_the_program_is_named() {
        let rounds = [(Name::Library, [10.0, 10.0, 10.0], 33.0), (Name::Pools, [6.0, 6.0, 6.0], 33.0)];
        let (study, mut comparison) = made(8 << 20, 0.0, 100, &rounds);
        comparison.baseline.library = Some("/opt/lib/libother.so.1".into());
        let told = |comparison: &Comparison| {
            let bound = Bound::new(&study.summary, comparison, None, "jq");
            Verdict::new(&study, comparison, &bound).text
        };
        let text = told(&comparison);
        assert_eq!(
            text,
            "Pools of the default sizes would make jq about 4.0 % faster and take as much memory."
        );
        comparison.baseline.relation = Relation::Other;
        let text = told(&comparison);
        assert!(text.starts_with("This compares with libother.so.1, which jq did not use. "), "{text}");
        assert!(text.contains("about 4.00 ms faster") && !text.contains('%'), "{text}");
        assert!(text.ends_with("how much CPU time it would take with libother.so.1 is not known."), "{text}");
    }

    const GLIBC: (Name, [f64; 3], f64) = (Name::Glibc, [10.0, 10.0, 10.0], 33.0);

    #[test]
    fn huge_pages_come_with_their_price() {
        let advised = (Name::Advised, [7.0, 7.5, 8.0], 30.0);
        let huge = (Name::Huge, [3.0, 3.0, 4.0], 39.0);
        let found = verdict(100, &[GLIBC, advised, huge]);
        assert_eq!(
            found.text,
            "Pools as advised would make jq 2.0 to 3.0 % faster and save about 3.00 MiB of 33.0 MiB at the peak. On huge pages \
             they would make it 6.0 to 7.0 % faster, but take about 6.00 MiB more memory."
        );
        assert_eq!((found.best, found.best_ordinary), (Some(Name::Huge), Some(Name::Advised)));
        assert_eq!(
            (found.time, found.memory),
            (
                Change::Less(Estimate { median: 7.0 * MS, least: 6.0 * MS, most: 7.0 * MS }),
                Change::More(Estimate::exact(6.0 * MB))
            )
        );

        let slow = judged(8 << 20, 25.0, 100, &[GLIBC, advised, huge]).text;
        let told = " more memory, and about 15 % slower when the system has to make such pages first.";
        assert!(slow.ends_with(told), "{slow}");

        let found = verdict(100, &[GLIBC, (Name::Pools, [7.0, 7.0, 7.0], 33.0), huge]);
        assert!(found.text.starts_with("Pools of the default sizes would make"), "{}", found.text);
        assert!(
            found.text.contains("On huge pages those as advised would make it 6.0 to 7.0 % faster"),
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
    fn small_gain_from_huge_pages_is_not_recommended() {
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
