//! Size classes whose blocks are [`Hardened`].

use core::{alloc::Layout, array, ptr::NonNull};

use super::{
    ClassesError,
    class_map::SizeClassMap,
    sorted,
    table::{FOUR_PER_DOUBLING, MOST},
};
use crate::{
    base::AllocError,
    pool::{Blocks, DynSize, Full, Hardened, Hardening, SizeClasses},
    traits::{
        Chunk, ChunkRequest, HeapMapBuilder, Inspect, InvariantError, PendingReport, PoolHooks, PoolStats,
        RawPool, Release, Reporter, Reserve,
    },
};

/// The blocks of one class.
type Class<M> = Blocks<(DynSize, Hardened<M>)>;

/// A pool of blocks of several sizes, each class of which is [`Hardened`]: the counterpart of
/// [`Classes`](crate::Classes) for programs under attack.
///
/// It detects, and prevents, what [`Hardened`] does. A block that is freed with a layout of another class is reported
/// too ([`MisuseKind::WrongLayout`](crate::observe::MisuseKind::WrongLayout)). No class uses the memory of another one,
/// so a block that is used after it was freed can only meet blocks of about its own size.
///
/// Requests above the largest class are passed through to the parent, which should detect invalid frees itself: see
/// [`secure`](crate::secure), which combines the parts.
///
/// The pool itself takes about 30 KiB, and each class that is used a kilobyte or two of the parent's memory beside its
/// blocks.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Local, pool::{Full, HardenedClasses}};
///
/// let pool = Local::new(HardenedClasses::<Full>::new());
/// let layout = Layout::new::<[u8; 100]>();
/// let block = pool.allocate(layout)?;
/// assert_eq!(block.len(), 112);
/// // SAFETY: the block is live, and this pool handed it out for this layout.
/// unsafe { pool.deallocate(block.cast(), layout) };
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// # Invariants
///
/// * Class `n` has blocks of the layout that the class map returns for it; classes beyond the last have no chunk.
/// * Bit `n` of `suspects` is set if class `n` may have a report that waits.
pub struct HardenedClasses<M: Hardening = Full> {
    class_map: SizeClassMap,
    classes: [Class<M>; MOST + 1],
    suspects: u128,
}

impl<M: Hardening> HardenedClasses<M> {
    /// Creates a pool without chunks, with four classes per doubling up to 32 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self::of(SizeClassMap::new(&FOUR_PER_DOUBLING))
    }

    /// Creates a pool without chunks, with these block sizes: see [`Classes::with_sizes`](crate::Classes::with_sizes).
    ///
    /// # Errors
    ///
    /// [`ClassesError`] if there are no sizes, if there are more than 64, or if one is zero or above 32 KiB.
    pub fn with_sizes(sizes: &[usize]) -> Result<Self, ClassesError> {
        let (sorted, count) = sorted(sizes)?;
        Ok(Self::of(SizeClassMap::new(&sorted[..count])))
    }

    fn of(class_map: SizeClassMap) -> Self {
        let classes = array::from_fn(|class| Class::with_layout(class_map.layout_of(class)));
        Self { class_map, classes, suspects: 0 }
    }

    /// Sets the reporter, which has the name of the pool and receives misuse reports.
    #[must_use]
    pub fn reporting(mut self, reporter: Reporter) -> Self {
        self.classes = self.classes.map(|class| class.reporting(reporter));
        self
    }

    /// Sets the seed of the random numbers: see [`Blocks::with_seed`]. Each class uses it with its own number.
    #[must_use]
    pub fn with_seed(mut self, seed: [u32; 8]) -> Self {
        let mut number = 0;
        self.classes = self.classes.map(|class| {
            number += 1;
            let mut seed = seed;
            seed[0] ^= number;
            class.with_seed(seed)
        });
        self
    }

    /// Returns the block sizes in bytes, ascending.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        (0..self.class_map.count()).map(|class| self.class_map.size_of(class))
    }

    /// Returns the block size, in bytes, and the statistics of each class.
    pub fn stats_per_class(&self) -> impl Iterator<Item = (usize, PoolStats)> {
        self.sizes().zip(&self.classes).map(|(size, class)| (size, class.stats()))
    }

    fn class(&self, layout: Layout) -> Option<&Class<M>> {
        Some(&self.classes[self.class_map.lookup(layout)?])
    }

    #[inline]
    fn class_mut(&mut self, layout: Layout) -> Option<&mut Class<M>> {
        let class = self.class_map.lookup(layout)?;
        self.suspects |= 1 << class;
        self.classes.get_mut(class)
    }

    /// Returns all classes, each of which may have a report afterwards.
    fn all_mut(&mut self) -> impl Iterator<Item = &mut Class<M>> {
        self.suspects = u128::MAX;
        self.classes.iter_mut()
    }

    /// Returns the layout of the live block that begins at an address, if it is of another class than `class`.
    fn other_layout(&mut self, block: NonNull<u8>, class: usize) -> Option<Layout> {
        let mut others = self.classes.iter_mut().enumerate().filter(|(other, _)| *other != class);
        others.find_map(|(_, other)| {
            let layout = other.block_layout();
            other.may_deallocate(block, layout).then_some(layout)
        })
    }
}

