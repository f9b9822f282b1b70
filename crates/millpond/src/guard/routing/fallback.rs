//! A guard that tries one pool or allocator, and then another.
//!
//! When a block is freed, the first is asked whether it owns the block; if not, the block is the second's. To make this
//! always correct, the same is asked when a block is handed out. Two kinds of blocks are freed at once: one that the
//! first hands out but does not own (it passed through its pool), and one of the second that the first owns (the second
//! gets its memory from the first).
//!
//! * Allocate and free: the cost of the two, plus `owns` of the first, which is linear in its chunks.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::{AllocError, address},
    traits::{
        Allocation, Allocator, AtFork, Chunk, ChunkRequest, Inspect, PendingReport, PoolHooks, RawPool,
        Release, Reserve,
    },
};

/// Sends requests that the first cannot serve to the second.
///
/// Around two allocators: for example, a pool on a buffer with the heap behind it. Around two pools in one shell: what
/// the first never serves, or a guard around it refuses, goes to the second; both grow from the shell's parent.
///
/// ```
/// use core::{alloc::Layout, mem::MaybeUninit};
/// use millpond::{Allocator, Blocks, Buffer, Fixed, Heap, Inspect, Local, guard::Fallback};
///
/// // Sixteen blocks without a call of malloc, and more from the heap if needed.
/// let mut bytes = [MaybeUninit::uninit(); 1024 + 8];
/// let few = Local::new_in(Blocks::<Fixed<64>>::new(), Buffer::new(&mut bytes));
/// let pool = Fallback::new(few, Heap);
/// let layout = Layout::new::<[u64; 8]>();
/// let blocks: Vec<_> = (0..20).filter_map(|_| pool.allocate(layout).ok()).collect();
/// assert_eq!((blocks.len(), pool.first().stats().live), (20, 16 * 64));
/// for block in blocks {
///     // SAFETY: the block is live, and was handed out for this layout.
///     unsafe { pool.deallocate(block.cast(), layout) };
/// }
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Debug)]
pub struct Fallback<A, B> {
    first: A,
    second: B,
}

impl<A, B> Fallback<A, B> {
    /// Creates a guard that tries `first`, and then `second` if that fails.
    #[must_use]
    pub const fn new(first: A, second: B) -> Self {
        Self { first, second }
    }

    /// Returns a reference to the one that is tried first.
    #[must_use]
    pub fn first(&self) -> &A {
        &self.first
    }

    /// Returns a reference to the one that is tried when the first fails.
    #[must_use]
    pub fn second(&self) -> &B {
        &self.second
    }
}

impl<A: Inspect, B> Fallback<A, B> {
    fn owned_by_first(&self, block: NonNull<u8>) -> bool {
        self.first.owns(block.as_ptr())
    }
}

impl<A: Allocator + Inspect, B: Allocator> Fallback<A, B> {
    /// Requests a block from one after the other.
    fn ask(
        &self,
        layout: Layout,
        first: impl FnOnce(&A) -> Allocation,
        second: impl FnOnce(&B) -> Allocation,
    ) -> Allocation {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        if let Ok(block) = first(&self.first) {
            if self.owned_by_first(block.cast()) {
                return Ok(block);
            }
            // SAFETY: the block was just handed out, and its returned length fits it.
            unsafe { self.first.deallocate(block.cast(), as_returned(block, layout)) };
        }
        let block = second(&self.second)?;
        if self.owned_by_first(block.cast()) {
            // SAFETY: as above.
            unsafe { self.second.deallocate(block.cast(), as_returned(block, layout)) };
            return Err(AllocError::Exhausted);
        }
        Ok(block)
    }
}

/// Returns the layout of a whole block that was requested as `layout`.
fn as_returned(block: NonNull<[u8]>, layout: Layout) -> Layout {
    // A block is never so large that there is no layout for it.
    Layout::from_size_align(block.len(), layout.align()).unwrap_or(layout)
}

// SAFETY: every block is one of `first` or `second`, which uphold the contract. `first` owns it or not, as it did when
// it was handed out (see the contract for `owns`), so it is freed to the one that handed it out.
unsafe impl<A: Allocator + Inspect, B: Allocator> Allocator for Fallback<A, B> {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.ask(layout, |first| first.allocate(layout), |second| second.allocate(layout))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        if self.owned_by_first(block) {
            // SAFETY: `first` handed out the block, and the caller upholds the contract of `deallocate`, which is the
            // same.
            unsafe { self.first.deallocate(block, layout) };
        } else {
            // SAFETY: `second` handed out the block, and the caller upholds the contract of `deallocate`, which is the
            // same.
            unsafe { self.second.deallocate(block, layout) };
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        if self.owned_by_first(block) {
            self.first.may_deallocate(block, layout)
        } else {
            self.second.may_deallocate(block, layout)
        }
    }

