//! Two-level segregated fit: blocks of any size from one region, in constant time.
//!
//! Free blocks lie between headers (`boundary_tags`), in lists by size (`levels.rs`); bitmaps find the first list whose
//! blocks are all large enough with two look-ups. Neither allocating nor freeing ever searches.
//!
//! * Allocate, free, resize in place: O(1), independently of what is live. Trim: O(chunks). Reset: O(chunks + lists).
//!   Drop: the same as a reset.
//! * Worst case without the quick list, in instructions on x86-64 with rustc 1.95: 152 to allocate, 211 if aligned
//!   beyond two words, 125 to free, 128 to resize in place. With the quick list, which is the default: 132 to free, and
//!   the same as without it to allocate, until only blocks on the quick list are left for a request. Then up to 528 of
//!   these are freed in the same call, which took 79,391. `cargo run --release --example worst` measures these numbers.
//! * Overhead: a header of one word per block (8 bytes on 64-bit machines). In addition, sizes are rounded: header and
//!   block together take a multiple of 16 and at least 32 bytes on 64-bit machines.
//! * Fit: up to 1 KiB, the smallest free block that is large enough. Above that, a free block that is less than 1/32
//!   larger than the request may be passed over for a larger one; if there is no larger one, it is taken if it is the
//!   first on its list.
//!
//! Source: Masmano, Ripoll, Crespo, Real, "TLSF: A New Dynamic Memory Allocator for Real-Time Systems" (2004).

mod levels;
mod quick_list;

use core::{alloc::Layout, ptr::NonNull};

use self::levels::Levels;
pub use self::quick_list::{NoQuickList, QuickList, WithQuickList};
use super::boundary_tags::{BoundaryTags, SizedRequest};
use crate::{
    base::address::{self, WORD},
    traits::{
        Chunk, ChunkRequest, HeapMapBuilder, Holes, Inspect, InvariantError, PoolHooks, PoolStats, RawPool,
        Release,
    },
};

/// The share of the pool's bytes that the quick list may hold, as a divisor: one in this many.
const QUICK_SHARE: usize = 8;

/// A pool for blocks of any size and alignment, in constant time.
///
/// It has 8 KiB of list heads, regardless of how much it holds; for a few kilobytes of memory use
/// [`SignPost`](crate::SignPost).
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
/// # Quick list
///
/// `Tlsf::new()` keeps up to eight freed blocks of each size up to a kilobyte on a quick list and hands them out again
/// as they are, in O(1): twice as fast if blocks are freed and allocated repeatedly. In return, freed blocks of up to
/// 270 KB in total (on 64-bit machines), and at most an eighth of what the pool holds, are not merged for a while. They
/// are merged when nothing else is left for a request, and when chunks are released; that one operation then takes as
/// long as freeing all of them.
///
/// If every single operation has to be short, use `Tlsf::without_quick_list()`, which merges each freed block at once.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Local, Tlsf, pool::NoQuickList};
///
/// let pool: Local<Tlsf<NoQuickList>> = Local::new(Tlsf::without_quick_list());
/// ```
///
/// # Overwritten memory
///
/// A write past the end of a block overwrites the word in front of the next one. A block is not freed or resized if
/// that word holds another size than its layout allows: the block is unusable until a reset. This check costs nothing.
/// A free block next to it is merged only if its size is the same at both ends and its links lead to blocks that link
/// back, and a free block is divided only if its size is the same at both ends; otherwise that block is unusable until a
/// reset, and so are those behind it on its list. To compare them, the call reads where an overwritten size or link
/// leads, which may be an address without memory. All words are checked by functions such as
/// [`check`](crate::Inspect::check), by a trim, and behind [`Checked`](crate::guard::Checked) before every call.
///
/// # Structure
///
/// Two bitmaps lead to the first list that is not empty, from a given list on; here, from list 100 on it is list 135:
///
/// ```text
///  summary                    words                            lists
///  ┌─┬─┬─┬─┬───┐              ┌─────────────────────┐
///  │0│0│1│0│ … │ ─ word 2 ──► │ 0 0 0 0 0 0 0 1 0 … │ ─ bit 7 ──► 2 · 64 + 7 = 135
///  └─┴─┴─┴─┴───┘              └─────────────────────┘              │
///   a bit per word             a bit per list                      ▼
///                                                               ┌──────┐    ┌──────┐
///  quick list: per size up to a kilobyte,                       │ free │ ◄► │ free │  in the chunks,
///  up to 8 addresses of freed blocks, not merged                └──────┘    └──────┘  between boundary tags
/// ```
///
/// # Invariants
///
/// Those of the boundary tags, the levels and the quick list: see the modules `boundary_tags`, `levels` and
/// `quick_list`.
pub struct Tlsf<F: QuickList = WithQuickList> {
    tags: BoundaryTags<Levels>,
    quick: F,
}

