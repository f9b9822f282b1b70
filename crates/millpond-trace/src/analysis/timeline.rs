//! Live bytes over time, in a fixed number of bins.

/// Max number of bins.
pub const BINS: usize = 1024;

/// The events in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// Max live bytes, including those at its beginning.
    pub max: u64,
    /// Live bytes at its end.
    pub last: u64,
    /// Number of allocations and resizes.
    pub allocations: u64,
    /// Number of frees.
    pub frees: u64,
}

/// Live bytes over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Nanoseconds per bin.
    pub width: u64,
    /// The bins, from the start of recording up to the last event; at most [`BINS`].
    pub bins: Vec<Bin>,
}

impl Timeline {
    /// Creates a timeline for a recording of this length. If it turns out to be longer, bins are merged.
    pub(super) fn new(wall_ns: u64) -> Self {
        Self { width: wall_ns / BINS as u64 + 1, bins: vec![Bin::default()] }
    }

    /// Returns the last bin after creating all up to `time`, and the time at which it ends.
    #[cold]
    pub(super) fn advance(&mut self, time: u64) -> u64 {
        while time / self.width >= BINS as u64 {
            self.merge();
        }
        let bin = (time / self.width) as usize;
        let live = self.last().last;
        let empty = Bin { max: live, last: live, ..Bin::default() };
        if bin >= self.bins.len() {
            self.bins.resize(bin + 1, empty);
        }
        (self.bins.len() as u64).saturating_mul(self.width)
    }

    /// Returns the last bin.
    #[inline]
    pub(super) fn last(&mut self) -> &mut Bin {
        let last = self.bins.len() - 1;
        &mut self.bins[last]
    }

    /// Doubles the width of the bins.
    fn merge(&mut self) {
        self.width = self.width.saturating_mul(2);
        let pairs = self.bins.chunks(2).map(|pair| {
            let (first, second) = (pair[0], pair[pair.len() - 1]);
            let other = if pair.len() == 2 { second } else { Bin::default() };
            Bin {
                max: first.max.max(second.max),
                last: second.last,
                allocations: first.allocations + other.allocations,
                frees: first.frees + other.frees,
            }
        });
        self.bins = pairs.collect();
    }

    /// Returns how many bytes per second the live bytes grew over the second half of the time, if they were still growing
    /// at the end: the last eighth has a higher minimum of what its bins end with than every eighth of that half before.
    pub fn growth(&self) -> Option<f64> {
        let half = &self.bins[self.bins.len() / 2..];
        if half.len() < 8 {
            return None;
        }
        let least = |bins: &[Bin]| bins.iter().map(|bin| bin.last).min().unwrap_or(0);
        let lows: Vec<u64> = half.chunks(half.len().div_ceil(4)).map(least).collect();
        let is_growing = lows.windows(2).all(|pair| pair[0] < pair[1]);
        let (first, last) = (lows.first()?, lows.last()?);
        let seconds = half.len() as f64 * self.width as f64 * 1e-9 * 0.75;
        is_growing.then(|| (last - first) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_merged_until_the_time_fits() {
        let mut timeline = Timeline::new(0);
        assert_eq!(timeline.width, 1);
        for time in 0..5_000_u64 {
            timeline.advance(time);
            let bin = timeline.last();
            (bin.last, bin.allocations) = (time, bin.allocations + 1);
            bin.max = bin.max.max(time);
        }
        assert_eq!((timeline.width, timeline.bins.len()), (8, 625));
        for (number, bin) in timeline.bins.iter().enumerate() {
            let end = number as u64 * 8 + 7;
            assert_eq!(*bin, Bin { max: end, last: end, allocations: 8, frees: 0 });
        }
        timeline.advance(u64::MAX);
        assert_eq!(timeline.bins.len(), 1024);
        assert_eq!(timeline.bins.iter().map(|bin| bin.allocations).sum::<u64>(), 5_000);
    }

    #[test]
    fn growth_needs_rising_lows() {
        let timeline = |live: fn(u64) -> u64| {
            let bins = (0..1024).map(|at| Bin { last: live(at), ..Bin::default() }).collect();
            Timeline { width: 1_000_000, bins }
        };
        assert_eq!(timeline(|_| 7).growth(), None);
        assert_eq!(timeline(|at| 1024 - at).growth(), None);
        assert_eq!(timeline(|at| at % 100).growth(), None);
        let slope = timeline(|at| at * 1000 + at % 64 * 500).growth().unwrap();
        assert!((0.9e6..1.1e6).contains(&slope), "{slope}");
    }
}
