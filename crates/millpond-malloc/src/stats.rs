//! Statistics of the heap.

use crate::{classes, depot, unit};

/// What the heap has, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Address space of the region that was ever used.
    pub mapped: usize,
    /// Memory in spans and large blocks.
    pub used: usize,
    /// Memory in no span and no block that was not returned to the system.
    pub dirty: usize,
    /// Free blocks that threads share. The blocks in the magazines of threads are not counted as free.
    pub free: usize,
}

/// Returns statistics of the heap. Takes each lock for a moment, so the parts may be of different moments.
#[must_use]
pub fn stats() -> Stats {
    let free = (1..classes::COUNT).map(|class| depot::lock(class).free_bytes()).sum();
    let unit::Footprint { used, dirty, mapped } = unit::footprint();
    Stats { mapped, used, dirty, free }
}
