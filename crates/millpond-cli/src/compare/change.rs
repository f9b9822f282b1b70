//! Figures of runs, and whether they differ by more than equal runs do.

use millpond_trace::Lack;
use serde::{Deserialize, Serialize};

use crate::{
    profile::Usage,
    units::{bytes, count},
};

/// A number by which recordings are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    Allocations,
    Bytes,
    PeakBytes,
    LiveBytes,
    GrowthBytes,
    Temporaries,
}

impl Figure {
    pub(crate) const ALL: [Self; 6] = [
        Self::Allocations,
        Self::Bytes,
        Self::PeakBytes,
        Self::LiveBytes,
        Self::GrowthBytes,
        Self::Temporaries,
    ];

    /// Returns the figure of some blocks.
    pub(crate) fn of(self, usage: &Usage) -> u64 {
        match self {
            Self::Allocations => usage.allocations,
            Self::Bytes => usage.bytes,
            Self::PeakBytes => usage.peak_bytes,
            Self::LiveBytes => usage.live_bytes,
            Self::GrowthBytes => usage.growth().unwrap_or(0),
            Self::Temporaries => usage.temporaries,
        }
    }

    /// Returns its name in files.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Allocations => "allocations",
            Self::Bytes => "bytes",
            Self::PeakBytes => "peak_bytes",
            Self::LiveBytes => "live_bytes",
            Self::GrowthBytes => "growth_bytes",
            Self::Temporaries => "temporaries",
        }
    }

    /// Returns its name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Allocations => "allocations",
            Self::Bytes => "bytes requested",
            Self::PeakBytes => "bytes at the peak",
            Self::LiveBytes => "bytes live at the end",
            Self::GrowthBytes => "growth in the second half",
            Self::Temporaries => "temporary blocks",
        }
    }

    /// Formats a number of it.
    pub(crate) fn format(self, number: u64) -> String {
        match self {
            Self::Allocations | Self::Temporaries => count(number),
            _ => bytes(number as f64),
        }
    }

    /// Returns what a trace must not lack.
    pub(crate) fn needs(self) -> &'static [Lack] {
        match self {
            Self::Allocations | Self::Bytes | Self::PeakBytes | Self::LiveBytes => &[],
            Self::GrowthBytes => &[Lack::Times],
            Self::Temporaries => &[Lack::Threads],
        }
    }

    /// Returns whether it depends on the time that the program took, so that it differs from run to run.
    fn depends_on_time(self) -> bool {
        self == Self::GrowthBytes
    }
}

/// A figure in all runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Span {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

impl Span {
    /// Returns the range of numbers; 0 if there are none.
    pub(crate) fn of(numbers: impl Iterator<Item = u64> + Clone) -> Self {
        Self { least: numbers.clone().min().unwrap_or(0), most: numbers.max().unwrap_or(0) }
    }

    /// Returns how far the runs differ.
    pub(crate) fn width(self) -> u64 {
        self.most - self.least
    }

    pub(crate) fn middle(self) -> f64 {
        self.least as f64 / 2.0 + self.most as f64 / 2.0
    }
}

/// Whether a figure has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It is the same in all runs.
    Same,
    /// The runs of both sides are farther apart than those of either side are from each other.
    Changed,
    /// They are not.
    Noise,
    /// It differs from run to run, and there is one run of each side.
    Unknown,
}

/// A figure before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) before: Span,
    pub(crate) after: Span,
    pub(crate) change: Verdict,
}

impl Change {
    /// Compares a figure. `runs` is the larger number of runs of the two sides.
    pub(super) fn new(figure: Figure, before: Span, after: Span, runs: usize) -> Self {
        let gap = after.least.saturating_sub(before.most).max(before.least.saturating_sub(after.most));
        let change = match gap {
            _ if before == after && before.width() == 0 => Verdict::Same,
            _ if runs == 1 && figure.depends_on_time() => Verdict::Unknown,
            gap if gap > before.width().max(after.width()) => Verdict::Changed,
            _ => Verdict::Noise,
        };
        Self { before, after, change }
    }

    pub(crate) fn is_clear(&self) -> bool {
        self.change == Verdict::Changed
    }

    /// Returns by how much the figure has changed, from the middle of the runs before to that after.
    pub(crate) fn difference(&self) -> f64 {
        self.after.middle() - self.before.middle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(before: [u64; 2], after: [u64; 2]) -> Verdict {
        let span = |[least, most]: [u64; 2]| Span { least, most };
        Change::new(Figure::Bytes, span(before), span(after), 3).change
    }

    #[test]
    fn a_change_is_larger_than_the_noise_of_either_side() {
        assert_eq!(verdict([100, 100], [100, 100]), Verdict::Same);
        assert_eq!(verdict([100, 100], [101, 101]), Verdict::Changed);
        assert_eq!(verdict([101, 101], [100, 100]), Verdict::Changed);
        assert_eq!(verdict([100, 110], [100, 110]), Verdict::Noise);
        assert_eq!(verdict([100, 110], [105, 115]), Verdict::Noise);
        assert_eq!(verdict([100, 110], [120, 121]), Verdict::Noise);
        assert_eq!(verdict([100, 110], [121, 121]), Verdict::Changed);
        assert_eq!(verdict([121, 121], [100, 110]), Verdict::Changed);
        assert_eq!(verdict([0, 0], [0, 5]), Verdict::Noise);
    }

    #[test]
    fn one_run_does_not_tell_whether_growth_changed() {
        let span = |number| Span { least: number, most: number };
        let change = |runs| Change::new(Figure::GrowthBytes, span(5), span(9), runs).change;
        assert_eq!((change(1), change(2)), (Verdict::Unknown, Verdict::Changed));
    }
}
