//! Blocks of one size: the central pool of the crate.
//!
//! Chunks are carved into blocks from the front as needed; freed blocks go to a [`FreeList`], which is used before new
//! blocks are carved. A block has no header, and the first word of a free block is used by the free list.
//!
//! * Allocate and free: O(1). With [`Lifo`], one dependent load and a few stores.
//! * Worst case of one call, without the parent: [`Lifo`] adds 2 KiB of uncarved blocks (one block, if blocks are
//!   larger) to its list; [`Magazine`] moves half its places to or from the backing. [`AddressOrdered`] does the same;
//!   each spilled block sets a bit, and each refill scans the summary of a region (a bit per 64 blocks), once more per
//!   drained region. Freeing with [`Lifo`] always takes the same two stores. A call that grows also takes the parent's
//!   time.
//! * Growth: O(1), in addition to the time of the parent. The blocks of a new chunk are not added to a list, so unused
//!   pages are never accessed.
//! * Reset: O(1). Trim: O(free blocks · log chunks), once to count by chunk and once more to filter if some but not all
//!   are in chunks that are released; with [`AddressOrdered`] O(chunks + blocks / 64).
//! * Waste: the end of each chunk, less than a block; and in every chunk except the first a header of at most four
//!   words, rounded up to the alignment.
//!
//! Nothing is counted on the hot path: the number of live blocks is that of carved blocks minus that of free blocks.

mod config;
mod free_cache;
mod free_list;
mod hardened;
mod in_chunk;
mod lifo;
mod region_header;
mod regions;
mod uncarved;
mod unrolled;
mod validated;

use core::{alloc::Layout, ptr::NonNull};

pub use config::{BlockLayout, Config, ConstBlockLayout, DynSize, Fixed, For};
pub use free_list::FreeList;
pub use hardened::{Full, Hardened, Hardening, Light};
pub use lifo::Lifo;
pub use regions::AddressOrdered;
pub use unrolled::Magazine;
pub use validated::Validated;

use self::uncarved::Uncarved;
pub(super) use self::{free_list::Sealed, in_chunk::InChunkPool};
use crate::{
    base::{AllocError, address::recover},
    traits::{
        Chunk, ChunkRequest, HeapMapBuilder, Inspect, InvariantError, Live, MisuseKind, PendingReport,
        PoolHooks, PoolStats, RawPool, Release, Reporter, Reserve,
    },
};

/// A pool of blocks of one size.
///
/// It serves every layout whose size and alignment do not exceed those of its blocks. The type `C` configures the pool:
/// see [`Config`].
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Blocks, Fixed, For, Owned};
///
/// let mut by_size = Owned::new(Blocks::<Fixed<64>>::new());
/// let mut by_type = Owned::new(Blocks::<For<[u32; 3]>>::new());
/// let mut at_run_time = Owned::new(Blocks::of(Layout::from_size_align(48, 16)?));
///
/// let block = by_size.allocate(Layout::new::<[u8; 50]>())?;
/// assert_eq!(block.len(), 64);
/// assert!(by_type.allocate(Layout::new::<[u8; 50]>()).is_err());
/// # let _ = at_run_time.allocate(Layout::new::<u64>())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Blocks are carved from the front of a chunk, and with [`Lifo`] each free block begins with the address of the next:
///
/// ```text
///  free_list ─────────────────┐
///                             ▼
///  ┌────────┬──────┬──────┬──────┬──────┬──────┬───────────────────┐
///  │ chunk  │  A   │  B   │  C   │  D   │  E   │                   │
///  │ header │ live │ live │ → E  │ live │ → 0  │  not carved yet   │
///  └────────┴──────┴──────┴──────┴──────┴──────┴───────────────────┘
///                           free          free ▲                   ▲
///                                              └─ uncarved.remainder
/// ```
///
/// # Invariants
///
/// * Every free block lies in the carved part of a chunk, a whole number of blocks from its start.
/// * No block is free twice, and none is both free and live.
pub struct Blocks<C: Config = DynSize> {
    /// The hot half: all that allocating and freeing access.
    free_list: C::FreeList,
    block_layout: C::BlockLayout,
    /// The cold half, accessed when no block is free.
    uncarved: Uncarved,
}