impl Tlsf {
    /// Creates a pool without chunks that keeps some freed blocks on a quick list.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_quick()
    }
}

impl Tlsf<NoQuickList> {
    /// Creates a pool without chunks that merges each freed block at once: no operation ever takes long.
    #[must_use]
    pub const fn without_quick_list() -> Self {
        Self::with_quick()
    }
}

impl<F: QuickList> Tlsf<F> {
    const fn with_quick() -> Self {
        Self { tags: BoundaryTags::new(Levels::EMPTY), quick: F::EMPTY }
    }

    /// Returns the largest size, in bytes, that can be allocated without a new chunk, at an alignment of two words; the
    /// quick list is not considered. O(1), except for checking that the block lies in a chunk: O(chunks).
    #[must_use]
    pub fn largest_free(&self) -> usize {
        let largest = self.tags.index().largest();
        largest.and_then(|tag| self.tags.bytes_at(tag.block())).unwrap_or(0)
    }

    /// Returns how much memory is free, and in how many pieces; blocks on the quick list are not considered. O(blocks).
    #[must_use]
    pub fn holes(&self) -> Holes {
        self.tags.holes()
    }

    /// Returns the blocks on the quick list, each with its size in bytes, as far as their headers are intact.
    fn quick_blocks(&self) -> impl Iterator<Item = (usize, usize)> {
        self.quick.blocks().filter_map(|(block, _)| Some((block, self.tags.bytes_at(block)?)))
    }

    /// Frees the blocks on the quick list; returns whether there were any.
    fn flush_quick(&mut self) -> bool {
        let mut any = false;
        while let Some((block, size)) = self.quick.pop_any() {
            // SAFETY: to the boundary tags, a block on the quick list is live, and at most a granule larger than its
            // size.
            unsafe { self.tags.deallocate(recover_block(block), size) };
            any = true;
        }
        any
    }

    /// Frees the blocks on the quick list. A block that was overwritten, or whose neighbour was, is unusable until a
    /// reset.
    fn flush_quick_checked(&mut self) {
        while let Some((block, size)) = self.quick.pop_any() {
            if self.tags.damage_around(block, size).is_none() {
                // SAFETY: as above.
                unsafe { self.tags.deallocate(recover_block(block), size) };
            }
        }
    }

    /// Returns an overwritten address that the next allocation would follow. If nothing else is left, the blocks on the
    /// quick list are freed, as the allocation would do.
    fn damage_ahead(&mut self, need: SizedRequest) -> Option<usize> {
        if need.is_granular() && self.quick.has(need.size) {
            return None;
        }
        if !need.is_granular() {
            // A free block that is found may still be too small once it is aligned.
            self.flush_quick_checked();
        }
        match self.tags.damage_ahead(need) {
            Ok(false) => {
                self.flush_quick_checked();
                self.tags.damage_ahead(need).err()
            }
            found => found.err(),
        }
    }

    #[inline(always)]
    fn allocate_from_tags(&mut self, need: SizedRequest) -> Option<NonNull<[u8]>> {
        match self.tags.allocate(need) {
            Some(block) => Some(block),
            None => self.allocate_after_flush(need),
        }
    }

    /// Allocates when only blocks on the quick list may be left for a request.
    #[cold]
    #[inline(never)]
    fn allocate_after_flush(&mut self, need: SizedRequest) -> Option<NonNull<[u8]>> {
        if self.flush_quick() { self.tags.allocate(need) } else { None }
    }

    /// Allocates when the quick list has no block; out of line to keep the other path short.
    #[inline(never)]
    fn allocate_slow(&mut self, need: SizedRequest) -> Option<NonNull<[u8]>> {
        self.allocate_from_tags(need)
    }

