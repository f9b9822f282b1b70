//! Blocks of several sizes: a pool of [`Blocks`] per size class.
//!
//! A request goes to the first class whose blocks are large and aligned enough; what is larger than the largest class,
//! or aligned beyond a cache line, goes past the pool to the parent. By default there are four classes per doubling,
//! so that at most a fifth of a block is wasted above 64 bytes; or the sizes are chosen.
//!
//! * Allocate and free: O(1), a table look-up on top of [`Blocks`].
//! * Worst case of one call: that of [`Blocks`], plus a look at each class that is large enough but not aligned enough, at
//!   most 63. A call that grows, or goes past the pool, has the parent's time besides.
//! * Waste: the rest of each block, and what [`Blocks`] wastes per class.
//!
//! Source: segregated storage is as old as Comfort, "Multiword List Items" (1964); four classes per doubling are
//! what jemalloc uses.

mod sorter;
mod table;

use core::{alloc::Layout, fmt, ptr::NonNull};

use self::{
    sorter::ClassSorter,
    table::{FOUR_PER_DOUBLING, LARGEST, MOST},
};
use super::{Blocks, Kinds};
use crate::{
    base::AllocError,
    contract::{Canvas, Chunk, ChunkRequest, Flaw, Inspect, RawPool, Reserve, Snapshot, Surrender},
};

/// A pool of blocks of several sizes, which hands larger requests on to the parent.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Classes, Owned};
///
/// let mut pool = Owned::new(Classes::with_sizes(&[24, 100])?);
/// assert_eq!(pool.allocate(Layout::new::<[u8; 20]>())?.len(), 24);
/// assert_eq!(pool.allocate(Layout::new::<[u8; 25]>())?.len(), 104); // sizes are multiples of 8
/// let large = Layout::new::<[u8; 5000]>();
/// let block = pool.allocate(large)?; // from the parent, hence not the pool's to reclaim
/// assert_eq!(block.len(), 5000);
/// // SAFETY: the block is live, and this pool handed it out for this layout.
/// unsafe { pool.deallocate(block.cast(), large) };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Invariants
///
/// * Classes have ascending block sizes, those of the sorter; the sorter sends each size to the first class that holds it.
/// * Each class keeps the invariants of [`Blocks`]; pools beyond the last class have no chunk.
pub struct Classes {
    sorter: ClassSorter,
    pools: [Blocks; MOST + 1],
}

/// Why [`Classes::with_sizes`] refused its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClassesError {
    /// There is no size at all.
    None,
    /// There are more than 64 different sizes.
    TooMany,
    /// A size is zero, or above 32 KiB.
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
    /// A pool without chunks, with four classes per doubling up to 32 KiB.
    #[must_use]
    pub const fn new() -> Self {
        Self::of(&FOUR_PER_DOUBLING)
    }

    /// A pool without chunks, with these block sizes in bytes, in any order. Sizes up to 1 KiB are rounded up to a
    /// multiple of 8, larger ones to a multiple of 256.
    ///
    /// # Errors
    ///
    /// [`ClassesError`] if there is none, or more than 64, or one that is zero or above 32 KiB.
    pub fn with_sizes(sizes: &[usize]) -> Result<Self, ClassesError> {
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
        if count == 0 { Err(ClassesError::None) } else { Ok(Self::of(&sorted[..count])) }
    }

    /// The pool for sizes that are rounded, different and ascending.
    const fn of(sizes: &[usize]) -> Self {
        let sorter = ClassSorter::new(sizes);
        let mut pools = [const { Blocks::of(Layout::new::<usize>()) }; MOST + 1];
        let mut class = 0;
        while class <= MOST {
            pools[class] = Blocks::of(sorter.layout_of(class));
            class += 1;
        }
        Self { sorter, pools }
    }

    /// The block sizes, ascending, in bytes.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        self.classes().iter().map(|class| class.block_layout().size())
    }

    /// Each class with its block size in bytes and its figures.
    pub fn stats_per_class(&self) -> impl Iterator<Item = (usize, Snapshot)> {
        self.classes().iter().map(|class| (class.block_layout().size(), class.stats()))
    }

    /// The same as [`sorter`](Kinds::sorter), at compile time too.
    pub(crate) const fn known_sorter(&self) -> ClassSorter {
        self.sorter
    }

    fn classes(&self) -> &[Blocks] {
        &self.pools[..self.sorter.count()]
    }

    /// The class of a layout of the hot path; `None` for other layouts. For a size of zero it is one without blocks.
    #[inline(always)]
    fn hot_class(&mut self, layout: Layout) -> Option<&mut Blocks> {
        let class = self.sorter.hot_class(layout)?;
        // SAFETY: the sorter names no class above `MOST`.
        Some(unsafe { self.pools.get_unchecked_mut(class) })
    }

    fn pool(&mut self, layout: Layout) -> Option<&mut Blocks> {
        let class = self.sorter.class(layout)?;
        self.pools.get_mut(class)
    }
}

