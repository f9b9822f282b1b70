//! Observing pools while a program runs: a registry, metrics for monitoring, and drawings of heap maps.

mod heap_map;
mod intervals;
#[cfg(feature = "std")]
mod metrics;
#[cfg(feature = "std")]
mod prometheus;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod recorders;
#[cfg(feature = "std")]
mod registry;

pub use crate::traits::{
    ChunkMap, Counts, Delta, HeapMapBuilder, HeapMapView, Holes, InvariantError, Metrics, Misuse, MisuseKind,
    PoolStats, Report, Reporter, Requested, Usage,
};
#[cfg(feature = "alloc")]
pub use heap_map::{HeapMap, InspectExt};
pub use intervals::Intervals;
#[cfg(feature = "std")]
pub use prometheus::PrometheusText;
#[cfg(feature = "std")]
pub use registry::{DuplicateName, Publisher, Registry};
