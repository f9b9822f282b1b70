//! Looking into a pool, and getting memory back from it.

use core::fmt;

#[cfg(feature = "alloc")]
use super::HeapMap;
use super::{HeapMapBuilder, Metrics, Report};

/// A snapshot of a pool or of the allocator around it. All sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PoolStats {
    /// Chunks taken from the parent and not given back.
    pub chunks: usize,
    /// Bytes in these chunks.
    pub held: usize,
    /// Bytes in live blocks, as handed out (rounded up to what the pool cuts).
    pub live: usize,
    /// Bytes that can still be handed out without asking the parent.
    pub free: usize,
}

impl PoolStats {
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

/// What is free in a pool of blocks of any size, and in how many pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Holes {
    /// How many free blocks there are.
    pub count: usize,
    /// Bytes in all of them.
    pub bytes: usize,
    /// Bytes in the largest.
    pub largest: usize,
}

impl Holes {
    /// The share of free bytes that lie outside the largest hole: 0 if all is in one piece, near 1 if all is in crumbs.
    #[must_use]
    pub fn fragmentation(&self) -> f64 {
        if self.bytes == 0 { 0.0 } else { (self.bytes - self.largest) as f64 / self.bytes as f64 }
    }

    /// The holes of two pools.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            bytes: self.bytes + other.bytes,
            largest: self.largest.max(other.largest),
        }
    }
}

/// An invariant that [`Inspect::check`] found broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvariantError(pub &'static str);

impl fmt::Display for InvariantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken invariant: {}", self.0)
    }
}

impl core::error::Error for InvariantError {}

/// Questions that change nothing. Implemented by pools and passed on by what is around them.
///
/// # Damaged pools
///
/// A write after free, or past the end of a block, overwrites the links of free blocks, or the sizes between blocks of any
/// size. Every question, and [`trim`](Reclaim::trim), ends nevertheless: an address is tested before it is followed (it is
/// that of a block, in a chunk of the pool), and no walk takes more steps than there are blocks. [`check`](Self::check) says
/// what was overwritten. Figures count up to the damage: what lies behind it is not found any more, and counts as live. A
/// chunk of whose blocks that is so stays. The header of a chunk has a checksum; one that was overwritten ends the list of
/// chunks. Not tested are the footers of [`Buddy`](crate::Buddy)'s chunks, the headers of [`Stack`](crate::Stack)'s, and
/// what lies beside blocks. Allocating and freeing test nothing, unless there is a guard around the pool.
///
/// A shell answers for its own pool. Its parent, to be asked in the same way, is behind `parent()`; what a pool *holds*
/// is what its parent has *live*:
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Inspect, Linear, Local};
///
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Local::new(Linear::new()));
/// pool.allocate(Layout::new::<[u64; 8]>())?;
/// assert_eq!(pool.stats().held, pool.parent().stats().live);
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub trait Inspect {
    /// What is held, live and free. Nothing is counted on the hot path, so what this takes depends on the pool, which does
    /// nothing else meanwhile, nor does a shell let go of its lock:
    ///
    /// | pool | |
    /// |---|---|
    /// | [`Linear`](crate::Linear), [`Stack`](crate::Stack), [`Buddy`](crate::Buddy), [`AtomicLinear`](crate::AtomicLinear) | O(chunks) |
    /// | [`Blocks`](crate::Blocks) with [`Magazine`](crate::Magazine) | O(chunks) |
    /// | `Blocks` with [`AddressOrdered`](crate::AddressOrdered) | O(chunks), and a look at each 64 blocks |
    /// | any `Blocks` in a guard that counts blocks ([`Counted`](crate::Counted), [`Stats`](crate::Stats), a [`Limit`](crate::Limit) of them) | O(chunks) |
    /// | `Blocks` with [`Lifo`](crate::Lifo), [`Classes`](crate::Classes), [`LockFree`](crate::LockFree) | O(chunks + free blocks), each of which is a cache miss at worst |
    /// | [`Tlsf`](crate::Tlsf), [`SignPost`](crate::SignPost) | O(all blocks) |
    ///
    /// A million free blocks of 64 bytes, freed in any order, took 220 ms with `Lifo`, 21 µs with `AddressOrdered`, and 0.6 µs with
    /// `Magazine`, whose list knows its length. A walk along a list written by hand takes as long as `Lifo`: the next block
    /// is known when the last one has come from memory. To ask a pool of another kind often, put a guard that counts
    /// around it, or around its parent for what it holds, and ask for the [`report`](Self::report): that is constant time.
    fn stats(&self) -> PoolStats;

    /// As [`stats`](Self::stats), for a guard that knows how many blocks of the pool are live: what it needs not find out,
    /// a pool of blocks of one size does not count.
    fn stats_with_live(&self, live_blocks: usize) -> PoolStats {
        let _ = live_blocks;
        self.stats()
    }

    /// Whether `address` lies in a chunk of this pool. The address is never dereferenced. Linear in the chunks.
    fn owns(&self, address: *const u8) -> bool;

    /// Verifies every invariant that the pool's documentation states.
    ///
    /// # Errors
    ///
    /// The first invariant found broken.
    fn check(&self) -> Result<(), InvariantError>;

    /// The largest size in bytes that would now be served without asking the parent, where that is known: O(1) for
    /// [`Buddy`](crate::Buddy) and [`Tlsf`](crate::Tlsf), of which every guard and shell passes it on.
    fn largest_free(&self) -> Option<usize> {
        None
    }

    /// What is free, and in how many pieces, where blocks are of any size: how fragmented is the pool? Linear in the number
    /// of blocks.
    fn holes(&self) -> Option<Holes> {
        None
    }

    /// What the guards around the pool have to say: see [`Report`]. Constant time; empty without guards.
    fn report(&self) -> Report {
        Report::default()
    }

    /// Everything that there is to know in figures, at one go. As dear as [`stats`](Self::stats).
    fn metrics(&self) -> Metrics {
        Metrics::new(self.stats(), self.largest_free(), self.report())
    }

    /// Paints what the bytes of each chunk are used for, as far as the pool can tell; else nothing. Asks nobody for memory.
    /// Linear in the number of free blocks, times the logarithm of the chunks, or, where blocks are of any size, in all
    /// blocks. What guards hold back counts as live, and so does what is in the caches of other threads.
    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        let _ = builder;
    }

    /// What the bytes of each chunk are used for, in at most so many cells a chunk: see [`render`](Self::render). Takes
    /// memory from the global allocator, 24 bytes a cell, for 32 chunks and more: that of a pool is not touched.
    #[cfg(feature = "alloc")]
    fn heap_map(&self, cells: usize) -> HeapMap {
        HeapMap::of(self, cells)
    }
}

/// Getting memory back without freeing block by block. Implemented by shells and by guards around them.
///
/// Whatever is still borrowed, by a child for example, keeps its memory: both methods take `&mut self`.
///
/// ```compile_fail
/// use millpond::{Blocks, Fixed, Linear, Local, Reclaim};
///
/// let mut arena = Local::new(Linear::new());
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &arena);
/// arena.reset(); // error: the pool's chunks would be pulled away
/// # // instead: drop(&arena);
/// drop(pool);
/// ```
pub trait Reclaim {
    /// Declares every block dead and keeps every chunk for the next ones.
    fn reset(&mut self);

    /// Returns chunks without live blocks to the parent; says how many bytes that were.
    fn trim(&mut self) -> usize;
}