impl<C: Config<BlockLayout: ConstBlockLayout>> Blocks<C> {
    /// Creates a pool without chunks, for blocks whose layout is part of the type.
    #[must_use]
    pub const fn new() -> Self {
        let uncarved = Uncarved::new(
            C::BlockLayout::SIZE,
            C::BlockLayout::ALIGN,
            C::FreeList::REGION,
            C::FreeList::MARKS_IN_CHUNK,
            C::FreeList::FIRST_CHUNK,
        );
        Self { free_list: C::FreeList::EMPTY, block_layout: C::BlockLayout::INSTANCE, uncarved }
    }
}

impl<C: Config<BlockLayout: ConstBlockLayout>> Default for Blocks<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl Blocks {
    /// Creates a pool without chunks, for blocks that can hold `layout`.
    #[must_use]
    pub const fn of(layout: Layout) -> Self {
        Self::with_layout(layout)
    }
}

impl<C: Config<BlockLayout = DynSize>> Blocks<C> {
    /// Creates a pool without chunks, for blocks that can hold `layout`, with any configuration that sets the layout at
    /// run time.
    #[must_use]
    pub const fn with_layout(layout: Layout) -> Self {
        let block_layout = DynSize::new(layout);
        let uncarved = Uncarved::new(
            block_layout.bytes(),
            block_layout.alignment(),
            C::FreeList::REGION,
            C::FreeList::MARKS_IN_CHUNK,
            C::FreeList::FIRST_CHUNK,
        );
        Self { free_list: C::FreeList::EMPTY, block_layout, uncarved }
    }
}

/// Growth. By default the first chunk is a page, or room for a few blocks if the parent is
/// [fine-grained](crate::Allocator::is_fine_grained), as the heap is. Each later chunk is twice as large, up to 64 MiB.
impl<C: Config> Blocks<C> {
    /// Sets the capacity of the first chunk to `blocks` blocks (with [`AddressOrdered`], at most as many as fit a
    /// region); later chunks double. For a pool without chunks.
    ///
    /// ```
    /// use millpond::{Blocks, Fixed, Inspect, Local, Pages, StaticBuffer};
    ///
    /// // Room for exactly 100 blocks.
    /// static MEMORY: StaticBuffer<6400> = StaticBuffer::new();
    /// let pool = Local::new_in(Blocks::<Fixed<64>>::new().with_capacity(100), &MEMORY);
    /// pool.reserve(core::alloc::Layout::new::<[u8; 64]>(), 100)?;
    /// assert_eq!(pool.stats().free, 6400);
    /// # Ok::<(), millpond::AllocError>(())
    /// ```
    #[must_use]
    pub const fn with_capacity(mut self, blocks: usize) -> Self {
        self.uncarved.begin_with(blocks);
        self
    }

    /// Sets the capacity of every chunk to exactly `blocks` blocks, even if the parent returns more memory (at least
    /// one block; with [`AddressOrdered`], at most as many as fit a region).
    #[must_use]
    pub const fn with_blocks_per_chunk(mut self, blocks: usize) -> Self {
        self.uncarved.grow_by(blocks);
        self
    }

    /// Returns the size and alignment of every block.
    #[must_use]
    pub fn block_layout(&self) -> Layout {
        self.block_layout.layout()
    }

    pub(super) const fn typed_layout(&self) -> C::BlockLayout {
        self.block_layout
    }

    /// Takes a free block if that needs no function call.
    #[inline(always)]
    pub(super) fn take_freed(&mut self) -> Option<NonNull<[u8]>> {
        let block = self.free_list.take_hot(&self.uncarved, self.block_layout.size())?;
        Some(NonNull::slice_from_raw_parts(block, self.block_layout.size()))
    }

    /// Whether each block has a bit that records whether it is live.
    pub(super) const VALIDATES: bool = C::FreeList::VALIDATES;

    /// Whether blocks that are live when the pool is dropped are reported.
    pub(super) const REPORTS_LEAKS: bool = C::FreeList::REPORTS_LEAKS;

    /// Whether freed blocks may wait in caches, unknown to the pool.
    pub(super) const IS_CACHEABLE: bool = C::FreeList::IS_CACHEABLE;

    #[inline(always)]
    fn fits(&self, layout: Layout) -> bool {
        self.block_layout.fits(layout)
    }
}

