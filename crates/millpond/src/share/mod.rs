//! Who may hold a pool: the shells. Each owns a pool and its parent.

mod allocator;
mod cached;
mod count;
mod local;
mod locked;
mod many;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
mod occupancy;
mod owned;
mod policy;
mod scope;
mod segments;
mod shell;

pub use crate::base::{Fair, Spin};
pub use cached::{Cached, Handle};
pub use count::{AtomicCount, Count, PlainCount};
pub use local::Local;
pub use locked::Locked;
pub(crate) use occupancy::Occupancy;
pub use owned::Owned;
pub(crate) use policy::out_of_memory;
pub use policy::{Abort, Fail, Policy, Retry};
pub use scope::Scope;
pub(crate) use segments::Segments;
