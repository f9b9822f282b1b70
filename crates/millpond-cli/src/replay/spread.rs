//! Several rounds as one figure with its spread, and comparisons that respect it.

use serde::Serialize;

/// The middle of several rounds, and how far they lie apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) least: f64,
    /// The largest.
    pub(crate) most: f64,
}

impl Spread {
    /// Over rounds, at least one.
    pub(crate) fn of(rounds: &[f64]) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (Some(&least), Some(&most)) = (sorted.first(), sorted.last()) else { return Self::default() };
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        } else {
            sorted[middle]
        };
        Self { median, least, most }
    }

    /// The differences `ours − theirs`, round by round.
    pub(crate) fn difference(ours: &[f64], theirs: &[f64]) -> Self {
        let differences: Vec<_> = ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs).collect();
        Self::of(&differences)
    }

    /// The same in another unit.
    pub(crate) fn over(self, divisor: f64) -> Self {
        Self { median: self.median / divisor, least: self.least / divisor, most: self.most / divisor }
    }

    /// Whether the rounds agree that there is a difference at all: none is on the other side of zero.
    pub(crate) fn is_clear(self) -> bool {
        self.least > 0.0 || self.most < 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers_of_rounds() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]), Spread { median: 2.5, least: 1.0, most: 4.0 });
        assert_eq!(Spread::of(&[]), Spread::default());
    }

    #[test]
    fn a_difference_within_the_spread_is_none() {
        assert!(Spread::difference(&[1.0, 2.0], &[2.0, 3.0]).is_clear());
        assert!(!Spread::difference(&[1.0, 3.0], &[2.0, 2.9]).is_clear());
        assert!(!Spread::difference(&[1.0, 1.0], &[1.0, 1.0]).is_clear());
    }
}
