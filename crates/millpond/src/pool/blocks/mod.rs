//! Blocks of one size: the heart of the crate.
//!
//! Chunks are cut into blocks from the front as they are needed; freed blocks go to a [`Strategy`], which hands them out
//! again first. A block carries no header, and a free one lends its first word to the strategy.
//!
//! * Allocate and free: O(1). With [`Lifo`] one dependent load and a few stores.
//! * Worst case of one call, without the parent: [`Lifo`] threads 2 KiB of fresh blocks (one block, if they are larger) onto
//!   its list; [`Magazine`] moves half its places to or from the store; [`Compact`] does so too, each spilled block setting a
//!   bit and each refill looking through the summary of a region (a bit per 64 blocks), once more per drained region.
//!   Freeing with [`Lifo`] is always the same two stores. A call that grows has the parent's time besides.
//! * Growth: O(1) plus what the parent takes; a fresh chunk is not threaded onto a list, so pages that nobody used
//!   stay untouched.
//! * Reset: O(1). Trim: O(free blocks · log chunks), once to count by chunk and once more to filter if some but not all are
//!   in chunks that go; with [`Compact`] O(chunks + blocks / 64).
//! * Waste: what remains at the end of a chunk, less than a block; and a header of [`size_of`] four words at most, rounded
//!   up to the alignment, in every chunk but the first.
//!
//! Nothing is counted on the hot path: live blocks are what was cut less what is free.

mod config;
mod fresh;
mod front;
mod housed;
mod lifo;
mod marked;
mod regions;
mod strategy;
mod unrolled;

use core::{alloc::Layout, ptr::NonNull};

pub use config::{AnySize, Config, Fixed, For, KnownShape, Shape};
pub use lifo::Lifo;
pub use marked::Marked;
pub use regions::Compact;
pub use strategy::Strategy;
pub use unrolled::Magazine;

use self::fresh::Fresh;
pub(super) use self::{housed::Housed, strategy::Sealed};
use crate::{
    base::{AllocError, address::recover},
    contract::{
        Canvas, Cause, Chunk, ChunkRequest, Complaint, Flaw, Inspect, Live, RawPool, Reporter, Reserve,
        Snapshot, Surrender,
    },
};

/// A pool of blocks of one size.
///
/// Serves every layout whose size and alignment do not exceed its blocks'. What can be chosen is chosen by the type `C`:
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
/// # Invariants
///
/// * Every free block lies in the cut part of a chunk, a whole number of blocks from its start.
/// * No block is free twice, and none is both free and live.
pub struct Blocks<C: Config = AnySize> {
    /// The hot half: all that allocating and freeing touch.
    strategy: C::Strategy,
    shape: C::Shape,
    /// The cold half, touched when no block is free.
    fresh: Fresh,
}

impl<C: Config<Shape: KnownShape>> Blocks<C> {
    /// A pool without chunks, for blocks whose shape is in the type.
    #[must_use]
    pub const fn new() -> Self {
        let fresh = Fresh::new(C::Shape::SIZE, C::Shape::ALIGN, C::Strategy::REGION, C::Strategy::MARKS);
        Self { strategy: C::Strategy::EMPTY, shape: C::Shape::SHAPE, fresh }
    }
}

impl<C: Config<Shape: KnownShape>> Default for Blocks<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl Blocks {
    /// A pool without chunks, for blocks that can hold `layout`.
    #[must_use]
    pub const fn of(layout: Layout) -> Self {
        Self::shaped(layout)
    }
}

impl<C: Config<Shape = AnySize>> Blocks<C> {
    /// A pool without chunks, for blocks that can hold `layout`, of any configuration that leaves it to run time.
    #[must_use]
    pub const fn shaped(layout: Layout) -> Self {
        let shape = AnySize::new(layout);
        let fresh = Fresh::new(shape.bytes(), shape.alignment(), C::Strategy::REGION, C::Strategy::MARKS);
        Self { strategy: C::Strategy::EMPTY, shape, fresh }
    }
}

