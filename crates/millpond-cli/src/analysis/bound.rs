//! How much of the program's CPU time allocation takes, and whether this can be determined.

use millpond_trace::Summary;

use crate::{
    estimate::Estimate,
    replay::{Comparison, Relation},
    units,
};

/// CPU time that recording adds to the recorded program, in nanoseconds per event, if only the trace is known: measured
/// with the recorder's own benchmark (`crates/millpond-record/measure.sh`) on ordinary programs.
const RECORDING_PER_EVENT: f64 = 20.0;
/// The recorder's actual time lies between these multiples of its estimate: a processor overlaps some of the work with
/// waiting for something else, and overlaps less if there is nothing else to do.
const OWN: (f64, f64) = (0.25, 2.0);
/// Logging also moves data through the caches and evicts other data. A program whose memory is mostly outside of the
/// caches waits longer for it, by up to this many nanoseconds per event:
const WAITING: f64 = 100.0;
/// the full amount with this many bytes of memory, and none of it with this many bytes less.
const MUCH_MEMORY: f64 = 48.0 * 1024.0 * 1024.0;
/// See [`MUCH_MEMORY`].
const MORE_MEMORY: f64 = 32.0 * 1024.0 * 1024.0;
/// If recording may account for more than this share of the measured time, the rest says too little about the program.
const MOST_RECORDING: f64 = 0.5;
/// If the replay spends more than this share of its time on pages that the program never had, it also says too little.
const MOST_FOREIGN: f64 = 0.1;

/// How much of the program's CPU time is spent on allocation. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bound {
    /// CPU time that recording cost.
    pub(crate) recording: Estimate,
    /// Whether that was measured, by also running the program without recording.
    pub(crate) measured: bool,
    /// The program's CPU time without recording; `None` if the trace does not say.
    pub(crate) program: Option<Estimate>,
    /// Time that the baseline took to replay all events.
    pub(crate) allocation: Estimate,
    /// Why no time can be given as a share of the program's CPU time.
    pub(crate) doubt: Option<Doubt>,
}

/// Why no time can be given as a share of the program's CPU time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Doubt {
    /// A clause, or a sentence followed by another one.
    pub(crate) text: String,
    /// Whether allocators can be compared anyway: only the program's CPU time is not known well enough.
    pub(crate) replay_is_sound: bool,
}

impl Bound {
    /// `cost` is what recording cost, if it was measured.
    pub(super) fn new(
        summary: &Summary,
        comparison: &Comparison,
        cost: Option<Estimate>,
        program: &str,
    ) -> Self {
        let times = comparison.of_baseline().map(|baseline| &baseline.times);
        let allocation = times.map_or_else(Estimate::default, |times| Estimate::confidence_interval(times));
        let recorded = summary.cpu_ns as f64;
        let recording = cost.unwrap_or_else(|| recording_cost(summary));
        let mut bound = Self {
            recording: recording.map(|cost| cost.max(0.0)),
            measured: cost.is_some(),
            program: (summary.cpu_ns > 0).then(|| recording.map(|cost| (recorded - cost).max(0.0))),
            allocation,
            doubt: None,
        };
        bound.doubt = bound.doubt(summary, comparison, program);
        bound
    }

    fn doubt(&self, summary: &Summary, comparison: &Comparison, program: &str) -> Option<Doubt> {
        let (cpu, recorded) = (self.program?, summary.cpu_ns as f64);
        let (took, baseline) = (units::time(self.allocation.median), comparison.baseline.title());
        if comparison.baseline.relation == Relation::Other {
            let text = format!(
                "{program} used another allocator, so how much CPU time it would take with {baseline} is not known"
            );
            return Some(Doubt { text, replay_is_sound: true });
        }
        if self.allocation.median <= 0.0 {
            let text = format!(
                "in half of the rounds or more, the replay took no longer with {baseline} than without an allocator"
            );
            return Some(Doubt { text, replay_is_sound: false });
        }
        if self.recording.most > recorded * MOST_RECORDING {
            let text = format!(
                "of the {} that {program} took while it was recorded, recording took {}. `millpond try --runs 5` runs \
                 it without recording as well, and measures that",
                units::time(recorded),
                units::range(self.recording, units::time),
            );
            return Some(Doubt { text, replay_is_sound: true });
        }
        if self.allocation.least > cpu.most {
            let text = format!(
                "the replay with {baseline} takes {took}, and {program} took {} in all. So the replay does what {program} \
                 did not do, such as touch memory that it left alone",
                units::range(cpu, units::time),
            );
            return Some(Doubt { text, replay_is_sound: false });
        }
        let outcome = comparison.of_baseline()?;
        let (ours, theirs) = (outcome.page_faults as f64, summary.resources.page_faults? as f64);
        let foreign = outcome.system_ns as f64 * (1.0 - theirs / ours);
        (ours > theirs && foreign > self.allocation.median * MOST_FOREIGN).then(|| {
            let text = format!(
                "the replay with {baseline} has {}, and {program} had {}. So the replay touches memory that {program} left \
                 alone, and about {} of its {took} go into that",
                units::counted(outcome.page_faults, "page fault"),
                units::count(theirs as u64),
                units::time(foreign),
            );
            Doubt { text, replay_is_sound: false }
        })
    }

    /// Returns a time as a share of the program's CPU time, if this is known.
    pub(crate) fn share(&self, nanoseconds: Estimate) -> Option<Estimate> {
        let program = self.program.filter(|program| program.least > 0.0 && self.doubt.is_none())?;
        Some(nanoseconds.divided_by(program))
    }
}

