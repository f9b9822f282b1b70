//! Combines several rounds into one figure with its spread, and compares figures accordingly.

use serde::Serialize;

/// Fewer rounds than this do not distinguish a difference from chance: five rounds all agree by chance once in sixteen
/// times.
pub(crate) const LEAST_ROUNDS: usize = 5;
/// A round is an outlier if it is at least this multiple of the median,
const OUTLIER: f64 = 1.25;
/// and if it is also farther from the median than the typical round by this factor.
const FAR: f64 = 8.0;

/// The median of several rounds, and their spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Estimate {
    /// The median; of an even number of rounds, the mean of the two in the middle.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) least: f64,
    /// The largest.
    pub(crate) most: f64,
}

impl Estimate {
    /// Computes the estimate from rounds, at least one.
    pub(crate) fn of(rounds: &[f64]) -> Self {
        Self::without(rounds, 0)
    }

    /// Computes the estimate from rounds without this many of the smallest and as many of the largest.
    fn without(rounds: &[f64], cut: usize) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        let (Some(&least), Some(&most)) = (sorted.get(cut), sorted.get(last - cut.min(last))) else {
            return Self::default();
        };
        Self { median: middle(&sorted), least, most }
    }

    /// Returns an interval that contains the median of the distribution of such rounds, with a confidence of at least 93 %
    /// if there are [`LEAST_ROUNDS`]: the narrowest pair of rounds, as far from the smallest as from the largest, that
    /// reaches this confidence. A few outliers among many rounds do not widen it.
    pub(crate) fn confidence_interval(rounds: &[f64]) -> Self {
        Self::without(rounds, cut(rounds.len()))
    }

    /// Returns the differences `ours − theirs`, round by round, as [`confidence_interval`](Self::confidence_interval).
    pub(crate) fn difference(ours: &[f64], theirs: &[f64]) -> Self {
        let differences: Vec<_> = ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs).collect();
        Self::confidence_interval(&differences)
    }

    /// Returns the ratios `ours / theirs`, round by round, as [`confidence_interval`](Self::confidence_interval).
    pub(crate) fn ratio(ours: &[f64], theirs: &[f64]) -> Self {
        let ratios: Vec<_> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        Self::confidence_interval(&ratios)
    }

    /// Returns the estimate of a single figure.
    pub(crate) fn exact(value: f64) -> Self {
        Self { median: value, least: value, most: value }
    }

    /// Applies a function to each figure. A decreasing function exchanges the ends.
    pub(crate) fn map(self, change: impl Fn(f64) -> f64) -> Self {
        let (one, other) = (change(self.least), change(self.most));
        Self { median: change(self.median), least: one.min(other), most: one.max(other) }
    }

    /// Returns the estimate in another unit.
    pub(crate) fn over(self, divisor: f64) -> Self {
        self.map(|figure| figure / divisor)
    }

    /// Returns all possible values of the quotient of two estimates; the divisor is positive.
    pub(crate) fn divided_by(self, divisor: Self) -> Self {
        let (ends, parts) = ([self.least, self.most], [divisor.least, divisor.most]);
        let all = ends.into_iter().flat_map(|end| parts.map(|part| end / part));
        let median = self.median / divisor.median;
        let (least, most) =
            all.fold((median, median), |(least, most), next| (next.min(least), next.max(most)));
        Self { median, least, most }
    }

    /// Returns whether the rounds agree that there is a difference: none is on the other side of zero.
    pub(crate) fn is_clear(self) -> bool {
        self.least > 0.0 || self.most < 0.0
    }
}

/// Returns the median of a sorted, non-empty slice.
fn middle(sorted: &[f64]) -> f64 {
    let at = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[at - 1] + sorted[at]) / 2.0 } else { sorted[at] }
}

