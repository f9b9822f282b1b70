//! What changes in comparison with the baseline, as far as the rounds show, and which pools are the best.

use super::{Bound, Study};
use crate::{
    estimate::Estimate,
    replay::{Comparison, Name, Outcome},
};

/// A difference in time counts if it is at least this share of the program's CPU time.
pub(super) const LEAST_TIME: f64 = 0.005;
/// The same as a share of the time that allocation takes, if its share of the program's CPU time is unknown.
const LEAST_ALLOCATION_TIME: f64 = 0.1;
/// A difference in memory counts if it is at least this share of the baseline's peak,
const LEAST_MEMORY_SHARE: f64 = 0.02;
/// and at least this many bytes.
const LEAST_MEMORY: f64 = 256.0 * 1024.0;
/// Huge pages are worth a recommendation if blocks of the advised sizes have at least this many bytes at the peak.
const LEAST_ON_HUGE_PAGES: u64 = 4 << 20;
/// Blocks are packed more densely if reading them takes less time by at least this share,
const LEAST_DENSITY: f64 = 0.05;
/// and this matters if they have at least this many bytes: a smaller set stays in a cache near the processor.
const LEAST_SPREAD_OUT: u64 = 1 << 20;

/// The change in comparison with the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    /// Less by this amount, which is an improvement.
    Less(Estimate),
    /// More by this amount.
    More(Estimate),
    /// No difference that counts.
    Same,
    /// The rounds do not decide: the change lies between these two values (negative is less).
    Unclear(Estimate),
}

impl Change {
    /// Classifies a difference, where nothing below `least` counts.
    pub(crate) fn new(difference: Estimate, least: f64) -> Self {
        let Estimate { median, least: from, most: to } = difference;
        if to < 0.0 && -median >= least {
            return Self::Less(difference.map(|amount| -amount));
        }
        if from > 0.0 && median >= least {
            return Self::More(difference);
        }
        if from > -least && to < least { Self::Same } else { Self::Unclear(difference) }
    }

    /// Returns the change in another unit.
    pub(crate) fn map(self, convert: impl Fn(Estimate) -> Estimate) -> Self {
        match self {
            Self::Less(amount) => Self::Less(convert(amount)),
            Self::More(amount) => Self::More(convert(amount)),
            Self::Same => Self::Same,
            Self::Unclear(amount) => Self::Unclear(convert(amount)),
        }
    }
}

/// A change, and the range of the difference behind it, in which less is below zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Difference {
    pub(crate) range: Estimate,
    pub(crate) change: Change,
}

impl Difference {
    /// Classifies a difference, where nothing below `least` counts.
    pub(crate) fn new(range: Estimate, least: f64) -> Self {
        Self { range, change: Change::new(range, least) }
    }
}

/// The measurements on which the judgement is based.
pub(super) struct Judge<'a> {
    pub(super) study: &'a Study,
    pub(super) comparison: &'a Comparison,
    pub(super) bound: &'a Bound,
}

impl Judge<'_> {
    /// Returns the pools on ordinary pages that are faster, or that take less memory if time does not decide.
    pub(super) fn best_ordinary(&self) -> Option<&Outcome> {
        let ordinary = |name: Name| name.is_pool() && name != Name::Huge;
        let pools = self.comparison.outcomes.iter().filter(|outcome| ordinary(outcome.name));
        pools.reduce(|best, other| {
            let time = Estimate::difference(&other.times, &best.times);
            let memory = Estimate::difference(&other.peaks, &best.peaks);
            let better = if time.is_clear() { time.median < 0.0 } else { memory.median < 0.0 };
            if better { other } else { best }
        })
    }

    /// Returns the pools on huge pages, if they fill several of them and gain time that counts over the baseline and over
    /// other pools.
    pub(super) fn huge(&self, ordinary: Option<&Outcome>) -> Option<&Outcome> {
        let huge = self.comparison.of(Name::Huge)?;
        let mut rivals = self.comparison.of_baseline().into_iter().chain(ordinary);
        let enough = self.study.advice.bytes_at_peak() >= LEAST_ON_HUGE_PAGES;
        (enough && rivals.all(|rival| matches!(self.time_against(huge, rival), Change::Less(_))))
            .then_some(huge)
    }

    /// Returns the change in CPU time.
    pub(super) fn time(&self, outcome: &Outcome) -> Change {
        let baseline = self.comparison.of_baseline();
        baseline.map_or(Change::Same, |baseline| self.time_against(outcome, baseline))
    }

    fn time_against(&self, outcome: &Outcome, rival: &Outcome) -> Change {
        let difference = Estimate::difference(&outcome.times, &rival.times);
        match &self.bound.doubt {
            Some(doubt) if !doubt.replay_is_sound => Change::Unclear(difference),
            _ => Change::new(difference, self.least_time()),
        }
    }

    /// Returns the number of nanoseconds from which a difference counts.
    pub(super) fn least_time(&self) -> f64 {
        match self.bound.program.filter(|_| self.bound.doubt.is_none()) {
            Some(program) => program.median * LEAST_TIME,
            None => self.bound.allocation.median * LEAST_ALLOCATION_TIME,
        }
    }

    /// Returns the change in peak memory.
    pub(super) fn memory(&self, outcome: &Outcome) -> Change {
        let Some(baseline) = self.comparison.of_baseline() else { return Change::Same };
        let difference = Estimate::difference(&outcome.peaks, &baseline.peaks);
        Change::new(difference, LEAST_MEMORY.max(Estimate::of(&baseline.peaks).median * LEAST_MEMORY_SHARE))
    }

    /// Returns the time of reading all live blocks as a multiple of the time with the baseline, if it differs and matters.
    pub(super) fn locality(&self, outcome: &Outcome) -> Option<Estimate> {
        let baseline = self.comparison.of_baseline()?;
        let ratio = Estimate::ratio(&outcome.walk, &baseline.walk);
        let differs = ratio.most < 1.0 - LEAST_DENSITY || ratio.least > 1.0 + LEAST_DENSITY;
        let is_known = !outcome.walk.is_empty() && !baseline.walk.is_empty();
        (is_known && differs && self.study.summary.peak_bytes >= LEAST_SPREAD_OUT).then_some(ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(least: f64, median: f64, most: f64) -> Change {
        Change::new(Estimate { median, least, most }, 5.0)
    }

    #[test]
    fn small_difference_is_none() {
        assert_eq!(change(-4.0, 1.0, 4.0), Change::Same);
        assert_eq!(change(1.0, 2.0, 3.0), Change::Same, "clear, but too small to count");
        assert!(matches!(change(-90.0, 1.0, 4.0), Change::Unclear(_)));
        assert!(matches!(change(-90.0, -40.0, 4.0), Change::Unclear(_)));
        assert_eq!(change(6.0, 7.0, 8.0), Change::More(Estimate { median: 7.0, least: 6.0, most: 8.0 }));
        assert_eq!(change(-8.0, -7.0, -1.0), Change::Less(Estimate { median: 7.0, least: 1.0, most: 8.0 }));
        assert_eq!(Change::new(Estimate::default(), 0.1), Change::Same);
    }
}
