//! Blocks by their numbers: which are free, and where they lie. This is everything in a [`LockFree`](super::LockFree)
//! except its parent and the layout of its blocks.

use core::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use super::{super::remote_free::OwnerFlag, segment::Segment, segments::Segments, trim};
use crate::{
    base::{AllocError, atomic::Ordering},
    sync::{
        cache_padded::CachePadded,
        growth_barrier::{GrowthBarrier, return_chunk},
        ordering::Orderings,
        treiber_stack::{LinkTable, TreiberStack},
    },
    traits::{Allocator, AtFork},
};

/// (`T` provides the orderings, which models weaken.)
///
/// # Invariants
///
/// * Every block that was ever handed out is in the list or held by a thread, or the blocks of its segment were
///   returned.
#[repr(C)]
pub(in crate::shell) struct Numbered<T> {
    pub(super) free: CachePadded<TreiberStack<T>>,
    pub(super) segments: Segments<T>,
    pub(super) growth_barrier: GrowthBarrier,
    /// Whether a thread is returning blocks to the parent.
    trimming: OwnerFlag<T>,
}

impl<T: Orderings> Numbered<T> {
    /// Creates a pool without blocks; the first chunk will have room for `first`.
    pub(in crate::shell) const fn new(first: usize) -> Self {
        Self {
            free: CachePadded(TreiberStack::new()),
            segments: Segments::new(first),
            growth_barrier: GrowthBarrier::new(),
            trimming: OwnerFlag::new(),
        }
    }

    /// Pops a freed block, if the first one is in the first segment.
    #[inline(always)]
    pub(super) fn pop_hot(&self, size: usize) -> Option<NonNull<u8>> {
        let first_segment = self.segments.first_segment();
        self.free.0.pop(&first_segment, |number| first_segment.block(number, size))
    }

    /// Pops a freed block.
    fn pop(&self, size: usize) -> Option<NonNull<u8>> {
        self.free.0.pop(&self.segments, |number| self.segments.block(number, size))
    }

    /// Claims a block that was never handed out; otherwise pops a freed block after all, since one may have been freed
    /// meanwhile. `None` therefore means that at some instant no block was free, or that a thread is
    /// [requesting](GrowthBarrier) or returning blocks.
    fn pop_fresh(&self, size: usize) -> Option<NonNull<u8>> {
        match self.segments.claim() {
            Some(number) => self.segments.block(number, size),
            None => self.pop(size),
        }
    }

    /// Allocates a block, growing the pool if necessary.
    pub(in crate::shell) fn allocate<A: Allocator>(
        &self,
        parent: &A,
        block: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        if let Some(block) = self.pop(block.size()) {
            return Ok(block);
        }
        loop {
            if let Some(block) = self.pop_fresh(block.size()) {
                return Ok(block);
            }
            if let Err(error) = self.grow(parent, block) {
                // Another thread may have freed a block in the meantime.
                return self.pop_fresh(block.size()).ok_or(error);
            }
        }
    }

    /// Fills places with freed blocks, as many as there are, and returns their number.
    pub(super) fn pop_many(&self, size: usize, places: &mut [MaybeUninit<NonNull<u8>>]) -> usize {
        self.free.0.pop_many(&self.segments, places.len(), |place, number| {
            if let Some(block) = self.segments.block(number, size) {
                places[place].write(block);
            }
        })
    }

    /// Frees a block of this pool.
    #[inline(always)]
    pub(in crate::shell) fn push(&self, block: NonNull<u8>, size: usize) {
        let first_segment = self.segments.first_segment();
        match first_segment.number_of(block.addr().get(), size) {
            Some(number) => self.free.0.push(&first_segment, number),
            None => self.put_far(block, size),
        }
    }

    /// Frees a block that is not in the first segment.
    #[cold]
    #[inline(never)]
    fn put_far(&self, block: NonNull<u8>, size: usize) {
        let number = self.segments.number_of(block.addr().get(), size);
        debug_assert!(number.is_some(), "freed a block of another pool");
        if let Some(number) = number {
            self.free.0.push(&self.segments, number);
        }
    }

    /// Frees blocks of this pool, none of them twice.
    pub(super) fn put_many(&self, blocks: &[NonNull<u8>], size: usize) {
        let number_of = |block: &NonNull<u8>| self.segments.number_of(block.addr().get(), size);
        let mut numbers = blocks.iter().filter_map(number_of);
        let Some(front) = numbers.next() else { return };
        let back = numbers.fold(front, |back, number| {
            self.segments.link(back).store(number, Ordering::Relaxed);
            number
        });
        self.free.0.push_chain(&self.segments, front, back);
    }

    /// Returns the chunks of blocks of which none is live to the parent; returns their total size in bytes.
    pub(in crate::shell) fn trim<A: Allocator>(&self, parent: &A, block: Layout) -> usize {
        if !self.trimming.begin() {
            return 0;
        }
        let mut returned = 0;
        if let Some(which) = trim::candidates(&self.free.0, &self.segments) {
            // A thread that finds no block meanwhile, neither here nor at the parent, waits for the end and retries.
            let ticket = self.growth_barrier.begin();
            // SAFETY: the chunk came from this parent, for this alignment, and is no longer in use.
            let return_chunk = |blocks| unsafe { return_chunk(parent, blocks, block.align()) };
            returned = trim::dismiss(&self.free.0, &self.segments, &which, return_chunk);
            self.growth_barrier.end(ticket, true);
        }
        self.trimming.end();
        returned
    }

    /// Resets the pool to the state in which no block was handed out.
    pub(super) fn reset(&mut self) {
        self.free.0.clear();
        self.segments.forget();
    }

    /// Returns every segment to the parent.
    ///
    /// # Safety
    ///
    /// No thread holds a block, and all segments came from this parent, for blocks of this alignment.
    pub(in crate::shell) unsafe fn release<A: Allocator>(&mut self, parent: &A, align: usize) {
        // SAFETY: no thread holds a block, and all segments came from this parent, for blocks of this alignment, as the
        // caller guarantees.
        unsafe { self.segments.release(0, parent, align) };
    }

    /// Returns to the parent every segment whose blocks were returned, with its table, from the newest one to the first
    /// whose blocks are present; and the first segment, if it is the only one and all of its blocks are free. Returns
    /// the total size in bytes.
    pub(super) fn release_gone<A: Allocator>(&mut self, parent: &A, align: usize) -> usize {
        let is_here = |(index, segment): (usize, &Segment)| (segment.here() != 0).then_some(index + 1);
        let mut kept = self.segments.iter().enumerate().filter_map(is_here).last().unwrap_or(0);
        if kept == 1 && self.check().is_ok() && self.listed(usize::MAX) == self.had() {
            self.free.0.clear();
            kept = 0;
        }
        // SAFETY: no block from there on is live, so no thread holds one; all segments are of this parent.
        unsafe { self.segments.release(kept, parent, align) }
    }
}

/// In the child of a fork, the other threads do not exist, so their requests are forgotten. The blocks they held are
/// lost.
// SAFETY: there are no parts, and nothing is locked.
unsafe impl<T: Orderings> AtFork for Numbered<T> {
    unsafe fn child(&self) {
        // SAFETY: this is the only thread of the child, as the caller guarantees.
        unsafe { self.growth_barrier.child() };
        self.trimming.end();
    }
}
