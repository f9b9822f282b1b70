//! Small requests to one, large ones to another.
//!
//! The size says whose a block is, so a small block is never returned with more bytes than the largest small one has:
//! whatever size it is freed with, it is small.
//!
//! * Allocate and free: a comparison on top of what the two take.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::AllocError,
    contract::{
        Allocator, AtFork, Chunk, ChunkRequest, Complaint, RawPool, Reserve, Surrender, at_fork, relocate,
    },
};

type Block = Result<NonNull<[u8]>, AllocError>;

/// Requests of at most so many bytes go to one, all others to another. Around two allocators, or around two pools in one
/// shell, which both grow from its parent.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Heap, Inspect, Linear, Local, Segregate};
///
/// let small = Local::new(Blocks::<Fixed<64>>::new());
/// let pool = Segregate::new(64, small, Heap);
/// pool.allocate(Layout::new::<[u8; 64]>())?; // from the pool
/// # let large =
/// pool.allocate(Layout::new::<[u8; 65]>())?; // from the heap
/// assert_eq!(pool.small().stats().live, 64);
/// # unsafe { pool.deallocate(large.cast(), Layout::new::<[u8; 65]>()) };
///
/// let in_one_shell = Local::new(Segregate::new(64, Blocks::<Fixed<64>>::new(), Linear::new()));
/// in_one_shell.allocate(Layout::new::<[u8; 1000]>())?;
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Debug)]
pub struct Segregate<A, B> {
    largest: usize,
    small: A,
    large: B,
}

impl<A, B> Segregate<A, B> {
    /// Sends requests of at most `largest` bytes to `small`, and the others to `large`.
    #[must_use]
    pub const fn new(largest: usize, small: A, large: B) -> Self {
        Self { largest, small, large }
    }

    /// The size in bytes up to which a request is small.
    #[must_use]
    pub fn largest_small(&self) -> usize {
        self.largest
    }

    /// What serves small requests, to look at.
    #[must_use]
    pub fn small(&self) -> &A {
        &self.small
    }

    /// What serves large requests, to look at.
    #[must_use]
    pub fn large(&self) -> &B {
        &self.large
    }

    #[inline(always)]
    fn is_small(&self, layout: Layout) -> bool {
        layout.size() <= self.largest
    }

    /// A small block without what would make it large.
    #[inline(always)]
    fn cut(&self, block: NonNull<[u8]>) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(block.cast(), block.len().min(self.largest))
    }
}

impl<A: Allocator, B: Allocator> Segregate<A, B> {
    /// Resizes a block with the one that has it and will have it; another way if that changes.
    fn resize(
        &self,
        (old, new): (Layout, Layout),
        small: impl FnOnce(&A) -> Block,
        large: impl FnOnce(&B) -> Block,
        between: impl FnOnce() -> Block,
    ) -> Block {
        match (self.is_small(old), self.is_small(new)) {
            (true, true) => small(&self.small).map(|block| self.cut(block)),
            (false, false) => large(&self.large),
            _ => between(),
        }
    }
}

// SAFETY: every block is one of the two allocators', which keep the contract, and every size that fits it says whose.
unsafe impl<A: Allocator, B: Allocator> Allocator for Segregate<A, B> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Block {
        if self.is_small(layout) {
            Ok(self.cut(self.small.allocate(layout)?))
        } else {
            self.large.allocate(layout)
        }
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if self.is_small(layout) {
            // SAFETY: the block came from `small`, and the caller's promises are passed on.
            unsafe { self.small.deallocate(block, layout) };
        } else {
            // SAFETY: the block came from `large`, and the caller's promises are passed on.
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

    fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        if self.is_small(layout) {
            self.small.damage(block, layout)
        } else {
            self.large.damage(block, layout)
        }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Block {
        if self.is_small(layout) {
            Ok(self.cut(self.small.allocate_zeroed(layout)?))
        } else {
            self.large.allocate_zeroed(layout)
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.resize(
                (old, new),
                |small| small.grow(block, old, new),
                |large| large.grow(block, old, new),
                || relocate(self, block, old, new),
            )
        }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.resize(
                (old, new),
                |small| small.shrink(block, old, new),
                |large| large.shrink(block, old, new),
                || relocate(self, block, old, new),
            )
        }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.resize(
                (old, new),
                |small| small.grow_in_place(block, old, new),
                |large| large.grow_in_place(block, old, new),
                || Err(AllocError::InPlace),
            )
        }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
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

// SAFETY: every block is one of the two pools', which keep the contract, and every size that fits it says whose.
unsafe impl<P: RawPool, Q: RawPool> RawPool for Segregate<P, Q> {
    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if self.is_small(layout) {
            self.small.allocate(layout).map(|block| self.cut(block))
        } else {
            self.large.allocate(layout)
        }
    }

