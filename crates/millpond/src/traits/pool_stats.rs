//! What a pool answers in numbers.

/// A snapshot of a pool or of the allocator around it. All sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PoolStats {
    /// Chunks taken from the parent and not returned.
    pub chunks: usize,
    /// Bytes in these chunks.
    pub held: usize,
    /// Bytes in live blocks, as handed out (rounded up to the sizes that the pool serves).
    pub live: usize,
    /// Bytes that can be handed out without a request to the parent.
    pub free: usize,
}

impl PoolStats {
    /// Returns the sum of two snapshots.
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

/// The free memory of a pool with blocks of any size, and the number of pieces it is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Holes {
    /// The number of free blocks.
    pub count: usize,
    /// Bytes in all free blocks.
    pub bytes: usize,
    /// Bytes in the largest free block.
    pub largest: usize,
}

impl Holes {
    /// Returns the share of free bytes that lie outside the largest hole: 0 if all free memory is in one piece, near 1
    /// if it is in many small ones.
    #[must_use]
    pub fn fragmentation(&self) -> f64 {
        if self.bytes == 0 { 0.0 } else { (self.bytes - self.largest) as f64 / self.bytes as f64 }
    }

    /// Returns the sum of the holes of two pools.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            bytes: self.bytes + other.bytes,
            largest: self.largest.max(other.largest),
        }
    }
}