impl<S: BlockLayout, const PLACES: usize, const REGION: usize> Live
    for Blocks<(S, AddressOrdered<PLACES, REGION>)>
{
    /// Returns the live blocks, region by region, with ascending addresses in each. O(blocks) in total.
    ///
    /// The bits of the free list record which blocks are live once the array in front has been written back, which
    /// requires `&mut self`.
    ///
    /// ```
    /// use core::alloc::Layout;
    /// use millpond::{Allocator, Blocks, Fixed, Local, pool::AddressOrdered};
    ///
    /// let mut pool = Local::new(Blocks::<(Fixed<64>, AddressOrdered)>::new());
    /// let layout = Layout::new::<[u64; 8]>();
    /// let blocks = [pool.allocate(layout)?, pool.allocate(layout)?, pool.allocate(layout)?];
    /// // SAFETY: the block is live, and this pool handed it out for this layout.
    /// unsafe { pool.deallocate(blocks[1].cast(), layout) };
    /// assert!(pool.live().eq([blocks[0], blocks[2]]));
    /// # Ok::<(), millpond::AllocError>(())
    /// ```
    fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>> {
        let size = self.block_layout.size();
        self.free_list.flush(size);
        let blocks = self
            .uncarved
            .carved()
            .flat_map(move |carved| AddressOrdered::<PLACES, REGION>::live(carved, size));
        blocks.filter_map(move |block| whole_block(block, size))
    }
}

impl<S: BlockLayout, T: FreeList> Live for Blocks<(S, Validated<T>)> {
    /// Returns the live blocks, chunk by chunk, with ascending addresses in each. O(blocks / bits of a word + live
    /// blocks).
    fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>> {
        let size = self.block_layout.size();
        self.free_list.live(&self.uncarved, size).filter_map(move |block| whole_block(block, size))
    }
}

impl<S: BlockLayout, M: Hardening> Live for Blocks<(S, Hardened<M>)> {
    /// Returns the live blocks, chunk by chunk, with ascending addresses in each. O(blocks).
    fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>> {
        let size = self.block_layout.size();
        self.free_list.live(&self.uncarved, size).filter_map(move |block| whole_block(block, size))
    }
}

/// Returns the block at an address that is not null.
fn whole_block(block: usize, size: usize) -> Option<NonNull<[u8]>> {
    Some(NonNull::slice_from_raw_parts(NonNull::new(recover(block))?, size))
}

// SAFETY: blocks are carved from chunks that were added, each at a multiple of the block size from a start that has the
// alignment of blocks, so none overlap. A block is handed out only if it was never carved before or is on the free
// list. Nothing here unwinds.
unsafe impl<C: Config> RawPool for Blocks<C> {
    #[inline(always)]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if !self.fits(layout) {
            return None;
        }
        let block = self.free_list.take(&mut self.uncarved, self.block_layout.size())?;
        Some(NonNull::slice_from_raw_parts(block, self.block_layout.size()))
    }

    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if self.fits(layout) { self.take_freed() } else { None }
    }

    #[inline(always)]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        if Self::VALIDATES {
            if self.end_life(block, layout) {
                // SAFETY: the block was live, and the caller no longer uses it.
                unsafe { self.free_list.put(block, self.block_layout.size()) };
            }
            return;
        }
        debug_assert!(self.fits(layout), "freed with a layout that this pool never served");
        debug_assert!(self.owns(block.as_ptr()), "freed a block of another pool");
        // SAFETY: the caller guarantees that the block is a live block of this pool that is no longer used.
        unsafe { self.free_list.put(block, self.block_layout.size()) };
    }

    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        if Self::VALIDATES {
            let size = self.block_layout.size();
            let was_live =
                self.fits(layout) && self.free_list.clear_live(&self.uncarved, block.addr().get(), size);
            if was_live {
                // SAFETY: the block was live, and the caller no longer uses it.
                unsafe { self.free_list.put(block, size) };
            }
            return was_live;
        }
        let ours = layout.size() != 0;
        if ours {
            // SAFETY: the caller upholds the contract of `deallocate_hot`, which includes that of `deallocate`.
            unsafe { self.deallocate(block, layout) };
        }
        ours
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        if !self.fits(layout) {
            return None;
        }
        let next = self.uncarved.request();
        self.free_list.request_beside(next, self.block_layout.size()).or(next)
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, _: Layout) -> Result<(), Chunk> {
        let size = self.block_layout.size();
        if self.free_list.request_beside(self.uncarved.request(), size).is_some() {
            // SAFETY: the caller upholds the contract of `add_chunk`: the chunk belongs to this pool alone.
            return unsafe { self.free_list.add_beside(chunk, size) };
        }
        let (start, layout) = (chunk.start().addr().get(), chunk.layout());
        // SAFETY: as above.
        unsafe { self.uncarved.chunks.add_chunk(chunk, size)? };
        if let Some(span) = self.uncarved.chunks.next_span() {
            self.free_list.note_chunk(start, layout, (span, size));
        }
        Ok(())
    }

    /// Makes empty chunks reusable. O(free blocks · log chunks); with [`AddressOrdered`], one look at each bit. In a
    /// pool of more than 128 chunks the free blocks are partitioned by chunk, which writes to each of them log chunks
    /// times.
    fn collect_empty(&mut self) {
        self.free_list.collect_empty(&mut self.uncarved, self.block_layout.size());
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        loop {
            let chunk = match which {
                Release::Empty => self.uncarved.chunks.take_reusable(),
                Release::Any => {
                    self.free_list.clear();
                    self.uncarved.remove_any()
                }
            };
            match chunk {
                Some(chunk) if !self.free_list.may_release(&chunk) => {}
                Some(chunk) => return Some(chunk),
                None => return self.free_list.release_beside(),
            }
        }
    }

    fn reset(&mut self) {
        self.free_list.clear();
        self.uncarved.reset();
    }

    #[inline]
    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        if Self::VALIDATES {
            if !self.end_life(block, old) {
                return None;
            }
            self.free_list.set_live(&self.uncarved, block.addr().get(), self.block_layout.size());
        }
        self.fits(new).then(|| NonNull::slice_from_raw_parts(block, self.block_layout.size()))
    }
}

