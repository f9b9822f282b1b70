//! Blocks of any size, made by halving: the binary buddy system.
//!
//! The size of a block is a power of two, and a block begins at a multiple of its size. A free block that is too large
//! is halved until it is just large enough. A freed block is joined with its *buddy*, the other half of the block that
//! was halved, if the buddy is free; the result is joined with its own buddy, and so on. One bit per pair records
//! whether the buddy is free (see `footer`), and free blocks are in one doubly linked list per size, so there are no
//! searches.
//!
//! * Allocate, free, grow and shrink in place: O(log n) for a chunk of n least blocks, at most one step per halving, in
//!   addition to finding the chunk, which is an expected O(log chunks) (see `footer_tree`). The size of the largest
//!   free block is always known.
//! * Worst case of one call: 31 halvings or joins, each of which changes a bit and two links, and finding the chunk in
//!   a randomised tree, whose depth is at most the number of chunks. A call that grows clears the bits of the new chunk
//!   and also takes the parent's time.
//! * Growth: the bits of a chunk are cleared when it is added, one byte for 8 least blocks. Reset: the same for all
//!   chunks.
//! * Waste: the unused part of a block, up to a half, a quarter on average. State: one bit per least block, 64 bytes
//!   per chunk, and the end of a chunk whose size is not a multiple of a least block. Any other chunk is used
//!   completely, as several trees.
//!
//! Why not one bit per block: pairs need half as many, and one look decides what to do. Why chunks are not kept as in
//! the other pools: every operation must find the chunk of a block here, regardless of how many chunks there are.
//!
//! Source: Knowlton, "A Fast Storage Allocator" (1965); Knuth, The Art of Computer Programming, volume 1, section 2.5.

mod footer;
mod footer_tree;
mod inspect;
mod lists;
mod scale;

use core::{alloc::Layout, fmt, ptr::NonNull};

use self::{
    footer::Footer,
    footer_tree::FooterTree,
    lists::{LINKS, Lists},
    scale::{Scale, TOP},
};
use crate::{
    base::address,
    traits::{Chunk, ChunkRequest, PoolHooks, RawPool, Release},
};

/// The size of the first chunk, in bytes, and the size beyond which chunks no longer grow.
const FIRST_CHUNK: usize = 4096;
const LARGEST_CHUNK: usize = 64 << 20;
/// The largest block that is served by default, in bytes.
const LARGEST_BLOCK: usize = 1 << 30;

/// A pool of blocks whose sizes are powers of two, which are split and joined in O(log n).
///
/// Every block is aligned to its size, and any alignment up to the largest block is served without a larger block.
/// Blocks grow in place if the next higher buddies are free, and shrink in place.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Buddy, Owned};
///
/// let mut pool = Owned::new(Buddy::with_blocks(64, 1 << 20)?);
/// let block = pool.allocate(Layout::new::<[u8; 1000]>())?;
/// assert_eq!((block.len(), block.addr().get() % 1024), (1024, 0));
/// assert_eq!(pool.allocate(Layout::new::<u8>())?.len(), 64);
/// let largest = pool.pool().largest_free();
/// assert_eq!(pool.allocate(Layout::from_size_align(largest, largest)?)?.len(), largest);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// For few, repeated sizes, [`Blocks`](crate::Blocks) and [`Classes`](crate::Classes) are faster and waste less. The
/// advantages of a buddy system are large blocks, natural alignment, and that free memory is joined at once.
///
/// # Overwritten memory
///
/// Chunks are described at their ends, which a write past the end of the last block overwrites. Calls follow these
/// descriptions and the links in free blocks. Functions such as [`check`](crate::Inspect::check) check that they are
/// intact; so do a trim and, before every call, [`Checked`](crate::guard::Checked).
///
/// # Invariants
///
/// * Free blocks do not overlap, lie between `first` and `end` of a chunk, and are on the list of their order.
/// * The bit of a pair is set if and only if exactly one half is free as a block of its own; both halves are never
///   free, except those of the order `TOP`. A pair whose right half would lie outside the chunk has no bit and is never
///   joined.
pub struct Buddy {
    scale: Scale,
    /// The largest block that is served, in bytes.
    largest: usize,
    free: Lists,
    chunks: FooterTree,
    /// The size of the next chunk, in bytes.
    next_chunk: usize,
}

/// The reason why [`Buddy::with_blocks`] refused its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuddyError {
    /// This least block is not a power of two, or is smaller than two addresses.
    Least(usize),
    /// This largest block is not a power of two, is smaller than the least one, or is more than 2³¹ times as large.
    Largest(usize),
}

impl fmt::Display for BuddyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Least(size) => {
                write!(f, "the least block is a power of two, {LINKS} bytes or more, not {size}")
            }
            Self::Largest(size) => {
                write!(
                    f,
                    "the largest block is 1 to 2^{TOP} times the least one, a power of two, not {size} bytes"
                )
            }
        }
    }
}

