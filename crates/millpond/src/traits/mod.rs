//! The traits on which everything is built, and the types they exchange.
//!
//! A [`RawPool`] carves blocks from chunks; an [`Allocator`] hands out memory. A shell turns the former into the
//! latter: it requests the chunks that its pool needs from a parent [`Allocator`].

mod allocator;
mod at_fork;
mod chunk;
mod delegate;
mod heap_map;
mod inspect;
mod misuse;
mod pointers;
mod pool_hooks;
mod pool_metrics;
mod pool_stats;
mod raw_pool;
mod report;

pub use allocator::{Allocation, Allocator};
pub(crate) use allocator::{allocate_by_halving, allocate_each, relocate};
pub use at_fork::AtFork;
pub use chunk::{Chunk, ChunkRequest};
pub(crate) use delegate::{delegate_allocator, delegate_inspect};
pub use heap_map::{ChunkMap, HeapMapBuilder, HeapMapView, Usage};
pub use inspect::{Inspect, InvariantError, Reclaim};
#[cfg(all(feature = "std", any(unix, windows)))]
pub(crate) use misuse::panic_with_report;
pub use misuse::{CallSites, Misuse, MisuseKind, PendingReport, Reporter};
pub(crate) use misuse::{Diagnosis, Pending};
pub use pool_hooks::PoolHooks;
pub use pool_metrics::{Delta, Metrics};
pub use pool_stats::{Holes, PoolStats};
pub use raw_pool::{Live, RawPool, Release, Reserve, Rewind};
pub use report::{Counts, Report, Requested};