    /// Asks both, because a request may reach both.
    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        match block {
            // SAFETY: the block is one of this side, and the caller upholds the contract of `damage`, which is the same.
            Some(start) if self.owned_by_first(start) => unsafe { self.first.damage(block, layout) },
            // SAFETY: as above.
            Some(_) => unsafe { self.second.damage(block, layout) },
            // SAFETY: there is no block.
            None => unsafe { self.first.damage(None, layout).or_else(|| self.second.damage(None, layout)) },
        }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.ask(layout, |first| first.allocate_zeroed(layout), |second| second.allocate_zeroed(layout))
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if old.size() == 0 {
            return Err(AllocError::InPlace);
        }
        if self.owned_by_first(block) {
            // SAFETY: `first` handed out the block, and the caller upholds the contract of `grow_in_place`, which is
            // the same.
            unsafe { self.first.grow_in_place(block, old, new) }
        } else {
            // SAFETY: `second` handed out the block, and the caller upholds the contract of `grow_in_place`, which is
            // the same.
            unsafe { self.second.grow_in_place(block, old, new) }
        }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if old.size() == 0 || new.size() == 0 {
            return Err(AllocError::InPlace);
        }
        if self.owned_by_first(block) {
            // SAFETY: `first` handed out the block, and the caller upholds the contract of `shrink_in_place`, which is
            // the same.
            unsafe { self.first.shrink_in_place(block, old, new) }
        } else {
            // SAFETY: `second` handed out the block, and the caller upholds the contract of `shrink_in_place`, which is
            // the same.
            unsafe { self.second.shrink_in_place(block, old, new) }
        }
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        self.ask(
            least,
            |first| first.allocate_between(least, preferred),
            |second| second.allocate_between(least, preferred),
        )
    }

    fn is_fine_grained(&self) -> bool {
        self.first.is_fine_grained() && self.second.is_fine_grained()
    }
}

// SAFETY: every block is one of the two pools, which uphold the contract. Each lies in a chunk of its pool, and no
// chunk belongs to both, so `owns` of the first finds the right pool.
unsafe impl<P: RawPool + Inspect, Q: RawPool> RawPool for Fallback<P, Q> {
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.first.allocate(layout).or_else(|| self.second.allocate(layout))
    }

    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        if self.owned_by_first(block) {
            // SAFETY: `first` handed out the block, and the caller upholds the contract of `deallocate`, which is the
            // same.
            unsafe { self.first.deallocate(block, layout) };
        } else {
            // SAFETY: `second` handed out the block, and the caller upholds the contract of `deallocate`, which is the
            // same.
            unsafe { self.second.deallocate(block, layout) };
        }
    }

    /// Does not use [`deallocate`](RawPool::deallocate): what that finds would be reported only after a later call.
    #[inline]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        if self.owned_by_first(block) {
            // SAFETY: `first` handed out the block, and the caller upholds the contract of `deallocate_hot`, which is
            // the same.
            unsafe { self.first.deallocate_hot(block, layout) }
        } else {
            // SAFETY: `second` handed out the block, and the caller upholds the contract of `deallocate_hot`, which is
            // the same.
            unsafe { self.second.deallocate_hot(block, layout) }
        }
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        if self.first_serves(layout) {
            self.first.chunk_request(layout)
        } else {
            self.second.chunk_request(layout)
        }
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        if self.first_serves(layout) {
            // SAFETY: the caller upholds the contract of `add_chunk`, which is the same.
            unsafe { self.first.add_chunk(chunk, layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.second.add_chunk(chunk, layout) }
        }
    }

    fn collect_empty(&mut self) {
        self.first.collect_empty();
        self.second.collect_empty();
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        self.first.release_chunk(which).or_else(|| self.second.release_chunk(which))
    }

    fn reset(&mut self) {
        self.first.reset();
        self.second.reset();
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        if self.owned_by_first(block) {
            // SAFETY: `first` handed out the block, and the caller upholds the contract of `resize_in_place`, which is
            // the same.
            unsafe { self.first.resize_in_place(block, old, new) }
        } else {
            // SAFETY: `second` handed out the block, and the caller upholds the contract of `resize_in_place`, which is
            // the same.
            unsafe { self.second.resize_in_place(block, old, new) }
        }
    }
}

