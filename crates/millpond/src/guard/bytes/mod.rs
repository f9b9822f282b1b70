//! Guards that read or write the bytes of blocks when they are handed out and freed.

#[cfg(feature = "alloc")]
mod block_map;
mod canary;
#[cfg(feature = "alloc")]
mod checked;
mod fill;
#[cfg(feature = "alloc")]
mod hash_table;
mod hooks;
mod instrumented;
mod instrumented_pool;
#[cfg(any(feature = "valgrind", feature = "asan"))]
mod tool_annotated;
#[cfg(feature = "alloc")]
mod tracked;
#[cfg(feature = "alloc")]
mod trie;

pub use canary::Canary;
#[cfg(feature = "alloc")]
pub use checked::Checked;
pub use fill::{Poison, Zeroed};
pub use instrumented::Instrumented;
#[cfg(any(feature = "valgrind", feature = "asan"))]
pub use tool_annotated::ToolAnnotated;
#[cfg(feature = "alloc")]
pub use tracked::{SiteReport, SiteStats, Tracked};