/// How a pool grows. Left alone, its first chunk is a page, or room for a few blocks where the parent is
/// [fine-grained](crate::Allocator::is_fine_grained), as the heap is; and each next one is twice as large, up to 64 MiB.
impl<C: Config> Blocks<C> {
    /// Lets the first chunk have room for exactly `blocks` blocks (as many as fit a region, with
    /// [`Compact`]); the next ones double. For a pool without chunks.
    ///
    /// ```
    /// use millpond::{Blocks, Fixed, Inspect, Local, Pages, StaticBuffer};
    ///
    /// // Exactly a hundred blocks, in exactly their bytes.
    /// static MEMORY: StaticBuffer<6400> = StaticBuffer::new();
    /// let pool = Local::new_in(Blocks::<Fixed<64>>::new().with_capacity(100), &MEMORY);
    /// pool.reserve(core::alloc::Layout::new::<[u8; 64]>(), 100)?;
    /// assert_eq!(pool.stats().free, 6400);
    /// # Ok::<(), millpond::AllocError>(())
    /// ```
    #[must_use]
    pub const fn with_capacity(mut self, blocks: usize) -> Self {
        self.fresh.begin_with(blocks);
        self
    }

    /// Lets every chunk have room for exactly `blocks` blocks, however much the parent gives (at least one; as many as
    /// fit a region, with [`Compact`]).
    #[must_use]
    pub const fn with_blocks_per_chunk(mut self, blocks: usize) -> Self {
        self.fresh.grow_by(blocks);
        self
    }

    /// The size and alignment of every block.
    #[must_use]
    pub fn block_layout(&self) -> Layout {
        self.shape.layout()
    }

    pub(super) const fn shape(&self) -> C::Shape {
        self.shape
    }

    /// Takes a block that was freed, or that waits to be handed out, if that takes no call.
    #[inline(always)]
    pub(super) fn take_freed(&mut self) -> Option<NonNull<[u8]>> {
        let block = self.strategy.take_hot(&self.fresh, self.shape.size())?;
        Some(NonNull::slice_from_raw_parts(block, self.shape.size()))
    }

    /// Whether each block has a bit that says whether it is live.
    pub(super) const MARKS: bool = C::Strategy::MARKS;

    #[inline(always)]
    fn fits(&self, layout: Layout) -> bool {
        self.shape.fits(layout)
    }
}

impl<S: Shape, const PLACES: usize, const REGION: usize> Live for Blocks<(S, Compact<PLACES, REGION>)> {
    /// The live blocks, region by region, with ascending addresses in each. O(blocks) in all.
    ///
    /// The strategy's bits say which are live, once the array in front has been put back: hence `&mut self`.
    ///
    /// ```
    /// use core::alloc::Layout;
    /// use millpond::{Allocator, Blocks, Compact, Fixed, Local};
    ///
    /// let mut pool = Local::new(Blocks::<(Fixed<64>, Compact)>::new());
    /// let layout = Layout::new::<[u64; 8]>();
    /// let blocks = [pool.allocate(layout)?, pool.allocate(layout)?, pool.allocate(layout)?];
    /// // SAFETY: the block is live, and this pool handed it out for this layout.
    /// unsafe { pool.deallocate(blocks[1].cast(), layout) };
    /// assert!(pool.live().eq([blocks[0], blocks[2]]));
    /// # Ok::<(), millpond::AllocError>(())
    /// ```
    fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>> {
        let size = self.shape.size();
        self.strategy.flush(size);
        let blocks = self.fresh.cut().flat_map(move |cut| Compact::<PLACES, REGION>::live(cut, size));
        blocks.filter_map(move |block| whole(block, size))
    }
}

impl<S: Shape, T: Strategy> Live for Blocks<(S, Marked<T>)> {
    /// The live blocks, chunk by chunk, with ascending addresses in each. O(blocks / bits of a word) and a step for each.
    fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>> {
        let size = self.shape.size();
        self.fresh.marked().filter_map(move |block| whole(block, size))
    }
}

/// The block at an address that is not null.
fn whole(block: usize, size: usize) -> Option<NonNull<[u8]>> {
    Some(NonNull::slice_from_raw_parts(NonNull::new(recover(block))?, size))
}

