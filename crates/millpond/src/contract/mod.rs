//! The two traits that hold everything together, and what travels between them.
//!
//! A [`RawPool`] cuts chunks; an [`Allocator`] hands out memory to holders. A shell (room `share`) turns the one into the
//! other by asking a parent [`Allocator`] for the chunks that its pool wants.

mod allocator;
mod at_fork;
mod chunk;
mod figures;
mod inspect;
mod misuse;
mod pass_on;
mod picture;
mod pointers;
mod pool;
mod report;

pub use allocator::Allocator;
pub(crate) use allocator::relocate;
pub use at_fork::AtFork;
pub(crate) use at_fork::at_fork;
pub use chunk::{Chunk, ChunkRequest};
pub use figures::{Difference, Figures};
pub use inspect::{Flaw, Holes, Inspect, Reclaim, Snapshot};
pub use misuse::{Cause, Complaint, Misuse, Reporter, Sites};
pub(crate) use misuse::{Finding, Pending};
pub(crate) use pass_on::pass_on;
#[cfg(feature = "alloc")]
pub use picture::Map;
pub use picture::{Canvas, ChunkPicture, Picture, Usage};
pub use pool::{Live, RawPool, Reserve, Rewind, Surrender};
pub use report::{Amount, Counts, Report};
