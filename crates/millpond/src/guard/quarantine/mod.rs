//! The guard that holds freed blocks back for a while.

mod delayed_free;
mod delayed_free_pool;
mod ring;

#[cfg(any(feature = "valgrind", feature = "asan"))]
pub(super) use delayed_free::DelayedFreeHooks;
pub use delayed_free::{DelayedFree, Quarantine};