impl Default for Classes {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every block is one of a class's, and `Blocks` keeps the contract. A layout that fits a block goes to the class
// that handed it out: see `class` and the invariant of the table. Nothing here unwinds.
unsafe impl RawPool for Classes {
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.pool(layout)?.allocate(layout)
    }

    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.hot_class(layout)?.take_freed()
    }

    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let pool = self.pool(layout);
        debug_assert!(pool.is_some(), "freed with a layout that this pool never served");
        if let Some(pool) = pool {
            // SAFETY: the caller's promises are passed on, to the class that handed the block out.
            unsafe { pool.deallocate(block, layout) };
        }
    }

    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        match self.hot_class(layout) {
            Some(class) if layout.size() != 0 => {
                // SAFETY: the caller's promises are passed on, to the class that handed the block out.
                unsafe { class.deallocate(block, layout) };
                true
            }
            _ => false,
        }
    }

    fn wants(&self, layout: Layout) -> Option<ChunkRequest> {
        self.pools[self.sorter.class(layout)?].wants(layout)
    }

    unsafe fn adopt(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        match self.pool(layout) {
            // SAFETY: the caller's promises are passed on.
            Some(pool) => unsafe { pool.adopt(chunk, layout) },
            None => Err(chunk),
        }
    }

    fn settle(&mut self) {
        self.pools.iter_mut().for_each(RawPool::settle);
    }

    fn surrender(&mut self, which: Surrender) -> Option<Chunk> {
        self.pools.iter_mut().find_map(|pool| pool.surrender(which))
    }

    fn reset(&mut self) {
        self.pools.iter_mut().for_each(RawPool::reset);
    }

    fn bypasses(&self, layout: Layout) -> bool {
        self.sorter.class(layout).is_none()
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        let class = self.sorter.class(old).filter(|&class| self.sorter.class(new) == Some(class))?;
        // SAFETY: the caller's promises are passed on, to the class that handed the block out.
        unsafe { self.pools[class].resize_in_place(block, old, new) }
    }
}

impl Reserve for Classes {
    fn lacks(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        let class = self.sorter.class(layout).ok_or(AllocError::Unsupported)?;
        self.pools[class].lacks(layout, count)
    }

    fn surrender_ahead(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        self.pool(layout)?.surrender_ahead(layout, count)
    }
}

impl Inspect for Classes {
    fn stats(&self) -> Snapshot {
        self.classes().iter().map(Blocks::stats).fold(Snapshot::default(), Snapshot::plus)
    }

    fn largest_free(&self) -> Option<usize> {
        self.classes().iter().filter_map(Blocks::largest_free).max()
    }

    fn paint(&self, canvas: &mut Canvas<'_>) {
        self.classes().iter().for_each(|class| class.paint(canvas));
    }

    fn owns(&self, address: *const u8) -> bool {
        self.classes().iter().any(|class| class.owns(address))
    }

    fn check(&self) -> Result<(), Flaw> {
        if !self.sizes().is_sorted_by(|small, large| small < large) {
            return Err(Flaw("the size classes are not ascending"));
        }
        self.sorter.check()?;
        if self.pools[self.sorter.count()..].iter().any(|class| class.stats().chunks != 0) {
            return Err(Flaw("a class that serves no size has a chunk"));
        }
        if self
            .classes()
            .iter()
            .enumerate()
            .any(|(class, pool)| pool.block_layout() != self.sorter.layout_of(class))
        {
            return Err(Flaw("a class has other blocks than the sorter says"));
        }
        self.classes().iter().try_for_each(Blocks::check)
    }
}

// SAFETY: a layout goes to one class, whose blocks are all alike; a block's own layout goes to the class that it is of.
unsafe impl Kinds for Classes {
    type Sorter = ClassSorter;

    fn sorter(&self) -> ClassSorter {
        self.known_sorter()
    }
}
