//! Inspecting a pool, and reclaiming memory from it.

use core::fmt;

use super::{HeapMapBuilder, Holes, Metrics, PoolStats, Report};

/// An invariant that [`Inspect::check`] found violated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvariantError(pub &'static str);

impl fmt::Display for InvariantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken invariant: {}", self.0)
    }
}

impl core::error::Error for InvariantError {}

/// Queries that change nothing. Implemented by pools and delegated by whatever is around them.
///
/// # Damaged pools
///
/// A write after free, or past the end of a block, overwrites the links of free blocks, or the sizes between blocks of
/// any size. Every query, and [`trim`](Reclaim::trim), terminates nevertheless: an address is tested before it is
/// followed (it must be that of a block in a chunk of the pool), and no walk takes more steps than there are blocks.
/// [`check`](Self::check) reports what was overwritten. Statistics count up to the damage: blocks behind it are no
/// longer found and count as live, so their chunks are not released. The header of a chunk has a checksum; a chunk
/// whose header was overwritten ends the list of chunks. The footers of [`Buddy`](crate::Buddy)'s chunks, the headers
/// of [`Stack`](crate::Stack)'s chunks, and what lies beside blocks are not tested. Allocating and freeing test
/// nothing, unless there is a guard around the pool.
///
/// A shell answers for its own pool. Its parent is available as `parent()` and can be queried in the same way; what a
/// pool *holds* is what its parent has *live*:
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
    /// Returns how many bytes are held, live and free. Nothing is counted on the hot path, so the cost depends on the
    /// pool. The pool does nothing else meanwhile, and a shell keeps its lock:
    ///
    /// | pool | cost |
    /// |---|---|
    /// | [`Linear`](crate::Linear), [`Stack`](crate::Stack), [`Buddy`](crate::Buddy), [`AtomicLinear`](crate::shell::AtomicLinear) | O(chunks) |
    /// | [`Blocks`](crate::Blocks) with [`Magazine`](crate::Magazine) | O(chunks) |
    /// | `Blocks` with [`AddressOrdered`](crate::pool::AddressOrdered) | O(chunks), and one word per 64 blocks |
    /// | any `Blocks` in a guard that counts blocks ([`Counted`](crate::guard::Counted), [`Stats`](crate::guard::Stats), a [`Limit`](crate::guard::Limit) of them) | O(chunks) |
    /// | `Blocks` with [`Lifo`](crate::pool::Lifo), [`Classes`](crate::Classes), [`LockFree`](crate::LockFree) | O(chunks + free blocks), each of which is a cache miss at worst |
    /// | [`Tlsf`](crate::Tlsf), [`SignPost`](crate::SignPost) | O(all blocks) |
    ///
    /// For a million free blocks of 64 bytes, freed in random order, it took 220 ms with `Lifo`, 21 µs with
    /// `AddressOrdered`, and 0.6 µs with `Magazine`, whose list knows its length. A walk along a hand-written list
    /// takes as long as with `Lifo`, because the address of the next block is known only when the previous one has been
    /// loaded from memory. To query another pool often, put a guard that counts around it, or around its parent for the
    /// bytes held, and ask for the [`report`](Self::report), which takes constant time.
    fn stats(&self) -> PoolStats;

    /// As [`stats`](Self::stats), for a guard that knows how many blocks of the pool are live: what it needs not find
    /// out, a pool of blocks of one size does not count.
    fn stats_with_live(&self, live_blocks: usize) -> PoolStats {
        let _ = live_blocks;
        self.stats()
    }

    /// Returns whether `address` lies in a chunk of this pool. The address is never dereferenced. Linear in the number
    /// of chunks.
    fn owns(&self, address: *const u8) -> bool;

    /// Verifies every invariant that the pool's documentation states.
    ///
    /// # Errors
    ///
    /// Returns the first invariant found violated.
    fn check(&self) -> Result<(), InvariantError>;

    /// Returns the largest size in bytes that would be served now without a request to the parent, if that is known:
    /// O(1) for [`Buddy`](crate::Buddy) and [`Tlsf`](crate::Tlsf), whose answer all guards and shells delegate.
    fn largest_free(&self) -> Option<usize> {
        None
    }

    /// Returns how much is free, and in how many pieces, if blocks are of any size: a measure of fragmentation. Linear
    /// in the number of blocks.
    fn holes(&self) -> Option<Holes> {
        None
    }

    /// Returns what the guards around the pool report: see [`Report`]. Constant time; empty without guards.
    fn report(&self) -> Report {
        Report::default()
    }

    /// Returns all metrics at once: a shell does it with one borrow or one lock. As expensive as
    /// [`stats`](Self::stats).
    fn metrics(&self) -> Metrics {
        Metrics::new(self.stats(), self.largest_free(), self.report())
    }

    /// Renders what the bytes of each chunk are used for, as far as the pool can tell; renders nothing otherwise.
    /// Allocates nothing. Linear in the number of free blocks times the logarithm of the number of chunks or, if blocks
    /// are of any size, in the number of all blocks. Blocks that guards hold back count as live, and so do blocks in
    /// the caches of other threads.
    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        let _ = builder;
    }
}

/// Reclaiming memory without freeing each block. Implemented by shells and by guards around them.
///
/// Both methods take `&mut self`, so memory that is still borrowed, by a child for example, cannot be reclaimed.
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
    /// Declares every block dead and keeps every chunk for later blocks.
    fn reset(&mut self);

    /// Returns chunks without live blocks to the parent, and returns their total size in bytes.
    fn trim(&mut self) -> usize;
}
