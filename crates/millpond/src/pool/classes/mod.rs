//! Blocks of several sizes: a pool of [`Blocks`] per size class.
//!
//! A request is served by the first class whose blocks are large and aligned enough. A request that is larger than the
//! largest class, or aligned beyond a cache line, is passed through to the parent. By default there are four classes
//! per doubling, so that at most a fifth of a block is wasted above 64 bytes; alternatively the sizes can be chosen.
//!
//! * Allocate and free: O(1), a table look-up in addition to [`Blocks`].
//! * Worst case of one call: that of [`Blocks`], plus a look at each class that is large enough but not aligned enough,
//!   at most 63. A call that grows, or is passed through, also takes the parent's time.
//! * Waste: the unused part of each block, what [`Blocks`] wastes per class, and at most 256 bytes in each chunk.
//!
//! A class takes two words of the pool until it has a chunk. Its other state lies in one of its chunks, so a pool that
//! uses few of its classes is small, and is created by copying a constant.
//!
//! Source: segregated storage dates back to Comfort, "Multiword List Items" (1964); jemalloc uses four classes per
//! doubling.

mod class_map;
mod hardened;
mod table;

use core::{alloc::Layout, fmt, ptr::NonNull};

pub use self::hardened::HardenedClasses;
use self::{
    class_map::SizeClassMap,
    table::{FOUR_PER_DOUBLING, LARGEST, MOST},
};
use super::{
    Blocks, Lifo, SizeClasses,
    blocks::{InChunkPool, Sealed as _},
};
use crate::{
    base::AllocError,
    traits::{
        Chunk, ChunkRequest, HeapMapBuilder, Inspect, InvariantError, PoolHooks, PoolStats, RawPool, Release,
        Reserve,
    },
};

/// A pool of blocks of several sizes, which passes larger requests through to the parent.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Classes, Owned};
///
/// let mut pool = Owned::new(Classes::with_sizes(&[24, 100])?);
/// assert_eq!(pool.allocate(Layout::new::<[u8; 20]>())?.len(), 24);
/// assert_eq!(pool.allocate(Layout::new::<[u8; 25]>())?.len(), 104); // sizes are multiples of 8
/// let large = Layout::new::<[u8; 5000]>();
/// let block = pool.allocate(large)?; // passed through to the parent
/// assert_eq!(block.len(), 5000);
/// // SAFETY: the block is live, and this pool handed it out for this layout.
/// unsafe { pool.deallocate(block.cast(), large) };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Invariants
///
/// * Classes have ascending block sizes, those of the class map; the class map maps each size to the first class that
///   holds it.
/// * Each class keeps the invariants of [`Blocks`]; classes beyond the last have no chunk and no freed block.
pub struct Classes {
    class_map: SizeClassMap,
    /// The freed blocks of each class: all that the hot path accesses.
    freed: [Lifo; MOST + 1],
    /// The other state of each class, which lies in one of its chunks.
    cold: [InChunkPool; MOST + 1],
}

/// The reason why [`Classes::with_sizes`] refused its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClassesError {
    /// There are no sizes.
    None,
    /// There are more than 64 different sizes.
    TooMany,
    /// A size is zero or above 32 KiB.
    OutOfRange(usize),
}

impl fmt::Display for ClassesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("a pool of size classes needs at least one size"),
            Self::TooMany => write!(f, "a pool has at most {MOST} size classes"),
            Self::OutOfRange(size) => write!(f, "a size class has 1 to {LARGEST} bytes, not {size}"),
        }
    }
}

impl core::error::Error for ClassesError {}

impl Classes {
    /// Creates a pool without chunks, with four classes per doubling up to 32 KiB.
    #[must_use]
    pub const fn new() -> Self {
        Self::FOUR_PER_DOUBLING
    }

    /// The default pool, computed at compile time: a new pool is a copy of it.
    const FOUR_PER_DOUBLING: Self = Self::of(&FOUR_PER_DOUBLING);

