//! Blocks of several sizes: a pool of [`Blocks`] per size class.
//!
//! A request goes to the first class whose blocks are large and aligned enough; what is larger than the largest class,
//! or aligned beyond a cache line, goes past the pool to the parent. By default there are four classes per doubling,
//! so that at most a fifth of a block is wasted above 64 bytes; or the sizes are chosen.
//!
//! * Allocate and free: O(1), a table look-up on top of [`Blocks`].
//! * Waste: the rest of each block, and what [`Blocks`] wastes per class.
//!
//! Source: segregated storage is as old as Comfort, "Multiword List Items" (1964); four classes per doubling are
//! what jemalloc uses.

mod table;

use core::{alloc::Layout, array, fmt, ptr::NonNull};

use self::table::{LARGEST, MOST, SMALL, Table, four_per_doubling};
use super::Blocks;
use crate::contract::{Chunk, ChunkRequest, Flaw, Inspect, Pool, Reserve, Snapshot, Surrender};

/// Blocks are aligned to the largest power of two that divides their size, up to a cache line.
const LARGEST_ALIGN: usize = 64;

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
/// * Classes `0..count` have ascending block sizes; the table maps each size to the first class that holds it.
/// * Each class keeps the invariants of [`Blocks`]; classes from `count` on have no chunk.
/// * Every class with blocks of up to `hot.size` bytes aligns them to `hot.align`.
pub struct Classes {
    hot: Hot,
    table: Table,
    count: usize,
    pools: [Blocks; MOST + 1],
}

/// The layouts of the hot path: their class is one look-up away.
struct Hot {
    size: usize,
    align: usize,
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
    pub fn new() -> Self {
        let mut sizes = [0; MOST];
        let mut count = 0;
        for size in four_per_doubling() {
            sizes[count] = size;
            count += 1;
        }
        Self::of(&sizes[..count])
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
    fn of(sizes: &[usize]) -> Self {
        let align_of = |size: usize| (1 << size.trailing_zeros()).min(LARGEST_ALIGN);
        let pools = array::from_fn(|class| {
            let size = sizes.get(class).copied().unwrap_or(LARGEST);
            // Every size is a multiple of its alignment and far below the largest object: the layout exists.
            Blocks::of(Layout::from_size_align(size, align_of(size)).unwrap_or(Layout::new::<usize>()))
        });
        let largest = sizes.last().copied().unwrap_or(0);
        let align = sizes.iter().map(|&size| align_of(size)).min().unwrap_or(1);
        Self {
            hot: Hot { size: largest.min(SMALL), align },
            table: Table::new(sizes),
            count: sizes.len(),
            pools,
        }
    }

    /// The block sizes, ascending, in bytes.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        self.classes().iter().map(|class| class.block_layout().size())
    }

    /// Each class with its block size in bytes and its figures.
    pub fn stats_per_class(&self) -> impl Iterator<Item = (usize, Snapshot)> {
        self.classes().iter().map(|class| (class.block_layout().size(), class.stats()))
    }

    fn classes(&self) -> &[Blocks] {
        &self.pools[..self.count]
    }

    /// Whether a layout is one of the hot path.
    #[inline(always)]
    fn is_hot(&self, layout: Layout) -> bool {
        layout.size() <= self.hot.size && layout.align() <= self.hot.align
    }

    /// The class of a layout of the hot path.
    #[inline(always)]
    fn hot_class(&mut self, layout: Layout) -> &mut Blocks {
        // SAFETY: no entry of the table is above `MOST`.
        unsafe { self.pools.get_unchecked_mut(self.table.small(layout.size())) }
    }

    /// The class that serves a layout; `None` if that is the parent's business.
    #[inline]
    fn class(&self, layout: Layout) -> Option<usize> {
        let class = self.table.class(layout.size())?;
        (class..self.count).find(|&class| self.pools[class].block_layout().align() >= layout.align())
    }

    fn pool(&mut self, layout: Layout) -> Option<&mut Blocks> {
        let class = self.class(layout)?;
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
unsafe impl Pool for Classes {
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.pool(layout)?.allocate(layout)
    }

    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if self.is_hot(layout) { self.hot_class(layout).take_freed() } else { None }
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
        let hot = self.is_hot(layout) && layout.size() != 0;
        if hot {
            // SAFETY: the caller's promises are passed on, to the class that handed the block out.
            unsafe { self.hot_class(layout).deallocate(block, layout) };
        }
        hot
    }

    fn wants(&self, layout: Layout) -> Option<ChunkRequest> {
        self.pools[self.class(layout)?].wants(layout)
    }

    unsafe fn adopt(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        match self.pool(layout) {
            // SAFETY: the caller's promises are passed on.
            Some(pool) => unsafe { pool.adopt(chunk, layout) },
            None => Err(chunk),
        }
    }

    fn settle(&mut self) {
        self.pools.iter_mut().for_each(Pool::settle);
    }

    fn surrender(&mut self, which: Surrender) -> Option<Chunk> {
        self.pools.iter_mut().find_map(|pool| pool.surrender(which))
    }

    fn reset(&mut self) {
        self.pools.iter_mut().for_each(Pool::reset);
    }

    fn bypasses(&self, layout: Layout) -> bool {
        self.class(layout).is_none()
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        let class = self.class(old).filter(|&class| self.class(new) == Some(class))?;
        // SAFETY: the caller's promises are passed on, to the class that handed the block out.
        unsafe { self.pools[class].resize_in_place(block, old, new) }
    }
}

impl Reserve for Classes {
    fn lacks(&self, layout: Layout, count: usize) -> Option<ChunkRequest> {
        self.pools[self.class(layout)?].lacks(layout, count)
    }
}

impl Inspect for Classes {
    fn stats(&self) -> Snapshot {
        self.classes().iter().map(Blocks::stats).fold(Snapshot::default(), Snapshot::plus)
    }

    fn largest_free(&self) -> Option<usize> {
        self.classes().iter().filter_map(Blocks::largest_free).max()
    }

    fn owns(&self, address: *const u8) -> bool {
        self.classes().iter().any(|class| class.owns(address))
    }

    fn check(&self) -> Result<(), Flaw> {
        if !self.sizes().is_sorted_by(|small, large| small < large) {
            return Err(Flaw("the size classes are not ascending"));
        }
        let right = |(class, size)| self.table.class(size) == Some(class);
        if self.classes().iter().any(|class| {
            let layout = class.block_layout();
            layout.size() <= self.hot.size && layout.align() < self.hot.align
        }) {
            return Err(Flaw("a class of the hot path is aligned less than it says"));
        }
        if self.pools[self.count..].iter().any(|class| class.stats().chunks != 0) {
            return Err(Flaw("a class that serves no size has a chunk"));
        }
        if !self.sizes().enumerate().all(right) {
            return Err(Flaw("the table sends a class's own size to another class"));
        }
        self.classes().iter().try_for_each(Blocks::check)
    }
}