impl<P: RawPool + Inspect, Q: RawPool> PoolHooks for Fallback<P, Q> {
    /// Asks both, because a request may reach both.
    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        match block {
            // SAFETY: the block is one of this side, and the caller upholds the contract of `damage`, which is the same.
            Some(start) if self.owned_by_first(start) => unsafe { self.first.damage(block, layout) },
            // SAFETY: as above.
            Some(_) => unsafe { self.second.damage(block, layout) },
            // SAFETY: there is no block.
            None => unsafe { self.first.damage(None, layout).or_else(|| self.second.damage(None, layout)) },
        }
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        if self.owned_by_first(block) {
            self.first.may_deallocate(block, layout)
        } else {
            self.second.may_deallocate(block, layout)
        }
    }

    /// Returns true for what the first never serves and passes through the second.
    fn passes_through(&self, layout: Layout) -> bool {
        self.second.passes_through(layout) && self.first.chunk_request(layout).is_none()
    }

    fn may_allocate(&self, layout: Layout) -> Result<(), AllocError> {
        self.first.may_allocate(layout).or_else(|refused| {
            if self.second.chunk_request(layout).is_some() {
                self.second.may_allocate(layout)
            } else {
                Err(refused)
            }
        })
    }

    fn note_failure(&mut self, layout: Layout) {
        self.first.note_failure(layout);
        self.second.note_failure(layout);
    }

    fn release_held(&mut self) -> bool {
        self.first.release_held() | self.second.release_held()
    }

    fn before_drop(&mut self) {
        self.first.before_drop();
        self.second.before_drop();
    }

    fn pending_report(&mut self) -> Option<PendingReport> {
        self.first.pending_report().or_else(|| self.second.pending_report())
    }
}

/// Room is reserved in the first for as many requests as it may serve, and in the second for the others.
impl<P: Reserve + Inspect, Q: Reserve> Reserve for Fallback<P, Q> {
    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        let from_first = self.share_of_first(layout, count);
        if from_first != 0
            && let Some(request) = self.first.reserve_request(layout, from_first)?
        {
            return Ok(Some(request));
        }
        if from_first == count {
            return Ok(None);
        }
        if self.second.chunk_request(layout).is_none() {
            // The second never serves such requests, so the reason is that of the first.
            return self.first.reserve_request(layout, count);
        }
        self.second.reserve_request(layout, count - from_first)
    }

    unsafe fn add_reserved_chunk(&mut self, chunk: Chunk, layout: Layout, count: usize) -> Result<(), Chunk> {
        let from_first = self.share_of_first(layout, count);
        // SAFETY: the caller upholds the contract of `add_reserved_chunk`, which is the same for either pool.
        unsafe {
            if from_first != 0 && !matches!(self.first.reserve_request(layout, from_first), Ok(None)) {
                self.first.add_reserved_chunk(chunk, layout, from_first)
            } else {
                self.second.add_reserved_chunk(chunk, layout, count - from_first)
            }
        }
    }

    fn release_reserved_chunk(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        let from_first = self.share_of_first(layout, count);
        let seconds = if from_first < count {
            self.second.release_reserved_chunk(layout, count - from_first)
        } else {
            None
        };
        seconds.or_else(|| self.first.release_reserved_chunk(layout, from_first))
    }
}

impl<P: Reserve, Q> Fallback<P, Q> {
    /// Returns how many of `count` requests the first will serve: as many as it may. O(log `count`) queries to the
    /// first.
    fn share_of_first(&self, layout: Layout, count: usize) -> usize {
        let may_serve = |count| self.first.reserve_request(layout, count).is_ok();
        if may_serve(count) {
            return count;
        }
        let (mut some, mut too_many) = (0, count);
        while too_many - some > 1 {
            let middle = some.midpoint(too_many);
            if may_serve(middle) { some = middle } else { too_many = middle }
        }
        some
    }
}

impl<P: RawPool, Q> Fallback<P, Q> {
    /// Returns whether the first pool would serve such a request if there were a chunk for it.
    fn first_serves(&self, layout: Layout) -> bool {
        self.first.chunk_request(layout).is_some() && self.first.may_allocate(layout).is_ok()
    }
}

super::pair::inspect_both!(Fallback, first, second);

impl<A: Allocator + AtFork, B: Allocator + AtFork> AtFork for Fallback<A, B> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.first);
        visit(&self.second);
    }
}
