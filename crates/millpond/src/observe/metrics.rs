//! The metrics that are published for a pool, and their names.

use crate::traits::Metrics;

/// A metric of a pool.
pub(crate) struct MetricDef {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// Whether it is a counter, which only grows.
    pub(crate) counts: bool,
    pub(crate) of: fn(&Metrics) -> Option<usize>,
}

const fn gauge(name: &'static str, help: &'static str, of: fn(&Metrics) -> Option<usize>) -> MetricDef {
    MetricDef { name, help, counts: false, of }
}

const fn counter(name: &'static str, help: &'static str, of: fn(&Metrics) -> Option<usize>) -> MetricDef {
    MetricDef { name, help, counts: true, of }
}

/// All published metrics.
pub(crate) const METRICS: &[MetricDef] = &[
    gauge("millpond_pool_chunks", "Chunks taken from the parent.", |of| Some(of.chunks)),
    gauge("millpond_pool_held_bytes", "Bytes taken from the parent.", |of| Some(of.held)),
    gauge("millpond_pool_capacity_bytes", "Bytes of all blocks, live or free.", |of| Some(of.capacity())),
    gauge("millpond_pool_live_bytes", "Bytes in live blocks.", |of| Some(of.live)),
    gauge("millpond_pool_free_bytes", "Bytes that can be handed out without growing.", |of| Some(of.free)),
    gauge("millpond_pool_waste_bytes", "Bytes that no block can use.", |of| Some(of.waste())),
    gauge("millpond_pool_largest_free_bytes", "The largest size served without growing.", |of| {
        of.largest_free
    }),
    gauge("millpond_pool_requested_bytes", "Bytes requested for live blocks.", |of| of.requested),
    gauge("millpond_pool_live_blocks", "Live blocks.", |of| of.live_blocks),
    gauge("millpond_pool_peak_bytes", "Max number of bytes requested for live blocks so far.", |of| {
        of.peak.map(|peak| peak.bytes)
    }),
    gauge("millpond_pool_peak_blocks", "Max number of live blocks so far.", |of| {
        of.peak.map(|peak| peak.blocks)
    }),
    gauge("millpond_pool_limit_left", "Bytes or blocks that a limit still allows.", |of| of.left),
    counter("millpond_pool_allocations_total", "Blocks handed out.", |of| of.allocated.map(|all| all.blocks)),
    counter("millpond_pool_allocated_bytes_total", "Bytes handed out.", |of| {
        of.allocated.map(|all| all.bytes)
    }),
    counter("millpond_pool_frees_total", "Blocks freed.", |of| of.freed.map(|all| all.blocks)),
    counter("millpond_pool_freed_bytes_total", "Bytes freed.", |of| of.freed.map(|all| all.bytes)),
    counter("millpond_pool_failures_total", "Failed requests.", |of| of.failed),
];