impl<C: Config> PoolHooks for Blocks<C> {
    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        if block.is_some() || !self.fits(layout) {
            return None;
        }
        self.free_list.damage(&self.uncarved, self.block_layout.size())
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        let size = self.block_layout.size();
        !Self::VALIDATES
            || self.fits(layout) && self.free_list.is_live(&self.uncarved, block.addr().get(), size)
    }

    fn release_held(&mut self) -> bool {
        self.free_list.release_held(self.block_layout.size())
    }

    fn before_drop(&mut self) {
        if !C::FreeList::REPORTS_LEAKS {
            return;
        }
        let size = self.block_layout.size();
        let first = self.free_list.live(&self.uncarved, size).next();
        if let Some(first) = first {
            let blocks = self.free_list.live(&self.uncarved, size).count();
            let kind = MisuseKind::Leak { blocks, bytes: blocks * size };
            self.free_list.report_misuse(first, self.block_layout(), kind);
        }
    }

    fn pending_report(&mut self) -> Option<PendingReport> {
        self.free_list.pending_report()
    }
}

impl<C: Config> Blocks<C> {
    /// Returns the statistics; `live` converts the number of carved bytes to that of live bytes.
    fn stats_with(&self, live: impl FnOnce(usize) -> usize) -> PoolStats {
        let carved: usize = self.uncarved.carved().map(|span| span.end - span.start).sum();
        let (live, chunks, beside) = (live(carved), &self.uncarved.chunks, self.free_list.beside());
        let free = carved.saturating_sub(live) + self.uncarved.left();
        PoolStats { chunks: chunks.count() + beside.0, held: chunks.held() + beside.1, live, free }
    }

    /// Returns the blocks of a chain through blocks of this pool, as far as it is intact: each begins with the address
    /// of the next one, which is checked before it is followed.
    pub(crate) fn follow(&self, first: usize) -> impl Iterator<Item = usize> {
        self.uncarved.walk(first)
    }

    /// Returns whether such a chain is intact up to its end and visits no block twice.
    pub(crate) fn can_follow(&self, first: usize) -> bool {
        self.uncarved.walk(first).reaches_its_end()
    }

    /// Marks a block as free, or reports a misuse if it is not live or `layout` does not fit it; returns whether it was
    /// marked.
    fn end_life(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        let (address, size) = (block.addr().get(), self.block_layout.size());
        let was_live = self.free_list.clear_live(&self.uncarved, address, size);
        if was_live && self.fits(layout) {
            return true;
        }
        let kind = if was_live {
            self.free_list.set_live(&self.uncarved, address, size);
            MisuseKind::WrongLayout { expected: self.block_layout() }
        } else {
            self.free_list.diagnose(&self.uncarved, address, size)
        };
        self.free_list.report_misuse(address, layout, kind);
        false
    }
}

