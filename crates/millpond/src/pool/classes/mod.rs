//! Blocks of several sizes: a pool of [`Blocks`] per size class.
//!
//! A request goes to the first class whose blocks are large and aligned enough; what is larger than the largest class,
//! or aligned beyond a cache line, goes past the pool to the parent. By default there are four classes per doubling,
//! so that at most a fifth of a block is wasted above 64 bytes; or the sizes are chosen.
//!
//! * Allocate and free: O(1), a table look-up on top of [`Blocks`].
//! * Worst case of one call: that of [`Blocks`], plus a look at each class that is large enough but not aligned enough, at
//!   most 63. A call that grows, or goes past the pool, has the parent's time besides.
//! * Waste: the rest of each block, what [`Blocks`] wastes per class, and 256 bytes at most in each chunk.
//!
//! A class takes two words of the pool until it has a chunk. All else that is known about it lies in a chunk of its own: so a
//! pool of which few classes are used is small, and made by copying a constant.
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
use super::{
    Blocks, Kinds, Lifo,
    blocks::{Housed, Sealed as _},
};
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
/// * Each class keeps the invariants of [`Blocks`]; those beyond the last have no chunk and no freed block.
pub struct Classes {
    sorter: ClassSorter,
    /// The freed blocks of each class: all that the hot path touches.
    freed: [Lifo; MOST + 1],
    /// The rest of each class, which lies in one of its chunks.
    rest: [Housed; MOST + 1],
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
        Self::FOUR_PER_DOUBLING
    }

    /// Computed at compile time: to make one is to copy it.
    const FOUR_PER_DOUBLING: Self = Self::of(&FOUR_PER_DOUBLING);

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
        Self {
            sorter: ClassSorter::new(sizes),
            freed: [const { Lifo::EMPTY }; MOST + 1],
            rest: [const { Housed::NONE }; MOST + 1],
        }
    }

    /// The block sizes, ascending, in bytes.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        (0..self.sorter.count()).map(|class| self.sorter.size_of(class))
    }

    /// Each class with its block size in bytes and its figures.
    pub fn stats_per_class(&self) -> impl Iterator<Item = (usize, Snapshot)> {
        self.sizes().enumerate().map(|(class, size)| (size, self.copy(class).stats()))
    }

    /// The same as [`sorter`](Kinds::sorter), at compile time too.
    pub(crate) const fn known_sorter(&self) -> ClassSorter {
        self.sorter
    }

    /// A copy of a class, to be looked at.
    fn copy(&self, class: usize) -> Blocks {
        self.rest[class].copy(&self.freed[class], self.sorter.layout_of(class))
    }

    /// The first class with a chunk, from a number on.
    fn first_in_use(&self, from: usize) -> Option<usize> {
        // Most have none, so several are looked at together.
        let unused =
            self.rest[from..].chunks_exact(8).take_while(|several| Housed::are_none(several)).count() * 8;
        (from + unused..=MOST).find(|&class| !self.rest[class].is_none())
    }

    /// Copies of the classes that have chunks.
    fn in_use(&self) -> impl Iterator<Item = Blocks> {
        let first = self.first_in_use(0);
        core::iter::successors(first, |class| self.first_in_use(class + 1)).map(|class| self.copy(class))
    }

    /// Lets each class that has chunks be used.
    fn with_each(&mut self, use_it: impl Fn(&mut Blocks)) {
        let mut next = self.first_in_use(0);
        while let Some(class) = next {
            self.with(class, &use_it);
            next = self.first_in_use(class + 1);
        }
    }

    /// Lets a class be used; `None` if it has no chunk.
    fn with<R>(&mut self, class: usize, use_it: impl FnOnce(&mut Blocks) -> R) -> Option<R> {
        self.rest[class].with(&mut self.freed[class], use_it)
    }

    /// Lets a class take or give up a chunk.
    fn change<R>(&mut self, class: usize, change: impl FnOnce(&mut Blocks) -> R) -> R {
        let layout = self.sorter.layout_of(class);
        self.rest[class].change(&mut self.freed[class], layout, change)
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
        let class = self.sorter.class(layout)?;
        self.with(class, |pool| pool.allocate(layout))?
    }

    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let class = self.sorter.hot_class(layout)?;
        let block = self.freed[class].take_freed()?;
        Some(NonNull::slice_from_raw_parts(block, self.sorter.size_of(class)))
    }

    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let class = self.sorter.class(layout);
        // SAFETY: the caller's promises are passed on, to the class that handed the block out.
        let done = class.and_then(|class| self.with(class, |pool| unsafe { pool.deallocate(block, layout) }));
        debug_assert!(done.is_some(), "freed with a layout that this pool never served");
    }

    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        match self.sorter.hot_class(layout) {
            Some(class) => {
                debug_assert!(
                    self.rest[class].get().is_some_and(|pool| pool.owns(block.as_ptr())),
                    "freed a block of another pool"
                );
                // SAFETY: the caller gives the block up, which is of this class.
                unsafe { self.freed[class].put(block, self.sorter.size_of(class)) };
                true
            }
            None => false,
        }
    }

    fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let class = self.sorter.class(layout).filter(|_| block.is_none())?;
        let first = self.freed[class].first_freed();
        (first != 0 && !self.rest[class].has_block(first)).then_some(first)
    }

    fn wants(&self, layout: Layout) -> Option<ChunkRequest> {
        self.copy(self.sorter.class(layout)?).wants(layout)
    }

    unsafe fn adopt(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        match self.sorter.class(layout) {
            // SAFETY: the caller's promises are passed on.
            Some(class) => self.change(class, |pool| unsafe { pool.adopt(chunk, layout) }),
            None => Err(chunk),
        }
    }

    fn settle(&mut self) {
        self.with_each(RawPool::settle);
    }

    fn surrender(&mut self, which: Surrender) -> Option<Chunk> {
        let mut next = self.first_in_use(0);
        while let Some(class) = next {
            let chunk = self.change(class, |pool| pool.surrender(which));
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
        Some(NonNull::slice_from_raw_parts(block, self.sorter.size_of(class)))
    }
}

