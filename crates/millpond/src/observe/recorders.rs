//! Figures for the crates `metrics` and `tracing`.

#[cfg(feature = "metrics")]
use super::{Registry, metrics::METRICS};
#[cfg(feature = "tracing")]
use crate::traits::Metrics;

#[cfg(feature = "metrics")]
impl Registry {
    /// Hands the figures of all pools to the recorder of the crate `metrics`: gauges and counters with the names of
    /// [`PrometheusText`](super::PrometheusText), and the label `pool`. To be called at whatever interval is to be seen. A recorder
    /// keeps what it has heard last of a pool that is gone.
    ///
    /// ```
    /// use millpond::{Blocks, Fixed, Locked, Registry};
    ///
    /// static POOL: Locked<Blocks<Fixed<64>>> = Locked::new(Blocks::new());
    /// let pools = Registry::new();
    /// pools.watch_static("packets", &POOL)?;
    /// pools.record();
    /// # Ok::<(), millpond::DuplicateName>(())
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
    /// An event of the crate `tracing`, at the level `INFO`, with the target `millpond`: the pool's name, and all figures that
    /// are known as fields.
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
