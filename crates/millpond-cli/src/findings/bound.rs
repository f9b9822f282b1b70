//! The bound that matters: no allocator can gain more than allocation takes.

use millpond_trace::Summary;

use crate::replay::{Name, Outcome, Spread};

/// CPU time that recording adds to the recorded program, in nanoseconds per event, where only the trace is known: what
/// the recorder's own measurement (`crates/millpond-record/measure.sh`) shows on ordinary programs.
const RECORDING_PER_EVENT: f64 = 20.0;

/// How much of the program's CPU time goes into allocation. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    /// Taken off as the cost of recording.
    pub(crate) recording: f64,
    /// The program's CPU time without recording; unknown where the trace does not say.
    pub(crate) program: Option<f64>,
    /// What glibc took to replay all events.
    pub(crate) allocation: f64,
}

impl Bound {
    pub(super) fn new(summary: &Summary, outcome: &Outcome) -> Self {
        let allocation = outcome.of(Name::Glibc).map_or(0.0, |glibc| Spread::of(&glibc.times).median);
        let recorded = summary.cpu_ns as f64;
        let estimate = || summary.events as f64 * RECORDING_PER_EVENT;
        // An estimate must not explain all of the time away, and the program took at least what its allocations take here.
        let recording =
            summary.resources.recording_ns.map_or_else(estimate, |known| known as f64).min(recorded / 2.0);
        let program = (summary.cpu_ns > 0).then(|| (recorded - recording).max(allocation));
        Self { recording, program, allocation }
    }

    /// A time as a share of the program's CPU time.
    pub(crate) fn share(&self, nanoseconds: f64) -> Option<f64> {
        self.program.filter(|&program| program > 0.0).map(|program| nanoseconds / program)
    }
}

#[cfg(test)]
mod tests {
    use millpond_trace::Resources;

    use super::*;
    use crate::replay::{Standing, Stock};

    fn outcome(glibc: f64) -> Outcome {
        let standing = Standing {
            name: Name::Glibc,
            times: vec![glibc],
            first: glibc,
            peaks: vec![],
            stock: Stock::default(),
        };
        Outcome { standings: vec![standing], bare: Spread::default(), without_huge: None }
    }

    #[test]
    fn the_share_is_of_the_cpu_time_without_recording() {
        let summary = Summary { events: 1000, cpu_ns: 1_020_000, ..Summary::default() };
        let bound = Bound::new(&summary, &outcome(50_000.0));
        assert_eq!(bound.program, Some(1_000_000.0));
        assert_eq!(bound.share(bound.allocation), Some(0.05));
        let resources = Resources { recording_ns: Some(220_000), ..Resources::default() };
        let known = Bound::new(&Summary { resources, ..summary }, &outcome(50_000.0));
        assert_eq!((known.program, known.recording), (Some(800_000.0), 220_000.0));
    }

    #[test]
    fn allocation_never_takes_more_than_all() {
        let summary = Summary { events: 1000, cpu_ns: 40_000, ..Summary::default() };
        let bound = Bound::new(&summary, &outcome(50_000.0));
        assert_eq!(bound.recording, 20_000.0);
        assert_eq!(bound.share(bound.allocation), Some(1.0));
        let unknown = Bound::new(&Summary { cpu_ns: 0, ..summary }, &outcome(50_000.0));
        assert_eq!(unknown.share(unknown.allocation), None);
    }
}