/// Estimates what recording cost, if that was not measured.
pub(crate) fn recording_cost(summary: &Summary) -> Estimate {
    let (events, known) = (summary.events as f64, summary.resources.recording_ns.map(|cost| cost as f64));
    let own = known.unwrap_or(events * RECORDING_PER_EVENT);
    let memory = summary.resources.anonymous_most.map_or(MUCH_MEMORY, |bytes| bytes as f64);
    let outside = (1.0 - (MUCH_MEMORY - memory) / MORE_MEMORY).clamp(0.0, 1.0);
    Estimate { median: own, least: own * OWN.0, most: own * OWN.1 + events * WAITING * outside }
}

#[cfg(test)]
mod tests {
    use millpond_trace::Resources;

    use super::*;
    use crate::replay::Outcome;

    fn comparison(glibc: f64, page_faults: u64, system_ns: u64) -> Comparison {
        let glibc = Outcome { times: vec![glibc], page_faults, system_ns, ..Outcome::default() };
        Comparison { outcomes: vec![glibc], ..Comparison::default() }
    }

    fn bound(summary: &Summary, comparison: &Comparison) -> Bound {
        Bound::new(summary, comparison, None, "jq")
    }

    #[test]
    fn share_excludes_recording_and_has_a_range() {
        let summary = Summary { events: 1000, cpu_ns: 1_020_000, ..Summary::default() };
        let found = bound(&summary, &comparison(50_000.0, 0, 0));
        assert_eq!(
            found.program,
            Some(Estimate { median: 1_000_000.0, least: 880_000.0, most: 1_015_000.0 })
        );
        let share = found.share(found.allocation).unwrap();
        assert_eq!(share.median, 0.05);
        assert!(share.least < 0.0493 && share.most > 0.0531, "{share:?}");
        let resources = Resources { recording_ns: Some(120_000), ..Resources::default() };
        let known = bound(&Summary { resources, ..summary.clone() }, &comparison(50_000.0, 0, 0));
        assert_eq!((known.program.unwrap().median, known.recording.median), (900_000.0, 120_000.0));
        let measured = Estimate { median: 20_000.0, least: 10_000.0, most: 30_000.0 };
        let known = Bound::new(&summary, &comparison(50_000.0, 0, 0), Some(measured), "jq");
        assert_eq!((known.recording, known.measured), (measured, true));
        let unknown = bound(&Summary { cpu_ns: 0, ..summary }, &comparison(50_000.0, 0, 0));
        assert_eq!((unknown.share(unknown.allocation), unknown.doubt), (None, None));
    }

    /// Measurements from one machine, of programs that took turns with and without recording: events, the recorder's
    /// own time and the difference in milliseconds, and MiB of memory.
    #[test]
    fn measured_cost_lies_in_the_estimated_range() {
        for (name, events, own, memory, measured) in [
            ("lua5.4", 2_704_173, 60.4, 61, 204.0),
            ("jq", 763_213, 14.8, 39, 10.6),
            ("perl", 2_407_641, 51.7, 48, 190.0),
            ("sqlite3", 2_585_857, 46.0, 13, 20.8),
            ("big.c", 1_798_977, 31.2, 1, 38.7),
            ("thr.c", 7_199_993, 132.0, 1, 166.0),
        ] {
            let resources = Resources {
                recording_ns: Some((own * 1e6) as u64),
                anonymous_most: Some(memory << 20),
                ..Resources::default()
            };
            let cost = recording_cost(&Summary { events, resources, ..Summary::default() });
            let measured = measured * 1e6;
            assert!((cost.least..cost.most).contains(&measured), "{name}: {cost:?}");
        }
    }

    #[test]
    fn little_memory_narrows_the_range() {
        let cost = |anonymous_most| {
            let resources = Resources { anonymous_most, ..Resources::default() };
            recording_cost(&Summary { events: 1000, resources, ..Summary::default() }).most
        };
        assert_eq!([Some(16 << 20), Some(32 << 20), Some(1 << 30), None].map(cost), [4e4, 9e4, 14e4, 14e4]);
    }

    #[test]
    fn replay_longer_than_the_program_gives_no_share() {
        let summary = Summary { events: 10, cpu_ns: 9_900_000, ..Summary::default() };
        let found = bound(&summary, &comparison(168e6, 0, 0));
        assert_eq!(found.share(found.allocation), None);
        let doubt = found.doubt.unwrap().text;
        assert!(
            doubt.starts_with("the replay with glibc takes 168 ms, and jq took about 9.90 ms in all."),
            "{doubt}"
        );
    }

    #[test]
    fn replay_without_measurable_cost_gives_no_share() {
        let summary = Summary { events: 1000, cpu_ns: 1_020_000, ..Summary::default() };
        let doubt = bound(&summary, &comparison(0.0, 0, 0)).doubt.unwrap();
        assert!(
            !doubt.replay_is_sound && doubt.text.contains("no longer with glibc than without"),
            "{doubt:?}"
        );
    }

    #[test]
    fn costly_recording_gives_no_share() {
        let summary = Summary { events: 1000, cpu_ns: 100_000, ..Summary::default() };
        let found = bound(&summary, &comparison(5_000.0, 0, 0));
        assert_eq!(found.share(found.allocation), None);
        assert!(found.doubt.unwrap().text.contains("recording took 5.00 to 140 us."));
    }

    #[test]
    fn extra_page_faults_give_no_share() {
        let resources = Resources { page_faults: Some(1_000), ..Resources::default() };
        let summary = Summary { events: 10, cpu_ns: 100_000_000, resources, ..Summary::default() };
        let few = bound(&summary, &comparison(10e6, 1_100, 5_000_000));
        assert_eq!(few.doubt, None);
        let many = bound(&summary, &comparison(10e6, 10_000, 5_000_000));
        assert!(many.doubt.unwrap().text.contains("has 10,000 page faults, and jq had 1,000."));
    }
}