    /// Creates a pool without chunks, with these block sizes in bytes, in any order. Sizes up to 1 KiB are rounded up
    /// to a multiple of 8, larger ones to a multiple of 256.
    ///
    /// # Errors
    ///
    /// [`ClassesError`] if there are no sizes, if there are more than 64, or if one is zero or above 32 KiB.
    pub fn with_sizes(sizes: &[usize]) -> Result<Self, ClassesError> {
        let (sorted, count) = sorted(sizes)?;
        Ok(Self::of(&sorted[..count]))
    }

    /// Creates a pool for sizes that are rounded, distinct and ascending.
    const fn of(sizes: &[usize]) -> Self {
        Self {
            class_map: SizeClassMap::new(sizes),
            freed: [const { Lifo::EMPTY }; MOST + 1],
            cold: [const { InChunkPool::NONE }; MOST + 1],
        }
    }

    /// Returns the block sizes in bytes, ascending.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        (0..self.class_map.count()).map(|class| self.class_map.size_of(class))
    }

    /// Returns the block size, in bytes, and the statistics of each class.
    pub fn stats_per_class(&self) -> impl Iterator<Item = (usize, PoolStats)> {
        self.sizes().enumerate().map(|(class, size)| (size, self.copy(class).stats()))
    }

    /// Returns the same as [`class_map`](SizeClasses::class_map), at compile time too.
    pub(crate) const fn class_map(&self) -> SizeClassMap {
        self.class_map
    }

    /// Returns a copy of a class, for inspection.
    fn copy(&self, class: usize) -> Blocks {
        self.cold[class].copy(&self.freed[class], self.class_map.layout_of(class))
    }

    /// Returns the first class that has a chunk, starting at a given class.
    fn first_in_use(&self, from: usize) -> Option<usize> {
        // Most classes have no chunk, so several are examined together.
        let unused =
            self.cold[from..].chunks_exact(8).take_while(|several| InChunkPool::are_none(several)).count()
                * 8;
        (from + unused..=MOST).find(|&class| !self.cold[class].is_none())
    }

    /// Returns copies of the classes that have chunks.
    fn in_use(&self) -> impl Iterator<Item = Blocks> {
        let first = self.first_in_use(0);
        core::iter::successors(first, |class| self.first_in_use(class + 1)).map(|class| self.copy(class))
    }

    /// Calls a function with each class that has chunks.
    fn with_each(&mut self, use_it: impl Fn(&mut Blocks)) {
        let mut next = self.first_in_use(0);
        while let Some(class) = next {
            self.with(class, &use_it);
            next = self.first_in_use(class + 1);
        }
    }

    /// Calls a function with a class; returns `None` if it has no chunk.
    fn with<R>(&mut self, class: usize, use_it: impl FnOnce(&mut Blocks) -> R) -> Option<R> {
        debug_assert!(class < self.class_map.count(), "this class serves no size");
        self.cold[class].with(&mut self.freed[class], use_it)
    }

    /// Calls a function that adds a chunk to a class or releases one.
    fn change<R>(&mut self, class: usize, change: impl FnOnce(&mut Blocks) -> R) -> R {
        debug_assert!(class < self.class_map.count(), "this class serves no size");
        let layout = self.class_map.layout_of(class);
        self.cold[class].change(&mut self.freed[class], layout, change)
    }
}

/// Rounds block sizes, and sorts them; returns them with their number.
fn sorted(sizes: &[usize]) -> Result<([usize; MOST], usize), ClassesError> {
    let mut sorted = [0; MOST];
    let mut count = 0;
    for &size in sizes {
        if size == 0 || size > LARGEST {
            return Err(ClassesError::OutOfRange(size));
        }
        let size = table::round(size);
        let at = sorted[..count].partition_point(|&other| other < size);
        if sorted[..count].get(at) == Some(&size) {
            continue;
        }
        if count == MOST {
            return Err(ClassesError::TooMany);
        }
        sorted.copy_within(at..count, at + 1);
        sorted[at] = size;
        count += 1;
    }
    if count == 0 { Err(ClassesError::None) } else { Ok((sorted, count)) }
}