impl<S: BlockLayout, T: FreeList> Blocks<(S, Validated<T>)> {
    /// Sets the reporter, which has the name of the pool and receives misuse reports.
    #[must_use]
    pub const fn reporting(mut self, reporter: Reporter) -> Self {
        self.free_list.reporter = reporter;
        self
    }
}

impl<S: BlockLayout, M: Hardening> Blocks<(S, Hardened<M>)> {
    /// Sets the reporter, which has the name of the pool and receives misuse reports.
    #[must_use]
    pub const fn reporting(mut self, reporter: Reporter) -> Self {
        self.free_list.reporter = reporter;
        self
    }

    /// Keeps the report that a block was freed with a layout that is not the one of its blocks.
    pub(super) fn report_wrong_layout(&mut self, block: NonNull<u8>, layout: Layout, expected: Layout) {
        self.free_list.report_misuse(block.addr().get(), layout, MisuseKind::WrongLayout { expected });
    }

    /// Sets the seed of the random numbers, for programs without the feature `std`, where there is no source of random
    /// bytes. For a pool without chunks.
    #[must_use]
    pub const fn with_seed(mut self, seed: [u32; 8]) -> Self {
        self.free_list.seed = Some(seed);
        self
    }
}

impl<C: Config> Reserve for Blocks<C> {
    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        let size = self.block_layout.size();
        if !self.fits(layout) {
            return Err(AllocError::Unsupported);
        }
        if count > isize::MAX.cast_unsigned() / size {
            return Err(AllocError::Exhausted);
        }
        let left = self.uncarved.left() / size;
        if let Some(request) = self.free_list.request_beside(None, size) {
            return Ok(Some(request));
        }
        let missing = match count.saturating_sub(left) {
            0 => 0,
            missing => missing - self.free_list.count_free(&self.uncarved, size, missing),
        };
        match missing {
            0 => Ok(None),
            missing => {
                let next = self.uncarved.request_for(missing).ok_or(AllocError::Exhausted)?;
                Ok(self.free_list.request_beside(Some(next), size).or(Some(next)))
            }
        }
    }
}

impl<C: Config> Inspect for Blocks<C> {
    /// Returns the statistics. O(chunks) with [`Magazine`]; with [`AddressOrdered`], additionally one look per 64
    /// blocks; with [`Lifo`], O(chunks + free blocks).
    fn stats(&self) -> PoolStats {
        let size = self.block_layout.size();
        self.stats_with(|carved| {
            carved.saturating_sub(self.free_list.count_free(&self.uncarved, size, usize::MAX) * size)
        })
    }

    /// Returns the statistics of a pool with `live_blocks` live blocks. O(chunks), unless the pool validates blocks: it
    /// prevents frees that a guard around it has counted, so its own count is used.
    fn stats_with_live(&self, live_blocks: usize) -> PoolStats {
        if Self::VALIDATES {
            self.stats()
        } else {
            self.stats_with(|_| live_blocks * self.block_layout.size())
        }
    }

    fn largest_free(&self) -> Option<usize> {
        let size = self.block_layout.size();
        let any = self.uncarved.left() != 0 || self.free_list.free(&self.uncarved, size).next().is_some();
        Some(if any { size } else { 0 })
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.uncarved.render(builder);
        if builder.has_room() {
            let size = self.block_layout.size();
            self.free_list.free(&self.uncarved, size).for_each(|block| builder.free(block..block + size));
        }
    }

    fn owns(&self, address: *const u8) -> bool {
        self.uncarved.chunks.owns(address.addr())
    }

    /// Checks the invariants. O(free blocks · log chunks). Among other things it checks that no block is free twice: a
    /// list with a cycle is longer than the number of blocks.
    fn check(&self) -> Result<(), InvariantError> {
        let size = self.block_layout.size();
        self.uncarved.check()?;
        self.free_list.check(&self.uncarved, size)?;
        let carved = self.uncarved.blocks();
        let free = self.free_list.free(&self.uncarved, size).take(carved.count() + 1).count();
        if free > carved.count() {
            return Err(InvariantError("more blocks are free than were carved: one was freed twice"));
        }
        if Self::VALIDATES && self.free_list.live(&self.uncarved, size).count() != carved.count() - free {
            return Err(InvariantError("the number of blocks marked as live is wrong"));
        }
        if self.free_list.free(&self.uncarved, size).all(|block| carved.has(block)) {
            Ok(())
        } else {
            Err(InvariantError("a free block is none that was carved"))
        }
    }
}