// SAFETY: blocks are cut from adopted chunks, each at a multiple of the block size from a start that is aligned as
// blocks are, so none overlap; a block is handed out only when it was never cut before or is on the free list. Nothing
// here unwinds.
unsafe impl<C: Config> RawPool for Blocks<C> {
    #[inline(always)]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if !self.fits(layout) {
            return None;
        }
        let block = self.strategy.take(&mut self.fresh, self.shape.size())?;
        Some(NonNull::slice_from_raw_parts(block, self.shape.size()))
    }

    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if self.fits(layout) { self.take_freed() } else { None }
    }

    #[inline(always)]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        if Self::MARKS {
            if self.end_life(block, layout) {
                // SAFETY: the block was live, and the caller gives it up.
                unsafe { self.strategy.put(block, self.shape.size()) };
            }
            return;
        }
        debug_assert!(self.fits(layout), "freed with a layout that this pool never served");
        debug_assert!(self.owns(block.as_ptr()), "freed a block of another pool");
        // SAFETY: the caller gives the block up.
        unsafe { self.strategy.put(block, self.shape.size()) };
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        let size = self.shape.size();
        !Self::MARKS || self.fits(layout) && self.strategy.is_live(&self.fresh, block.addr().get(), size)
    }

    fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        if block.is_some() || !self.fits(layout) {
            return None;
        }
        self.strategy.damage(&self.fresh, self.shape.size())
    }

    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        if Self::MARKS {
            let size = self.shape.size();
            let was_live = self.fits(layout) && self.strategy.unmark(&self.fresh, block.addr().get(), size);
            if was_live {
                // SAFETY: the block was live, and the caller gives it up.
                unsafe { self.strategy.put(block, size) };
            }
            return was_live;
        }
        let ours = layout.size() != 0;
        if ours {
            // SAFETY: the caller's promises are passed on.
            unsafe { self.deallocate(block, layout) };
        }
        ours
    }

    fn wants(&self, layout: Layout) -> Option<ChunkRequest> {
        if self.fits(layout) { self.fresh.request() } else { None }
    }

    unsafe fn adopt(&mut self, chunk: Chunk, _: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.fresh.chunks.adopt(chunk, self.shape.size()) }
    }

    /// O(free blocks · log chunks); with [`Compact`] a look at each bit. In a pool of more than 128 chunks the free blocks are
    /// divided by chunk, which writes to each of them log chunks times.
    fn settle(&mut self) {
        self.strategy.settle(&mut self.fresh, self.shape.size());
    }

    fn surrender(&mut self, which: Surrender) -> Option<Chunk> {
        match which {
            Surrender::Spare => self.fresh.chunks.take_ahead(),
            Surrender::Any => {
                self.strategy.clear();
                self.fresh.remove_any()
            }
        }
    }

    fn reset(&mut self) {
        self.strategy.clear();
        self.fresh.reset();
    }

    fn retire(&mut self) {
        if Self::MARKS
            && let Some(first) = self.fresh.marked().next()
        {
            let blocks = self.fresh.marked().count();
            let cause = Cause::Leak { blocks, bytes: blocks * self.shape.size() };
            self.strategy.complain(first, self.block_layout(), cause);
        }
    }

    fn complaint(&mut self) -> Option<Complaint> {
        self.strategy.complaint()
    }

    #[inline]
    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        if Self::MARKS {
            if !self.end_life(block, old) {
                return None;
            }
            self.strategy.mark(&self.fresh, block.addr().get(), self.shape.size());
        }
        self.fits(new).then(|| NonNull::slice_from_raw_parts(block, self.shape.size()))
    }
}

impl<C: Config> Blocks<C> {
    /// All figures, given how many bytes of those that were cut are live.
    fn stats_with(&self, live: impl FnOnce(usize) -> usize) -> Snapshot {
        let cut: usize = self.fresh.cut().map(|span| span.end - span.start).sum();
        let (live, chunks) = (live(cut), &self.fresh.chunks);
        let free = cut.saturating_sub(live) + self.fresh.left();
        Snapshot { chunks: chunks.count(), held: chunks.held(), live, free }
    }

