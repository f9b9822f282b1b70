//! Looking into a pool, and getting memory back from it.

use core::fmt;

/// A snapshot of a pool or of the allocator around it. All sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Chunks taken from the parent and not given back.
    pub chunks: usize,
    /// Bytes in these chunks.
    pub held: usize,
    /// Bytes in live blocks, as handed out (rounded up to what the pool cuts).
    pub live: usize,
    /// Bytes that can still be handed out without asking the parent.
    pub free: usize,
}

impl Snapshot {
    /// The sum of two snapshots.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            chunks: self.chunks + other.chunks,
            held: self.held + other.held,
            live: self.live + other.live,
            free: self.free + other.free,
        }
    }
}

/// An invariant that [`Inspect::check`] found broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw(pub &'static str);

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken invariant: {}", self.0)
    }
}

impl core::error::Error for Flaw {}

/// Questions that change nothing. Implemented by pools and passed on by what is around them.
pub trait Inspect {
    /// What is held, live and free. Linear in the number of free blocks: nothing is counted on the hot path.
    fn stats(&self) -> Snapshot;

    /// Whether `address` lies in a chunk of this pool. The address is never dereferenced. Linear in the chunks.
    fn owns(&self, address: *const u8) -> bool;

    /// Verifies every invariant that the pool's documentation states.
    ///
    /// # Errors
    ///
    /// The first invariant found broken.
    fn check(&self) -> Result<(), Flaw>;
}

/// Getting memory back without freeing block by block. Implemented by shells.
pub trait Reclaim {
    /// Declares every block dead and keeps every chunk for the next ones.
    fn reset(&mut self);

    /// Returns chunks without live blocks to the parent; says how many bytes that were.
    fn trim(&mut self) -> usize;
}
