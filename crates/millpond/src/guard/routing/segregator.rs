//! A guard that sends small requests to one pool or allocator, and large ones to another.
//!
//! The size determines to which a block belongs. So a small block is never returned with more bytes than the largest
//! small size: whatever size it is freed with, it is small.
//!
//! * Allocate and free: a comparison in addition to the cost of the two.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::AllocError,
    traits::{
        Allocation, Allocator, AtFork, Chunk, ChunkRequest, PendingReport, PoolHooks, RawPool, Release,
        Reserve, relocate,
    },
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
#[derive(Debug)]
pub struct Segregator<A, B> {
    largest: usize,
    small: A,
    large: B,
}

impl<A, B> Segregator<A, B> {
    /// Creates a guard that sends requests of at most `largest` bytes to `small`, and the others to `large`.
    #[must_use]
    pub const fn new(largest: usize, small: A, large: B) -> Self {
        Self { largest, small, large }
    }

    /// Returns the size in bytes up to which a request is small.
    #[must_use]
    pub fn largest_small(&self) -> usize {
        self.largest
    }

    /// Returns a reference to what serves small requests.
    #[must_use]
    pub fn small(&self) -> &A {
        &self.small
    }

    /// Returns a reference to what serves large requests.
    #[must_use]
    pub fn large(&self) -> &B {
        &self.large
    }

    #[inline(always)]
    fn is_small(&self, layout: Layout) -> bool {
        layout.size() <= self.largest
    }

    /// Truncates a small block to the largest small size.
    #[inline(always)]
    fn truncate(&self, block: NonNull<[u8]>) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(block.cast(), block.len().min(self.largest))
    }
}

impl<A: Allocator, B: Allocator> Segregator<A, B> {
    /// Resizes a block within `small` or within `large`; calls `moving` if it has to change between them.
    fn resize(
        &self,
        (old, new): (Layout, Layout),
        small: impl FnOnce(&A) -> Allocation,
        large: impl FnOnce(&B) -> Allocation,
        moving: impl FnOnce() -> Allocation,
    ) -> Allocation {
        match (self.is_small(old), self.is_small(new)) {
            (true, true) => small(&self.small).map(|block| self.truncate(block)),
            (false, false) => large(&self.large),
            _ => moving(),
        }
    }
}

// SAFETY: every block is one of the two allocators, which uphold the contract, and every size that fits it determines
// which.
unsafe impl<A: Allocator, B: Allocator> Allocator for Segregator<A, B> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Allocation {
        if self.is_small(layout) {
            Ok(self.truncate(self.small.allocate(layout)?))
        } else {
            self.large.allocate(layout)
        }
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if self.is_small(layout) {
            // SAFETY: `small` handed out the block, and the caller upholds the contract of `deallocate`, which is the
            // same.
            unsafe { self.small.deallocate(block, layout) };
        } else {
            // SAFETY: `large` handed out the block, and the caller upholds the contract of `deallocate`, which is the
            // same.
            unsafe { self.large.deallocate(block, layout) };
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        if self.is_small(layout) {
            self.small.may_deallocate(block, layout)
        } else {
            self.large.may_deallocate(block, layout)
        }
    }

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        if self.is_small(layout) {
            // SAFETY: the block is one of this side, and the caller upholds the contract of `damage`, which is the same.
            unsafe { self.small.damage(block, layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.large.damage(block, layout) }
        }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        if self.is_small(layout) {
            Ok(self.truncate(self.small.allocate_zeroed(layout)?))
        } else {
            self.large.allocate_zeroed(layout)
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow`, and the size determines which of the two handed out the
        // block.
        unsafe {
            self.resize(
                (old, new),
                |small| small.grow(block, old, new),
                |large| large.grow(block, old, new),
                || relocate(self, block, old, new),
            )
        }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink`, and the size determines which of the two handed out the
        // block.
        unsafe {
            self.resize(
                (old, new),
                |small| small.shrink(block, old, new),
                |large| large.shrink(block, old, new),
                || relocate(self, block, old, new),
            )
        }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_in_place`, and the size determines which of the two handed
        // out the block.
        unsafe {
            self.resize(
                (old, new),
                |small| small.grow_in_place(block, old, new),
                |large| large.grow_in_place(block, old, new),
                || Err(AllocError::InPlace),
            )
        }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink_in_place`, and the size determines which of the two handed
        // out the block.
        unsafe {
            self.resize(
                (old, new),
                |small| small.shrink_in_place(block, old, new),
                |large| large.shrink_in_place(block, old, new),
                || Err(AllocError::InPlace),
            )
        }
    }

    fn is_fine_grained(&self) -> bool {
        self.small.is_fine_grained() && self.large.is_fine_grained()
    }
}

// SAFETY: every block is one of the two pools, which uphold the contract, and every size that fits it determines which.
unsafe impl<P: RawPool, Q: RawPool> RawPool for Segregator<P, Q> {
    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if self.is_small(layout) {
            self.small.allocate(layout).map(|block| self.truncate(block))
        } else {
            self.large.allocate(layout)
        }
    }