/// Returns how many of `rounds` can be dropped at each end: the true median lies outside with a probability of 2 · Σ
/// (rounds over i) / 2^rounds, with i from 0 to the number dropped, which stays at about 7 % or less.
fn cut(rounds: usize) -> usize {
    let mut chance = 2.0_f64.powi(1 - rounds as i32);
    let (mut outside, mut cut) = (chance, 0);
    while cut + 1 < rounds / 2 {
        chance *= (rounds - cut) as f64 / (cut + 1) as f64;
        outside += chance;
        if outside > 0.0705 {
            break;
        }
        cut += 1;
    }
    cut
}

/// Returns the rounds, counted from 0, that took far longer than the others because something else kept the machine
/// busy.
pub(crate) fn outliers(rounds: &[f64]) -> Vec<usize> {
    let median = Estimate::of(rounds).median;
    let distances: Vec<_> = rounds.iter().map(|round| (round - median).abs()).collect();
    let typical = Estimate::of(&distances).median;
    let is_far = |round: f64| round > median * OUTLIER && round - median > typical * FAR;
    if rounds.len() < 3 {
        return Vec::new();
    }
    (0..rounds.len()).filter(|&at| is_far(rounds[at])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(Estimate::of(&[3.0, 1.0, 2.0]), Estimate { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(Estimate::of(&[4.0, 1.0]), Estimate { median: 2.5, least: 1.0, most: 4.0 });
        assert_eq!(Estimate::of(&[]), Estimate::default());
    }

    #[test]
    fn difference_within_the_spread_is_none() {
        assert!(Estimate::difference(&[1.0, 2.0], &[2.0, 3.0]).is_clear());
        assert!(!Estimate::difference(&[1.0, 3.0], &[2.0, 2.9]).is_clear());
        assert!(!Estimate::difference(&[1.0, 1.0], &[1.0, 1.0]).is_clear());
    }

    #[test]
    fn many_rounds_drop_outliers() {
        // 2 · (1 + 8) / 256 = 7.0 %; 2 · (1 + 7) / 128 = 12.5 %.
        assert_eq!([1, 2, 5, 7, 8, 11, 20].map(cut), [0, 0, 0, 0, 1, 2, 5]);
        let mut rounds = [10.0; 20];
        rounds[3] = 500.0;
        assert_eq!(Estimate::confidence_interval(&rounds), Estimate::exact(10.0));
        assert_eq!(Estimate::of(&rounds).most, 500.0);
        assert_eq!(
            Estimate::confidence_interval(&[10.0, 500.0, 9.0, 10.0, 10.0]).most,
            500.0,
            "five rounds are too few"
        );
    }

    #[test]
    fn confidence_is_as_documented() {
        for rounds in LEAST_ROUNDS..=40 {
            let (mut chance, mut outside) = (0.5_f64.powi(rounds as i32), 0.0);
            for below in 0..=cut(rounds) {
                outside += 2.0 * chance;
                chance *= (rounds - below) as f64 / (below + 1) as f64;
            }
            assert!(outside <= 0.0705, "{rounds} rounds: {outside}");
        }
    }

    #[test]
    fn outliers_are_found() {
        assert_eq!(outliers(&[48.0, 49.0, 185.0, 48.5, 49.5]), [2]);
        assert!(outliers(&[40.0, 60.0, 80.0, 100.0, 120.0]).is_empty());
        assert!(outliers(&[48.0, 48.0, 48.0, 48.0, 50.0]).is_empty());
        assert!(outliers(&[1.0, 9.0]).is_empty() && outliers(&[]).is_empty());
    }

    #[test]
    fn quotient_has_the_widest_range() {
        let divisor = Estimate { median: 4.0, least: 2.0, most: 8.0 };
        let share = Estimate { median: 2.0, least: -1.0, most: 4.0 }.divided_by(divisor);
        assert_eq!(share, Estimate { median: 0.5, least: -0.5, most: 2.0 });
        assert_eq!(divisor.map(|value| -value), Estimate { median: -4.0, least: -8.0, most: -2.0 });
    }
}