    #[inline]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        if self.is_small(layout) {
            // SAFETY: the block came from `small`, and the caller's promises are passed on.
            unsafe { self.small.deallocate(block, layout) };
        } else {
            // SAFETY: the block came from `large`, and the caller's promises are passed on.
            unsafe { self.large.deallocate(block, layout) };
        }
    }

    /// Not by [`deallocate`](RawPool::deallocate): what that finds would be told only after a later call.
    #[inline]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        if self.is_small(layout) {
            // SAFETY: the block is from `small`, and the caller's promises are passed on.
            unsafe { self.small.deallocate_hot(block, layout) }
        } else {
            // SAFETY: the block is from `large`, and the caller's promises are passed on.
            unsafe { self.large.deallocate_hot(block, layout) }
        }
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        if self.is_small(layout) {
            self.small.may_deallocate(block, layout)
        } else {
            self.large.may_deallocate(block, layout)
        }
    }

    fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        if self.is_small(layout) {
            self.small.damage(block, layout)
        } else {
            self.large.damage(block, layout)
        }
    }

    fn wants(&self, layout: Layout) -> Option<ChunkRequest> {
        if self.is_small(layout) { self.small.wants(layout) } else { self.large.wants(layout) }
    }

    unsafe fn adopt(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        if self.is_small(layout) {
            // SAFETY: the caller's promises are passed on.
            unsafe { self.small.adopt(chunk, layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.large.adopt(chunk, layout) }
        }
    }

    fn settle(&mut self) {
        self.small.settle();
        self.large.settle();
    }

    fn surrender(&mut self, which: Surrender) -> Option<Chunk> {
        self.small.surrender(which).or_else(|| self.large.surrender(which))
    }

    fn reset(&mut self) {
        self.small.reset();
        self.large.reset();
    }

    #[inline]
    fn bypasses(&self, layout: Layout) -> bool {
        if self.is_small(layout) { self.small.bypasses(layout) } else { self.large.bypasses(layout) }
    }

    fn admits(&self, layout: Layout) -> Result<(), AllocError> {
        if self.is_small(layout) { self.small.admits(layout) } else { self.large.admits(layout) }
    }

    fn note_failure(&mut self, layout: Layout) {
        if self.is_small(layout) { self.small.note_failure(layout) } else { self.large.note_failure(layout) }
    }

    fn relent(&mut self) -> bool {
        self.small.relent() | self.large.relent()
    }

    fn retire(&mut self) {
        self.small.retire();
        self.large.retire();
    }

    fn complaint(&mut self) -> Option<Complaint> {
        self.small.complaint().or_else(|| self.large.complaint())
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        match (self.is_small(old), self.is_small(new)) {
            (true, true) => {
                // SAFETY: the block came from `small`, and the caller's promises are passed on.
                let resized = unsafe { self.small.resize_in_place(block, old, new) }?;
                Some(self.cut(resized))
            }
            // SAFETY: the block came from `large`, and the caller's promises are passed on.
            (false, false) => unsafe { self.large.resize_in_place(block, old, new) },
            _ => None,
        }
    }
}

impl<P: Reserve, Q: Reserve> Reserve for Segregate<P, Q> {
    fn lacks(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        if self.is_small(layout) { self.small.lacks(layout, count) } else { self.large.lacks(layout, count) }
    }

    unsafe fn adopt_ahead(&mut self, chunk: Chunk, layout: Layout, count: usize) -> Result<(), Chunk> {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            if self.is_small(layout) {
                self.small.adopt_ahead(chunk, layout, count)
            } else {
                self.large.adopt_ahead(chunk, layout, count)
            }
        }
    }

    fn surrender_ahead(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        if self.is_small(layout) {
            self.small.surrender_ahead(layout, count)
        } else {
            self.large.surrender_ahead(layout, count)
        }
    }
}

super::pair::inspect_both!(Segregate, small, large);

at_fork!([A: Allocator + AtFork, B: Allocator + AtFork] Segregate<A, B>: small, large);