impl Default for Classes {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every block belongs to a class, and `Blocks` upholds the contract. A layout that fits a block is mapped to
// the class that handed it out: see `lookup` and the invariant of the table. Nothing here unwinds.
unsafe impl RawPool for Classes {
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let class = self.class_map.lookup(layout)?;
        self.with(class, |pool| pool.allocate(layout))?
    }

    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let class = self.class_map.lookup_hot(layout)?;
        let block = self.freed[class].take_freed()?;
        Some(NonNull::slice_from_raw_parts(block, self.class_map.size_of(class)))
    }

    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let class = self.class_map.lookup(layout);
        // SAFETY: the caller guarantees that the block is live and that `layout` fits it, so this class handed it out.
        let done = class.and_then(|class| self.with(class, |pool| unsafe { pool.deallocate(block, layout) }));
        debug_assert!(done.is_some(), "freed with a layout that this pool never served");
    }

    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        match self.class_map.lookup_hot(layout) {
            Some(class) => {
                debug_assert!(
                    self.cold[class].get().is_some_and(|pool| pool.owns(block.as_ptr())),
                    "freed a block of another pool"
                );
                // SAFETY: the block is of this class, and the caller no longer uses it.
                unsafe { self.freed[class].put(block, self.class_map.size_of(class)) };
                true
            }
            None => false,
        }
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        self.copy(self.class_map.lookup(layout)?).chunk_request(layout)
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        match self.class_map.lookup(layout) {
            // SAFETY: the caller upholds the contract of `add_chunk`: the chunk belongs to this pool alone.
            Some(class) => self.change(class, |pool| unsafe { pool.add_chunk(chunk, layout) }),
            None => Err(chunk),
        }
    }

    fn collect_empty(&mut self) {
        self.with_each(RawPool::collect_empty);
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        let mut next = self.first_in_use(0);
        while let Some(class) = next {
            let chunk = self.change(class, |pool| pool.release_chunk(which));
            if chunk.is_some() {
                return chunk;
            }
            next = self.first_in_use(class + 1);
        }
        None
    }

    fn reset(&mut self) {
        self.with_each(RawPool::reset);
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        let class = self.class_map.lookup(old).filter(|&class| self.class_map.lookup(new) == Some(class))?;
        Some(NonNull::slice_from_raw_parts(block, self.class_map.size_of(class)))
    }
}

impl PoolHooks for Classes {
    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let class = self.class_map.lookup(layout).filter(|_| block.is_none())?;
        let first = self.freed[class].first_freed();
        (first != 0 && !self.cold[class].has_block(first)).then_some(first)
    }

    fn passes_through(&self, layout: Layout) -> bool {
        self.class_map.lookup(layout).is_none()
    }
}

impl Reserve for Classes {
    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        let class = self.class_map.lookup(layout).ok_or(AllocError::Unsupported)?;
        self.copy(class).reserve_request(layout, count)
    }

    fn release_reserved_chunk(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        let class = self.class_map.lookup(layout).filter(|&class| !self.cold[class].is_none())?;
        self.change(class, |pool| pool.release_reserved_chunk(layout, count))
    }
}

impl Inspect for Classes {
    fn stats(&self) -> PoolStats {
        self.in_use().map(|class| class.stats()).fold(PoolStats::default(), PoolStats::plus)
    }

    fn largest_free(&self) -> Option<usize> {
        Some(self.in_use().filter_map(|class| class.largest_free()).max().unwrap_or(0))
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.in_use().for_each(|class| class.render(builder));
    }

    fn owns(&self, address: *const u8) -> bool {
        self.cold.iter().filter_map(InChunkPool::get).any(|class| class.owns(address))
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.class_map.check()?;
        for (class, cold) in self.cold.iter().enumerate() {
            let Some(pool) = cold.get() else { continue };
            if class >= self.class_map.count() {
                return Err(InvariantError("a class that serves no size has a chunk"));
            }
            if pool.block_layout() != self.class_map.layout_of(class) {
                return Err(InvariantError("the blocks of a class differ from those in the class map"));
            }
            self.copy(class).check()?;
        }
        Ok(())
    }
}

// SAFETY: a layout is mapped to one class, whose blocks all have the same layout; the layout of a block is mapped to
// the class of the block.
unsafe impl SizeClasses for Classes {
    type ClassMap = SizeClassMap;

    fn class_map(&self) -> SizeClassMap {
        self.class_map()
    }
}
