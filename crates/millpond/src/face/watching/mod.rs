//! Watching pools while a program runs.

#[cfg(feature = "std")]
mod catalogue;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod export;
#[cfg(feature = "std")]
mod exposition;
mod intervals;
#[cfg(feature = "std")]
mod registry;

#[cfg(feature = "std")]
pub use exposition::Exposition;
pub use intervals::Intervals;
#[cfg(feature = "std")]
pub use registry::{NameTaken, Publisher, Registry};