impl core::error::Error for BuddyError {}

impl Buddy {
    /// Creates a pool without chunks, with blocks from two addresses (16 bytes on 64-bit machines) to 1 GiB.
    #[must_use]
    pub const fn new() -> Self {
        Self::of(LINKS, LARGEST_BLOCK)
    }

    /// Creates a pool without chunks, with blocks from `least` to `largest` bytes. Larger requests are refused.
    ///
    /// # Errors
    ///
    /// [`BuddyError`] unless both are powers of two, `least` is at least 16 (8 on 32-bit machines), and `largest` is 1
    /// to 2³¹ times that.
    pub const fn with_blocks(least: usize, largest: usize) -> Result<Self, BuddyError> {
        if !least.is_power_of_two() || least < LINKS || least > isize::MAX.cast_unsigned() {
            return Err(BuddyError::Least(least));
        }
        let fits = largest >= least && largest / least <= 1 << TOP && largest <= isize::MAX.cast_unsigned();
        if !largest.is_power_of_two() || !fits {
            return Err(BuddyError::Largest(largest));
        }
        Ok(Self::of(least, largest))
    }

    const fn of(least: usize, largest: usize) -> Self {
        let scale = Scale::new(least);
        Self { scale, largest, free: Lists::EMPTY, chunks: FooterTree::EMPTY, next_chunk: FIRST_CHUNK }
    }

    /// Sets the size of the first chunk to about `bytes` instead of a page. Each later chunk is twice as large as the
    /// one before, up to 64 MiB.
    #[must_use]
    pub const fn first_chunk(mut self, bytes: usize) -> Self {
        self.next_chunk = bytes;
        self
    }

    /// Returns the size of the least block, in bytes.
    #[must_use]
    pub const fn least(&self) -> usize {
        self.scale.least()
    }

    /// Returns the size of the largest block that is served, in bytes.
    #[must_use]
    pub const fn largest(&self) -> usize {
        self.largest
    }

    /// Returns the size of the largest block that can be allocated without another chunk, in bytes; zero if there is
    /// none. O(1).
    #[must_use]
    pub fn largest_free(&self) -> usize {
        self.free.highest().map_or(0, |order| self.scale.size(order).min(self.largest))
    }

    /// Returns the order that serves a layout, and the order of the free block from which it must be split because of
    /// its alignment.
    #[inline(always)]
    fn orders(&self, layout: Layout) -> Option<(usize, usize)> {
        // One comparison rejects both a size of zero and one that is too large.
        if layout.size().wrapping_sub(1) >= self.largest || layout.align() > self.largest {
            return None;
        }
        let order = self.scale.order(layout.size());
        let aligned = layout.align() <= self.scale.size(order);
        Some((order, if aligned { order } else { self.scale.order(layout.align()) }))
    }

    /// Makes every piece of a chunk without free blocks a free block.
    fn free_all(free: &mut Lists, footer: &mut Footer, scale: Scale) {
        for (block, order) in footer.pieces(scale) {
            // SAFETY: the pieces tile the chunk, in which nothing is live or on a list.
            unsafe { coalesce(free, footer, scale, order, block) };
        }
    }

    /// Removes a chunk in which nothing is live and no link was overwritten. O(chunks).
    fn remove_empty(&mut self) -> Option<Chunk> {
        let is_linked =
            |(block, order)| self.free.is_linked(order, block, |other| self.is_block(order, other));
        let can_go =
            |footer: &&Footer| footer.free == footer.room() && footer.pieces(self.scale).all(is_linked);
        let empty = self.chunks.iter().find(can_go)?.start;
        self.remove_free(empty)
    }

    /// Removes a chunk in which nothing is live.
    fn remove_free(&mut self, start: usize) -> Option<Chunk> {
        let footer = self.chunks.remove(start)?;
        for (block, order) in footer.pieces(self.scale) {
            // SAFETY: everything is free and joined, so these are the free blocks of the chunk.
            unsafe { self.free.remove(order, block) };
        }
        footer.chunk()
    }

    /// Removes any chunk. If something in it is live, all free blocks are forgotten until the next reset, so that no
    /// list leads into it.
    fn remove_any(&mut self) -> Option<Chunk> {
        let (scale, top) = (self.scale, self.chunks.top()?);
        let start = top.start;
        if !self.free.is_empty() && top.free == top.room() {
            return self.remove_free(start);
        }
        if !self.free.is_empty() {
            self.free = Lists::EMPTY;
            self.chunks.for_each(|footer| footer.clear(scale));
        }
        self.chunks.remove(start)?.chunk()
    }
}

