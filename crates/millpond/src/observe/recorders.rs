//! Metrics for the crates `metrics` and `tracing`.

#[cfg(feature = "metrics")]
use super::{Registry, metrics::METRICS};
#[cfg(feature = "tracing")]
use crate::traits::Metrics;

#[cfg(feature = "metrics")]
impl Registry {
    /// Reports the metrics of all pools to the recorder of the crate `metrics`: gauges and counters with the names of
    /// [`PrometheusText`](super::PrometheusText), and the label `pool`. Call this at the interval at which metrics
    /// should be sampled. For a pool that was dropped, a recorder keeps the last values.
    ///
    /// ```
    /// use millpond::{Blocks, Fixed, Locked, observe::Registry};
    ///
    /// static POOL: Locked<Blocks<Fixed<64>>> = Locked::new(Blocks::new());
    /// let pools = Registry::new();
    /// pools.watch_static("packets", &POOL)?;
    /// pools.record();
    /// # Ok::<(), millpond::observe::DuplicateName>(())
    /// ```
    pub fn record(&self) {
        for (name, metrics) in self.read() {
            for metric in METRICS {
                match (metric.of)(&metrics) {
                    Some(value) if metric.counts => {
                        metrics::counter!(metric.name, "pool" => name.clone()).absolute(value as u64);
                    }
                    Some(value) => metrics::gauge!(metric.name, "pool" => name.clone()).set(value as f64),
                    None => {}
                }
            }
        }
    }
}

#[cfg(feature = "tracing")]
impl Metrics {
    /// Emits an event of the crate `tracing`, at the level `INFO`, with the target `millpond`, the pool's name, and all
    /// known metrics as fields.
    ///
    /// ```
    /// use millpond::{Inspect, Linear, Local};
    ///
    /// Local::new(Linear::new()).metrics().trace("frame");
    /// ```
    pub fn trace(&self, pool: &str) {
        tracing::info!(
            target: "millpond",
            pool,
            chunks = self.chunks,
            held = self.held,
            capacity = self.capacity(),
            live = self.live,
            free = self.free,
            waste = self.waste(),
            largest_free = self.largest_free,
            live_blocks = self.live_blocks,
            requested = self.requested,
            peak = self.peak.map(|peak| peak.bytes),
            allocations = self.allocated.map(|allocated| allocated.blocks),
            frees = self.freed.map(|freed| freed.blocks),
            failures = self.failed,
            left = self.left,
            "a pool"
        );
    }
}
