//! Axes: where a value lies, which ticks there are, how a value is written.

use super::results::Spread;

/// How values become lengths.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Dots on a logarithmic axis.
    Logarithmic,
    /// Bars from zero.
    Linear,
}

/// An axis from `low` to `high`, as long as `length`.
pub(super) struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
    length: f64,
}

/// The least distance of two ticks with labels.
const APART: f64 = 34.0;

impl Scale {
    /// An axis on which all spreads have their place, and `baseline`.
    pub(super) fn over(kind: Kind, spreads: &[Spread], baseline: Option<f64>, length: f64) -> Self {
        let lows = spreads.iter().map(|spread| spread.low).chain(baseline);
        let highs = spreads.iter().map(|spread| spread.high).chain(baseline);
        let (low, high) = (lows.fold(f64::INFINITY, f64::min), highs.fold(0.0, f64::max));
        match kind {
            Kind::Linear => Self { kind, low: 0.0, high, length },
            // Some air on both sides.
            Kind::Logarithmic => {
                let air = (high / low).powf(0.04).max(1.04);
                Self { kind, low: low / air, high: high * air, length }
            }
        }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let share = match self.kind {
            Kind::Linear => value / self.high,
            Kind::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        share.clamp(0.0, 1.0) * self.length
    }

    /// The values with a tick: as many as have room.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.kind == Kind::Linear {
            return Vec::new();
        }
        let steps: [&[f64]; 4] = [
            &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0],
            &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
            &[1.0, 2.0, 5.0],
            &[1.0],
        ];
        let all = steps.iter().map(|steps| self.multiples(steps, 1));
        let rarer = [2, 3].into_iter().map(|every| self.multiples(&[1.0], every));
        all.chain(rarer).find(|ticks| self.are_apart(ticks)).unwrap_or_default()
    }

    /// These steps of every so many powers of ten.
    fn multiples(&self, steps: &[f64], every: i32) -> Vec<f64> {
        let powers = (-9..=9).filter(|power| power % every == 0).map(|power| 10_f64.powi(power));
        let values = powers.flat_map(|power| steps.iter().map(move |step| step * power));
        values.filter(|value| (self.low..=self.high).contains(value)).collect()
    }

    fn are_apart(&self, ticks: &[f64]) -> bool {
        ticks.windows(2).all(|pair| self.at(pair[1]) - self.at(pair[0]) >= APART)
    }
}

/// A figure with three digits or so.
pub(super) fn figure(value: f64) -> String {
    match value {
        value if value >= 100_000.0 => format!("{:.0}k", value / 1000.0),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// A tick's label: no zeros behind the point.
pub(super) fn label(value: f64) -> String {
    match value {
        value if value >= 1_000_000.0 => format!("{}M", value / 1e6),
        value if value >= 1000.0 => format!("{}k", value / 1e3),
        value => format!("{}", (value * 1000.0).round() / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logarithmic(low: f64, high: f64) -> Scale {
        Scale::over(Kind::Logarithmic, &[Spread { median: low, low, high }], None, 120.0)
    }

    #[test]
    fn ticks_are_apart() {
        assert_eq!(logarithmic(0.5, 30.0).ticks(), [1.0, 10.0]);
        assert_eq!(logarithmic(0.9, 2.2).ticks(), [1.0, 1.5, 2.0]);
        assert_eq!(logarithmic(0.1, 90_000.0).ticks(), [1.0, 100.0, 10_000.0]);
        for (low, high) in [(0.3, 0.4), (1.0, 1.1), (0.01, 300.0), (20.0, 1e6)] {
            let scale = logarithmic(low, high);
            let places: Vec<f64> = scale.ticks().into_iter().map(|tick| scale.at(tick)).collect();
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= APART), "{low} to {high}: {places:?}");
        }
    }

    #[test]
    fn figures_are_short() {
        assert_eq!([0.256, 12.34, 345.6, 123_456.0].map(figure), ["0.26", "12.3", "346", "123k"]);
        assert_eq!([0.1, 1.0, 1.5, 1000.0, 1e6].map(label), ["0.1", "1", "1.5", "1k", "1M"]);
    }
}