impl<M: Hardening> Default for HardenedClasses<M> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every block belongs to a class, and `Blocks` upholds the contract. A layout that fits a block is mapped to
// the class that handed it out. Nothing here unwinds.
unsafe impl<M: Hardening> RawPool for HardenedClasses<M> {
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.class_mut(layout)?.allocate(layout)
    }

    #[inline]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.class_mut(layout)?.allocate_hot(layout)
    }

    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let Some(class) = self.class_map.lookup(layout) else { return };
        self.suspects |= 1 << class;
        if !self.classes[class].may_deallocate(block, layout)
            && let Some(expected) = self.other_layout(block, class)
        {
            return self.classes[class].report_wrong_layout(block, layout, expected);
        }
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { self.classes[class].deallocate(block, layout) };
    }

    #[inline]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        // SAFETY: the caller upholds the contract of `deallocate_hot`, which is the same.
        self.class_mut(layout).is_some_and(|class| unsafe { class.deallocate_hot(block, layout) })
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        self.class(layout)?.chunk_request(layout)
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        match self.class_mut(layout) {
            // SAFETY: the caller upholds the contract of `add_chunk`, which is the same.
            Some(class) => unsafe { class.add_chunk(chunk, layout) },
            None => Err(chunk),
        }
    }

    fn collect_empty(&mut self) {
        self.all_mut().for_each(RawPool::collect_empty);
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        self.all_mut().find_map(|class| class.release_chunk(which))
    }

    fn reset(&mut self) {
        self.all_mut().for_each(RawPool::reset);
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        if self.class_map.lookup(old) != self.class_map.lookup(new) {
            return None;
        }
        // SAFETY: the caller upholds the contract of `resize_in_place`, which is the same.
        unsafe { self.class_mut(old)?.resize_in_place(block, old, new) }
    }
}

impl<M: Hardening> PoolHooks for HardenedClasses<M> {
    fn passes_through(&self, layout: Layout) -> bool {
        self.class_map.lookup(layout).is_none()
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        self.class_mut(layout).is_some_and(|class| class.may_deallocate(block, layout))
    }

    fn release_held(&mut self) -> bool {
        self.classes.iter_mut().fold(false, |any, class| class.release_held() | any)
    }

    fn pending_report(&mut self) -> Option<PendingReport> {
        while self.suspects != 0 {
            let class = self.suspects.trailing_zeros() as usize;
            let report = self.classes.get_mut(class).and_then(PoolHooks::pending_report);
            if report.is_some() {
                return report;
            }
            self.suspects &= self.suspects - 1;
        }
        None
    }
}

impl<M: Hardening> Reserve for HardenedClasses<M> {
    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        self.class(layout).ok_or(AllocError::Unsupported)?.reserve_request(layout, count)
    }

    fn release_reserved_chunk(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        self.class_mut(layout)?.release_reserved_chunk(layout, count)
    }
}

impl<M: Hardening> Inspect for HardenedClasses<M> {
    fn stats(&self) -> PoolStats {
        self.classes.iter().map(Inspect::stats).fold(PoolStats::default(), PoolStats::plus)
    }

    fn largest_free(&self) -> Option<usize> {
        Some(self.classes.iter().filter_map(Inspect::largest_free).max().unwrap_or(0))
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.classes.iter().for_each(|class| class.render(builder));
    }

    fn owns(&self, address: *const u8) -> bool {
        self.classes.iter().any(|class| class.owns(address))
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.class_map.check()?;
        self.classes.iter().try_for_each(Inspect::check)
    }
}

// SAFETY: a layout is mapped to one class, whose blocks all have the same layout; the layout of a block is mapped to
// the class of the block.
unsafe impl<M: Hardening> SizeClasses for HardenedClasses<M> {
    type ClassMap = SizeClassMap;
    const IS_CACHEABLE: bool = false;

    fn class_map(&self) -> SizeClassMap {
        self.class_map
    }
}
