//! How runs under another allocator differ from those of the program as it is.

use super::{Sample, Timed};
use crate::{
    analysis::{Change, Difference},
    estimate::{Estimate, LEAST_ROUNDS},
};

/// A difference below this share is none.
const NOTHING: f64 = 0.01;

/// Something that is measured in a run.
pub(crate) type Figure = fn(&Sample) -> f64;

/// Returns a figure of several runs.
pub(crate) fn of_figure(runs: &[Sample], figure: Figure) -> Vec<f64> {
    runs.iter().map(figure).collect()
}

/// Returns how a figure changes in comparison with the program as it is, as a share of the figure there. The range is
/// that of the differences within rounds, widened by what two equal runs differ.
pub(crate) fn changed(timed: &Timed, runs: &[Sample], figure: Figure) -> Difference {
    let shares =
        shares(&of_figure(runs, figure), &of_figure(&timed.own, figure), &of_figure(&timed.control, figure));
    let difference = Difference::new(shares, NOTHING);
    if runs.len() < LEAST_ROUNDS {
        return Difference { change: Change::Unclear(shares), ..difference };
    }
    difference
}

fn shares(runs: &[f64], own: &[f64], control: &[f64]) -> Estimate {
    let means: Vec<_> = own.iter().zip(control).map(|(own, control)| (own + control) / 2.0).collect();
    let shares = Estimate::ratio(runs, &means).map(|ratio| ratio - 1.0);
    let chance = Estimate::ratio(own, &means).median - 1.0;
    Estimate { least: shares.least - chance.abs(), most: shares.most + chance.abs(), ..shares }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(runs: [f64; 5], own: [f64; 5], control: [f64; 5]) -> Change {
        Change::new(shares(&runs, &own, &control), NOTHING)
    }

    #[test]
    fn a_difference_must_be_larger_than_that_of_equal_runs() {
        let near = |value: f64| [value, value + 0.1, value - 0.1, value, value + 0.05];
        assert!(matches!(change(near(80.0), near(100.0), near(100.0)), Change::Less(_)));
        assert!(matches!(change(near(120.0), near(100.0), near(99.0)), Change::More(_)));
        assert_eq!(change(near(100.0), near(100.0), near(100.0)), Change::Same);
        // Two equal runs differ by 10 %, so 4 % are nothing.
        assert!(matches!(change(near(96.0), near(105.0), near(95.0)), Change::Unclear(_)));
        let wild = [60.0, 130.0, 90.0, 110.0, 80.0];
        assert!(matches!(change(wild, near(100.0), near(100.0)), Change::Unclear(_)));
    }
}