/// Frees a block of a chunk and joins it with its buddies.
///
/// # Safety
///
/// The block is of this order, belongs to the pool, and is on no list.
#[inline(always)]
unsafe fn coalesce(free: &mut Lists, footer: &mut Footer, scale: Scale, mut order: usize, mut block: usize) {
    footer.free += scale.size(order);
    while order < TOP {
        let size = scale.size(order);
        let right = block | size;
        // If one half is free now, none was before: the buddy is live, or is split.
        if right >= footer.end || footer.flip(right, scale) {
            break;
        }
        // SAFETY: one half, the buddy, was free before, so it is on the list of this order.
        unsafe { free.remove(order, block ^ size) };
        block &= !size;
        order += 1;
    }
    // SAFETY: the caller no longer uses the block, and its buddies were just removed from their lists.
    unsafe { free.push(order, block) };
}

/// Halves a block, which is neither on a list nor free according to its pair's bit, until it is of the order `to`. The
/// right halves become free.
#[inline(always)]
fn split(free: &mut Lists, footer: &mut Footer, scale: Scale, block: usize, from: usize, to: usize) {
    for order in (to..from).rev() {
        let right = block | scale.size(order);
        footer.flip(right, scale);
        // SAFETY: the right half is part of the block and is not handed out.
        unsafe { free.push(order, right) };
    }
}

impl Default for Buddy {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: blocks are pieces of a chunk or halves of free blocks, so they are aligned to their size, and a block is
// removed from its list before it is handed out or split. Nothing here unwinds or calls user code.
unsafe impl RawPool for Buddy {
    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let (order, aligned) = self.orders(layout)?;
        let found = self.free.lowest_from(aligned)?;
        let block = self.free.pop(found);
        let (footer, size) = (self.chunks.find(block)?, self.scale.size(order));
        let right = block | self.scale.size(found);
        if found < TOP && right < footer.end {
            footer.flip(right, self.scale);
        }
        footer.free -= size;
        split(&mut self.free, footer, self.scale, block, found, order);
        // SAFETY: the block lies in a chunk that was added, and thus exposed, and is not at address zero.
        Some(unsafe { address::block(block, size) })
    }

    #[inline]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let (block, order) = (block.addr().get(), self.scale.order(layout.size()));
        let footer = self.chunks.find(block);
        debug_assert!(footer.is_some(), "freed a block of another pool");
        debug_assert!(block.is_multiple_of(self.scale.size(order)), "freed with too large a size");
        if let Some(footer) = footer {
            // SAFETY: the caller no longer uses the block, and its layout determines its order.
            unsafe { coalesce(&mut self.free, footer, self.scale, order, block) };
        }
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        let (_, aligned) = self.orders(layout)?;
        let blocks = self.scale.size(aligned);
        let bytes = blocks.checked_add(Footer::overhead(blocks, self.scale))?;
        let least = Layout::from_size_align(bytes, blocks).ok()?;
        let preferred = self.next_chunk.max(bytes);
        Some(ChunkRequest { least, preferred, enough: preferred })
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        let fits = |least: Layout| chunk.size() >= least.size() && chunk.layout().align() >= least.align();
        if !self.chunk_request(layout).is_some_and(|request| fits(request.least)) {
            return Err(chunk);
        }
        // SAFETY: the caller guarantees that the chunk belongs to this pool alone.
        let Some(footer) = (unsafe { Footer::write(&chunk, self.scale) }) else {
            return Err(chunk);
        };
        // SAFETY: the footer was just written, and the chunk belongs to this pool alone.
        if let Some(footer) = unsafe { self.chunks.insert(footer) } {
            Self::free_all(&mut self.free, footer, self.scale);
        }
        self.next_chunk = self.next_chunk.max(chunk.size().saturating_mul(2).min(LARGEST_CHUNK));
        Ok(())
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        match which {
            Release::Empty => self.remove_empty(),
            Release::Any => self.remove_any(),
        }
    }

    fn reset(&mut self) {
        self.free = Lists::EMPTY;
        let (free, scale) = (&mut self.free, self.scale);
        self.chunks.for_each(|footer| {
            footer.clear(scale);
            Self::free_all(free, footer, scale);
        });
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        let (start, scale) = (block.addr().get(), self.scale);
        let (from, (to, _)) = (scale.order(old.size()), self.orders(new)?);
        if !start.is_multiple_of(new.align()) {
            return None;
        }
        if from != to {
            let footer = self.chunks.find(start)?;
            let right_is_free = |order| {
                let right = start | scale.size(order);
                start != right && right < footer.end && footer.one_is_free(right, scale)
            };
            if !(from..to).all(right_is_free) {
                return None;
            }
            for order in from..to {
                let right = start | scale.size(order);
                footer.flip(right, scale);
                // SAFETY: the left half is live, or part of a live block, so the free half is the right one.
                unsafe { self.free.remove(order, right) };
            }
            split(&mut self.free, footer, scale, start, from, to);
            footer.free = footer.free + scale.size(from) - scale.size(to);
        }
        Some(NonNull::slice_from_raw_parts(block, scale.size(to)))
    }
}

impl PoolHooks for Buddy {
    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        match block {
            Some(block) => self.damage_around(block.addr().get(), layout),
            None => self.damage_ahead(layout),
        }
    }
}