    /// Frees a block when the quick list is full.
    ///
    /// # Safety
    ///
    /// The same as for [`BoundaryTags::deallocate`].
    #[inline(never)]
    unsafe fn deallocate_slow(&mut self, block: NonNull<u8>, size: usize) {
        // SAFETY: the caller upholds the contract of `BoundaryTags::deallocate`.
        unsafe { self.tags.deallocate(block, size) };
    }

    /// Updates the limit of the quick list to its share of what the pool holds.
    fn update_quick_limit(&mut self) {
        self.quick.set_limit(self.tags.held() / QUICK_SHARE);
    }
}

/// Returns a block on the quick list as a pointer.
///
/// # Safety
///
/// The block lies in a chunk that was exposed.
unsafe fn recover_block(block: usize) -> NonNull<u8> {
    // SAFETY: the caller guarantees that the block lies in an exposed chunk; blocks are not at address zero.
    unsafe { address::block(block, 0) }.cast()
}

impl<F: QuickList> Default for Tlsf<F> {
    fn default() -> Self {
        Self::with_quick()
    }
}

// SAFETY: `BoundaryTags` hands out blocks of its index, which are free, and splits them at headers: see its invariants.
// A block on the quick list was freed, counts as live for the boundary tags, and leaves the list when it is handed out
// again. Nothing here unwinds.
unsafe impl<F: QuickList> RawPool for Tlsf<F> {
    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let need = SizedRequest::of(layout, BoundaryTags::<Levels>::LARGEST)?;
        if need.is_granular()
            && let Some(block) = self.quick.pop(need.size)
        {
            // SAFETY: the block lies in a chunk, and has at least this size, including its header.
            return Some(unsafe { address::block(block, need.size - WORD) });
        }
        if F::ENABLED { self.allocate_slow(need) } else { self.allocate_from_tags(need) }
    }

    #[inline]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let size = SizedRequest::size(layout);
        if self.quick.push(block.addr().get(), size) {
            return;
        }
        // SAFETY: the caller guarantees that the block is live and that `layout` fits it; no block is smaller than the
        // layouts that fit it need.
        unsafe {
            if F::ENABLED {
                self.deallocate_slow(block, size);
            } else {
                self.tags.deallocate(block, size);
            }
        }
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        self.tags.chunk_request(layout)
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_chunk`: the chunk belongs to this pool alone.
        let added = unsafe { self.tags.add_chunk(chunk, layout) };
        self.update_quick_limit();
        added
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        self.flush_quick_checked();
        let chunk = self.tags.release_chunk(which);
        self.update_quick_limit();
        chunk
    }

    fn reset(&mut self) {
        self.quick = F::EMPTY;
        self.update_quick_limit();
        self.tags.reset();
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: the caller upholds the contract of `resize_in_place`: the block is live, and this pool handed it out
        // for `old`.
        unsafe { self.tags.resize_in_place(block, old, new) }
    }
}

impl<F: QuickList> PoolHooks for Tlsf<F> {
    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        match block {
            Some(block) => self.tags.damage_around(block.addr().get(), SizedRequest::size(layout)),
            None => self.damage_ahead(SizedRequest::of(layout, BoundaryTags::<Levels>::LARGEST)?),
        }
    }
}

impl<F: QuickList> Inspect for Tlsf<F> {
    fn stats(&self) -> PoolStats {
        let stats = self.tags.stats();
        // If headers were overwritten, a block on the quick list may be part of a free one.
        let quick_blocks = self.quick_blocks().map(|(_, bytes)| bytes).sum::<usize>().min(stats.live);
        PoolStats { live: stats.live - quick_blocks, free: stats.free + quick_blocks, ..stats }
    }

    fn largest_free(&self) -> Option<usize> {
        Some(Self::largest_free(self))
    }

    fn holes(&self) -> Option<Holes> {
        Some(Self::holes(self))
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.tags.render(builder);
        self.quick_blocks().for_each(|(block, bytes)| builder.free(block..block + bytes));
    }

    fn owns(&self, address: *const u8) -> bool {
        self.tags.owns(address)
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.tags.check()?;
        let mut quick_blocks = self.quick.blocks();
        if quick_blocks.all(|(block, size)| self.tags.is_live(block, size)) {
            Ok(())
        } else {
            Err(InvariantError(
                "a block in a quick list is free, smaller than the list's blocks, or no block",
            ))
        }
    }
}
