//! Metrics in the text format of Prometheus.
//!
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4.

use alloc::string::String;
use core::fmt::{self, Write};

use super::metrics::{METRICS, MetricDef};
use crate::traits::Metrics;

/// The metrics of pools, displayed in the text format that Prometheus scrapes (`text/plain; version=0.0.4`).
///
/// Each metric occurs once, with its help and its type, followed by the values of the pools, in the given order, with
/// the label `pool`. Values that are not known for a pool are left out. All names begin with `millpond_pool_`; sizes
/// are in bytes, and the names of counters end in `_total`.
///
/// ```
/// use millpond::{Inspect, Linear, Local, observe::PrometheusText};
///
/// let metrics = [("frame \"1\"", Local::new(Linear::new()).metrics())];
/// let text = PrometheusText(&metrics).to_string();
/// assert!(text.contains("# TYPE millpond_pool_live_bytes gauge\nmillpond_pool_live_bytes{pool=\"frame \\\"1\\\"\"} 0\n"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PrometheusText<'a, N = String>(pub &'a [(N, Metrics)]);

impl<N: AsRef<str>> fmt::Display for PrometheusText<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        METRICS.iter().try_for_each(|metric| self.family(metric, f))
    }
}

impl<N: AsRef<str>> PrometheusText<'_, N> {
    /// Writes one metric of all pools; nothing if it is known for none.
    fn family(&self, metric: &MetricDef, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.iter().filter_map(|(name, metrics)| Some((name, (metric.of)(metrics)?)));
        for (index, (name, value)) in known.enumerate() {
            if index == 0 {
                writeln!(f, "# HELP {} {}", metric.name, metric.help)?;
                writeln!(f, "# TYPE {} {}", metric.name, if metric.counts { "counter" } else { "gauge" })?;
            }
            write!(f, "{}{{pool=\"", metric.name)?;
            escape(name.as_ref(), f)?;
            writeln!(f, "\"}} {value}")?;
        }
        Ok(())
    }
}

/// Writes the value of a label, with backslashes, quotes and line feeds escaped.
fn escape(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.chars().try_for_each(|char| match char {
        '\\' => f.write_str("\\\\"),
        '"' => f.write_str("\\\""),
        '\n' => f.write_str("\\n"),
        _ => f.write_char(char),
    })
}