impl Reserve for Classes {
    fn lacks(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        let class = self.sorter.class(layout).ok_or(AllocError::Unsupported)?;
        self.copy(class).lacks(layout, count)
    }

    fn surrender_ahead(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        let class = self.sorter.class(layout).filter(|&class| !self.rest[class].is_none())?;
        self.change(class, |pool| pool.surrender_ahead(layout, count))
    }
}

impl Inspect for Classes {
    fn stats(&self) -> Snapshot {
        self.in_use().map(|class| class.stats()).fold(Snapshot::default(), Snapshot::plus)
    }

    fn largest_free(&self) -> Option<usize> {
        Some(self.in_use().filter_map(|class| class.largest_free()).max().unwrap_or(0))
    }

    fn paint(&self, canvas: &mut Canvas<'_>) {
        self.in_use().for_each(|class| class.paint(canvas));
    }

    fn owns(&self, address: *const u8) -> bool {
        self.rest.iter().filter_map(Housed::get).any(|class| class.owns(address))
    }

    fn check(&self) -> Result<(), Flaw> {
        self.sorter.check()?;
        for (class, rest) in self.rest.iter().enumerate() {
            let Some(pool) = rest.get() else { continue };
            if class >= self.sorter.count() {
                return Err(Flaw("a class that serves no size has a chunk"));
            }
            if pool.block_layout() != self.sorter.layout_of(class) {
                return Err(Flaw("a class has other blocks than the sorter says"));
            }
            self.copy(class).check()?;
        }
        Ok(())
    }
}

// SAFETY: a layout goes to one class, whose blocks are all alike; a block's own layout goes to the class that it is of.
unsafe impl Kinds for Classes {
    type Sorter = ClassSorter;

    fn sorter(&self) -> ClassSorter {
        self.known_sorter()
    }
}
