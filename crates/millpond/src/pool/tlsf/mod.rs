//! Two-level segregated fit: blocks of any size from one region, in constant time.
//!
//! Free blocks stand between posts (`posts`), in lists by size (`levels.rs`); bitmaps find the first list whose blocks
//! are all large enough, in two look-ups. So neither allocating nor freeing ever searches.
//!
//! * Allocate, free, resize in place: O(1), whatever is live. Trim: O(chunks). Reset: O(chunks + lists).
//! * Overhead: a post of one word per block (8 bytes on 64-bit). Rounding, apart from that: post and block together are a
//!   multiple of 16, and at least 32, bytes; 64-bit.
//! * Fit: up to 1 KiB the smallest free block that is large enough; above that, one at most 1/32 larger than the
//!   smallest of those that are looked at. A block less than 1/32 larger than the request may be passed over, unless it
//!   is the first of its list and no larger one is free.
//!
//! Source: Masmano, Ripoll, Crespo, Real, "TLSF: A New Dynamic Memory Allocator for Real-Time Systems" (2004).

mod levels;

use core::{alloc::Layout, ptr::NonNull};

use self::levels::Levels;
use super::posts::{Holes, Posts};
use crate::{
    base::address::WORD,
    contract::{Chunk, ChunkRequest, Flaw, Inspect, Pool, Snapshot, Surrender},
};

/// A pool for blocks of any size and alignment, in constant time.
///
/// It has 8 KiB of list heads, whatever it holds; for a few kilobytes of memory take [`SignPost`](crate::SignPost).
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Owned, Tlsf};
///
/// let mut pool = Owned::new(Tlsf::new());
/// let picture = pool.allocate(Layout::from_size_align(70_000, 64)?)?;
/// let name = pool.allocate(Layout::new::<[u8; 12]>())?;
/// assert_eq!(picture.addr().get() % 64, 0);
/// // SAFETY: the block is live, and this pool handed it out for this layout.
/// unsafe { pool.deallocate(picture.cast(), Layout::from_size_align(70_000, 64)?) };
/// assert!(pool.pool().largest_free() >= 70_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Invariants
///
/// Those of the posts and of the lists: see the sources of `posts` and `levels`.
pub struct Tlsf(Posts<Levels>);

impl Tlsf {
    /// A pool without chunks.
    #[must_use]
    pub const fn new() -> Self {
        Self(Posts::new(Levels::EMPTY))
    }

    /// The largest size in bytes that would now be served without a new chunk, at an alignment of two words. O(1).
    #[must_use]
    pub fn largest_free(&self) -> usize {
        self.0.index().largest().saturating_sub(WORD)
    }

    /// What is free, and in how many pieces. Linear in the number of blocks.
    #[must_use]
    pub fn holes(&self) -> Holes {
        self.0.holes()
    }
}

impl Default for Tlsf {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: `Posts` hands out what its index holds, which is free, and cuts it between posts: see its invariants. Nothing
// here unwinds.
unsafe impl Pool for Tlsf {
    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.0.allocate(layout)
    }

    #[inline]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, _layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.deallocate(block) };
    }

    fn wants(&self, layout: Layout) -> Option<ChunkRequest> {
        self.0.wants(layout)
    }

    unsafe fn adopt(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.adopt(chunk, layout) }
    }

    fn surrender(&mut self, which: Surrender) -> Option<Chunk> {
        self.0.surrender(which)
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        _old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.resize_in_place(block, new) }
    }
}

impl Inspect for Tlsf {
    fn stats(&self) -> Snapshot {
        self.0.stats()
    }

    fn owns(&self, address: *const u8) -> bool {
        self.0.owns(address)
    }

    fn check(&self) -> Result<(), Flaw> {
        self.0.check()
    }
}