    #[inline]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        if self.is_small(layout) {
            // SAFETY: `small` handed out the block, and the caller upholds the contract of `deallocate`, which is the
            // same.
            unsafe { self.small.deallocate(block, layout) };
        } else {
            // SAFETY: `large` handed out the block, and the caller upholds the contract of `deallocate`, which is the
            // same.
            unsafe { self.large.deallocate(block, layout) };
        }
    }

    /// Does not use [`deallocate`](RawPool::deallocate): what that finds would be reported only after a later call.
    #[inline]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        if self.is_small(layout) {
            // SAFETY: `small` handed out the block, and the caller upholds the contract of `deallocate_hot`, which is
            // the same.
            unsafe { self.small.deallocate_hot(block, layout) }
        } else {
            // SAFETY: `large` handed out the block, and the caller upholds the contract of `deallocate_hot`, which is
            // the same.
            unsafe { self.large.deallocate_hot(block, layout) }
        }
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        if self.is_small(layout) {
            self.small.chunk_request(layout)
        } else {
            self.large.chunk_request(layout)
        }
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        if self.is_small(layout) {
            // SAFETY: the caller upholds the contract of `add_chunk`, which is the same.
            unsafe { self.small.add_chunk(chunk, layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.large.add_chunk(chunk, layout) }
        }
    }

    fn collect_empty(&mut self) {
        self.small.collect_empty();
        self.large.collect_empty();
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        self.small.release_chunk(which).or_else(|| self.large.release_chunk(which))
    }

    fn reset(&mut self) {
        self.small.reset();
        self.large.reset();
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        match (self.is_small(old), self.is_small(new)) {
            (true, true) => {
                // SAFETY: `small` handed out the block, and the caller upholds the contract of `resize_in_place`, which
                // is the same.
                let resized = unsafe { self.small.resize_in_place(block, old, new) }?;
                Some(self.truncate(resized))
            }
            // SAFETY: `large` handed out the block, and the caller upholds the contract of `resize_in_place`, which is
            // the same.
            (false, false) => unsafe { self.large.resize_in_place(block, old, new) },
            _ => None,
        }
    }
}

impl<P: RawPool, Q: RawPool> PoolHooks for Segregator<P, Q> {
    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        if self.is_small(layout) {
            // SAFETY: the block is one of this side, and the caller upholds the contract of `damage`, which is the same.
            unsafe { self.small.damage(block, layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.large.damage(block, layout) }
        }
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        if self.is_small(layout) {
            self.small.may_deallocate(block, layout)
        } else {
            self.large.may_deallocate(block, layout)
        }
    }

    #[inline]
    fn passes_through(&self, layout: Layout) -> bool {
        if self.is_small(layout) {
            self.small.passes_through(layout)
        } else {
            self.large.passes_through(layout)
        }
    }

    fn may_allocate(&self, layout: Layout) -> Result<(), AllocError> {
        if self.is_small(layout) { self.small.may_allocate(layout) } else { self.large.may_allocate(layout) }
    }

    fn note_failure(&mut self, layout: Layout) {
        if self.is_small(layout) { self.small.note_failure(layout) } else { self.large.note_failure(layout) }
    }

    fn release_held(&mut self) -> bool {
        self.small.release_held() | self.large.release_held()
    }

    fn before_drop(&mut self) {
        self.small.before_drop();
        self.large.before_drop();
    }

    fn pending_report(&mut self) -> Option<PendingReport> {
        self.small.pending_report().or_else(|| self.large.pending_report())
    }
}

impl<P: Reserve, Q: Reserve> Reserve for Segregator<P, Q> {
    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        if self.is_small(layout) {
            self.small.reserve_request(layout, count)
        } else {
            self.large.reserve_request(layout, count)
        }
    }

    unsafe fn add_reserved_chunk(&mut self, chunk: Chunk, layout: Layout, count: usize) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_reserved_chunk`, which is the same for either pool.
        unsafe {
            if self.is_small(layout) {
                self.small.add_reserved_chunk(chunk, layout, count)
            } else {
                self.large.add_reserved_chunk(chunk, layout, count)
            }
        }
    }

    fn release_reserved_chunk(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        if self.is_small(layout) {
            self.small.release_reserved_chunk(layout, count)
        } else {
            self.large.release_reserved_chunk(layout, count)
        }
    }
}

super::pair::inspect_both!(Segregator, small, large);

impl<A: Allocator + AtFork, B: Allocator + AtFork> AtFork for Segregator<A, B> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.small);
        visit(&self.large);
    }
}
