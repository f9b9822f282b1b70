//! A guard that sends small requests to one pool or allocator, and large ones to another.
//!
//! The size determines to which a block belongs. So a small block is never returned with more bytes than the largest
//! small size: whatever size it is freed with, it is small.
//!
//! * Allocate and free: a comparison in addition to the cost of the two.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    routed::{AllocatorRoute, Route, Routed},
    routed_pool::PoolRoute,
};
use crate::{
    base::AllocError,
    traits::{Allocation, Allocator, RawPool, Reserve, allocate_by_halving},
};

/// Sends requests of at most a given size to one, and all others to another. Around two allocators, or around two pools
/// in one shell, which both grow from its parent.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Heap, Inspect, Linear, Local, guard::Segregator};
///
/// let small = Local::new(Blocks::<Fixed<64>>::new());
/// let pool = Segregator::new(64, small, Heap);
/// pool.allocate(Layout::new::<[u8; 64]>())?; // from the pool
/// # let large =
/// pool.allocate(Layout::new::<[u8; 65]>())?; // from the heap
/// assert_eq!(pool.small().stats().live, 64);
/// # unsafe { pool.deallocate(large.cast(), Layout::new::<[u8; 65]>()) };
///
/// let in_one_shell = Local::new(Segregator::new(64, Blocks::<Fixed<64>>::new(), Linear::new()));
/// in_one_shell.allocate(Layout::new::<[u8; 1000]>())?;
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Segregator<A, B> = Routed<BySize, A, B>;

/// The route of [`Segregator`]: the first if a size is small.
#[derive(Clone, Copy, Debug)]
pub struct BySize {
    largest: usize,
}

impl BySize {
    #[inline(always)]
    fn is_small(self, layout: Layout) -> bool {
        layout.size() <= self.largest
    }
}

impl<A, B> Routed<BySize, A, B> {
    /// Creates a guard that sends requests of at most `largest` bytes to `small`, and the others to `large`.
    #[must_use]
    pub const fn new(largest: usize, small: A, large: B) -> Self {
        Self { route: BySize { largest }, first: small, second: large }
    }

    /// Returns the size in bytes up to which a request is small.
    #[must_use]
    pub fn largest_small(&self) -> usize {
        self.route.largest
    }

    /// Returns a reference to what serves small requests.
    #[must_use]
    pub fn small(&self) -> &A {
        &self.first
    }

    /// Returns a reference to what serves large requests.
    #[must_use]
    pub fn large(&self) -> &B {
        &self.second
    }
}

impl<A, B> Route<A, B> for BySize {
    const RESIZES_BY_MOVING: bool = true;

    #[inline(always)]
    fn is_first(&self, _: &A, _: NonNull<u8>, layout: Layout) -> bool {
        self.is_small(layout)
    }

    #[inline(always)]
    fn stays(&self, old: Layout, new: Layout) -> bool {
        self.is_small(old) == self.is_small(new)
    }

    #[inline(always)]
    fn reached(&self, layout: Layout) -> (bool, bool) {
        (self.is_small(layout), !self.is_small(layout))
    }

    /// Truncates a small block to the largest small size.
    #[inline(always)]
    fn truncate(&self, block: NonNull<[u8]>) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(block.cast(), block.len().min(self.largest))
    }
}

impl<A: Allocator, B: Allocator> AllocatorRoute<A, B> for BySize {
    #[inline(always)]
    fn ask(
        routed: &Segregator<A, B>,
        layout: Layout,
        first: impl FnOnce(&A) -> Allocation,
        second: impl FnOnce(&B) -> Allocation,
    ) -> Allocation {
        if routed.route.is_small(layout) {
            Ok(Route::<A, B>::truncate(&routed.route, first(&routed.first)?))
        } else {
            second(&routed.second)
        }
    }

    fn allocate_between(routed: &Segregator<A, B>, least: Layout, preferred: usize) -> Allocation {
        allocate_by_halving(routed, least, preferred)
    }
}

impl<P: RawPool, Q: RawPool> PoolRoute<P, Q> for BySize {
    fn grows_first(&self, _: &P, layout: Layout) -> bool {
        self.is_small(layout)
    }

    #[inline]
    fn passes_through(&self, first: &P, second: &Q, layout: Layout) -> bool {
        if self.is_small(layout) { first.passes_through(layout) } else { second.passes_through(layout) }
    }

    fn may_allocate(&self, first: &P, second: &Q, layout: Layout) -> Result<(), AllocError> {
        if self.is_small(layout) { first.may_allocate(layout) } else { second.may_allocate(layout) }
    }

    fn share_of_first(&self, _: &P, layout: Layout, count: usize) -> usize
    where
        P: Reserve,
    {
        if self.is_small(layout) { count } else { 0 }
    }
}
