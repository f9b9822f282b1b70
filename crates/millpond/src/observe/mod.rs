//! Watching pools while a program runs.

#[cfg(any(feature = "metrics", feature = "tracing"))]
mod export;
#[cfg(feature = "std")]
mod exposition;
mod intervals;
#[cfg(feature = "std")]
mod metrics;
#[cfg(feature = "std")]
mod registry;

#[cfg(feature = "std")]
pub use exposition::PrometheusText;
pub use intervals::Intervals;
#[cfg(feature = "std")]
pub use registry::{DuplicateName, Publisher, Registry};