    /// The blocks of a chain that lies in blocks of this pool, as far as it is whole: each begins with the address of the next
    /// one, which is tested before it is followed.
    pub(crate) fn follow(&self, first: usize) -> impl Iterator<Item = usize> {
        self.fresh.walk(first)
    }

    /// Whether such a chain is whole to its end, and leads to no block twice.
    pub(crate) fn can_follow(&self, first: usize) -> bool {
        self.fresh.walk(first).reaches_its_end()
    }

    /// Marks a block as free, or complains that it was not live; says which.
    fn end_life(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        let (address, size) = (block.addr().get(), self.shape.size());
        let was_live = self.strategy.unmark(&self.fresh, address, size);
        if was_live && self.fits(layout) {
            return true;
        }
        let cause = if was_live {
            self.strategy.mark(&self.fresh, address, size);
            Cause::WrongLayout { expected: self.block_layout() }
        } else {
            self.strategy.diagnose(&self.fresh, address, size)
        };
        self.strategy.complain(address, layout, cause);
        false
    }
}

impl<S: Shape, T: Strategy> Blocks<(S, Marked<T>)> {
    /// Says what the pool is called, and who hears of misuse.
    #[must_use]
    pub const fn reporting(mut self, reporter: Reporter) -> Self {
        self.strategy.reporter = reporter;
        self
    }
}

impl<C: Config> Reserve for Blocks<C> {
    fn lacks(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        let size = self.shape.size();
        if !self.fits(layout) {
            return Err(AllocError::Unsupported);
        }
        if count > isize::MAX.cast_unsigned() / size {
            return Err(AllocError::Exhausted);
        }
        let left = self.fresh.left() / size;
        let missing = match count.saturating_sub(left) {
            0 => 0,
            missing => missing - self.strategy.count_free(&self.fresh, size, missing),
        };
        match missing {
            0 => Ok(None),
            missing => self.fresh.request_for(missing).ok_or(AllocError::Exhausted).map(Some),
        }
    }
}

impl<C: Config> Inspect for Blocks<C> {
    /// O(chunks) with [`Magazine`]; with [`Compact`], and a look at each 64 blocks; with [`Lifo`], O(chunks + free blocks).
    fn stats(&self) -> Snapshot {
        let size = self.shape.size();
        self.stats_with(|cut| {
            cut.saturating_sub(self.strategy.count_free(&self.fresh, size, usize::MAX) * size)
        })
    }

    /// O(chunks), unless blocks are marked: then the pool prevents what a guard around it has counted.
    fn stats_knowing(&self, live_blocks: usize) -> Snapshot {
        if Self::MARKS { self.stats() } else { self.stats_with(|_| live_blocks * self.shape.size()) }
    }

    fn largest_free(&self) -> Option<usize> {
        let size = self.shape.size();
        let any = self.fresh.left() != 0 || self.strategy.free(&self.fresh, size).next().is_some();
        Some(if any { size } else { 0 })
    }

    fn paint(&self, canvas: &mut Canvas<'_>) {
        self.fresh.paint(canvas);
        if canvas.has_room() {
            let size = self.shape.size();
            self.strategy.free(&self.fresh, size).for_each(|block| canvas.free(block..block + size));
        }
    }

    fn owns(&self, address: *const u8) -> bool {
        self.fresh.chunks.own(address.addr())
    }

    /// O(free blocks · log chunks). Among other things checks that no block is free twice: a list with a cycle is longer than
    /// there are blocks.
    fn check(&self) -> Result<(), Flaw> {
        let size = self.shape.size();
        self.fresh.check()?;
        self.strategy.check(&self.fresh, size)?;
        let cut = self.fresh.blocks();
        let free = self.strategy.free(&self.fresh, size).take(cut.count() + 1).count();
        if free > cut.count() {
            return Err(Flaw("more blocks are free than were cut: one is free twice"));
        }
        if Self::MARKS && self.fresh.marked().count() != cut.count() - free {
            return Err(Flaw("more or fewer blocks are marked as live than are"));
        }
        if self.strategy.free(&self.fresh, size).all(|block| cut.has(block)) {
            Ok(())
        } else {
            Err(Flaw("a free block is none that was cut"))
        }
    }
}
