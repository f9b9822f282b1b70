//! The clock of a recording: its start, and the length of a tick.

use std::sync::atomic::Ordering::Relaxed;

use millpond_trace::raw::Control;

use super::launch::Moment;

/// The clock of a recording.
pub(super) struct Clock {
    /// Ticks when the recording began.
    ticks: u64,
    /// The nanoseconds since 1970 at that moment.
    unix_ns: u64,
    /// Nanoseconds per tick.
    tick: f64,
}

impl Clock {
    /// Calibrates the clock by readings before and after the program ran.
    pub(super) fn new(begin: Moment, end: &Moment) -> Self {
        Self { ticks: begin.ticks, unix_ns: begin.unix_ns, tick: begin.tick_length(end) }
    }

    /// Calibrates the clock by what was noted while the program ran.
    pub(super) fn of(control: &Control) -> Self {
        let ticks = control.begin_ticks.load(Relaxed);
        let passed = control.clock.load(Relaxed).saturating_sub(ticks).max(1);
        let tick = control.clock_ns.load(Relaxed).max(1) as f64 / passed as f64;
        Self { ticks, unix_ns: control.begin_unix_ns.load(Relaxed), tick }
    }

    /// Returns the nanoseconds in a number of ticks.
    pub(super) fn nanoseconds(&self, ticks: u64) -> u64 {
        (ticks as f64 * self.tick) as u64
    }

    /// Returns the nanoseconds since 1970.
    pub(super) fn unix(&self, ticks: u64) -> u64 {
        self.unix_ns + self.nanoseconds(ticks.saturating_sub(self.ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_calibrated_by_what_was_noted() {
        let control = Control::default();
        control.begin_ticks.store(1000, Relaxed);
        control.begin_unix_ns.store(50, Relaxed);
        control.clock.store(3000, Relaxed);
        control.clock_ns.store(500, Relaxed);
        let clock = Clock::of(&control);
        assert_eq!((clock.nanoseconds(400), clock.unix(1400), clock.unix(0)), (100, 150, 50));
    }
}
