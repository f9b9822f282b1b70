//! Blocks by their numbers: which are free, and where they lie. All of a [`LockFree`](super::LockFree) but its parent and the
//! shape of its blocks.

use core::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use super::{
    super::{
        growth::{Growth, give_back},
        inbox::Owned,
        line::Line,
    },
    list::{Links, List, Terms},
    segment::Segment,
    segments::Segments,
    trim,
};
use crate::{
    base::{AllocError, atomic::Ordering},
    contract::{Allocator, AtFork},
};

/// (`T` says what it relies on, and models take it away.)
///
/// # Invariants
///
/// * Every block that was ever handed out is in the list, or in somebody's hands, or its segment's blocks have gone.
#[repr(C)]
pub(in crate::share) struct Numbered<T> {
    pub(super) free: Line<List<T>>,
    pub(super) segments: Segments<T>,
    pub(super) growth: Growth,
    /// Whether somebody is returning blocks to the parent.
    trimming: Owned<T>,
}

impl<T: Terms> Numbered<T> {
    /// Without blocks; the first chunk will have room for `first`.
    pub(in crate::share) const fn new(first: usize) -> Self {
        Self {
            free: Line(List::new()),
            segments: Segments::new(first),
            growth: Growth::new(),
            trimming: Owned::new(),
        }
    }

    /// A freed block, if the first one is in the first segment.
    #[inline(always)]
    pub(super) fn take_hot(&self, size: usize) -> Option<NonNull<u8>> {
        let near = self.segments.near();
        self.free.0.take(&near, |number| near.block(number, size))
    }

    /// A freed block.
    fn take(&self, size: usize) -> Option<NonNull<u8>> {
        self.free.0.take(&self.segments, |number| self.segments.block(number, size))
    }

    /// A block that was never handed out; else, as one may have come back meanwhile, a freed one after all. So `None` means
    /// that there was an instant at which no block was free, or that somebody is [asking](Growth) or returning blocks.
    fn take_fresh(&self, size: usize) -> Option<NonNull<u8>> {
        match self.segments.claim() {
            Some(number) => self.segments.block(number, size),
            None => self.take(size),
        }
    }

    /// A block, whatever that takes.
    pub(in crate::share) fn allocate<A: Allocator>(
        &self,
        parent: &A,
        block: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        if let Some(block) = self.take(block.size()) {
            return Ok(block);
        }
        loop {
            if let Some(block) = self.take_fresh(block.size()) {
                return Ok(block);
            }
            if let Err(error) = self.grow(parent, block) {
                // Meanwhile somebody may have freed a block.
                return self.take_fresh(block.size()).ok_or(error);
            }
        }
    }

    /// Fills places with freed blocks, as many as there are, and says how many.
    pub(super) fn take_many(&self, size: usize, places: &mut [MaybeUninit<NonNull<u8>>]) -> usize {
        self.free.0.take_many(&self.segments, places.len(), |place, number| {
            if let Some(block) = self.segments.block(number, size) {
                places[place].write(block);
            }
        })
    }

    /// Takes back a block of this pool.
    #[inline(always)]
    pub(in crate::share) fn put(&self, block: NonNull<u8>, size: usize) {
        let near = self.segments.near();
        match near.number_of(block.addr().get(), size) {
            Some(number) => self.free.0.put(&near, number),
            None => self.put_far(block, size),
        }
    }

    /// Takes back a block that is not in the first segment.
    #[cold]
    #[inline(never)]
    fn put_far(&self, block: NonNull<u8>, size: usize) {
        let number = self.segments.number_of(block.addr().get(), size);
        debug_assert!(number.is_some(), "freed a block of another pool");
        if let Some(number) = number {
            self.free.0.put(&self.segments, number);
        }
    }

    /// Takes back blocks of this pool, none of them twice.
    pub(super) fn put_many(&self, blocks: &[NonNull<u8>], size: usize) {
        let number_of = |block: &NonNull<u8>| self.segments.number_of(block.addr().get(), size);
        let mut numbers = blocks.iter().filter_map(number_of);
        let Some(front) = numbers.next() else { return };
        let back = numbers.fold(front, |back, number| {
            self.segments.link(back).store(number, Ordering::Relaxed);
            number
        });
        self.free.0.put_chain(&self.segments, front, back);
    }

    /// Returns the chunks of blocks of which none is live to the parent; says how many bytes that were.
    pub(in crate::share) fn trim<A: Allocator>(&self, parent: &A, block: Layout) -> usize {
        if !self.trimming.begin() {
            return 0;
        }
        let mut returned = 0;
        if let Some(which) = trim::candidates(&self.free.0, &self.segments) {
            // Whoever finds nothing meanwhile, neither here nor at the parent, waits for the end, and tries again.
            let turn = self.growth.begin();
            // SAFETY: the chunk came from this parent, for this alignment, and nobody uses it any more.
            let give_back = |blocks| unsafe { give_back(parent, blocks, block.align()) };
            returned = trim::dismiss(&self.free.0, &self.segments, &which, give_back);
            self.growth.end(turn, true);
        }
        self.trimming.end();
        returned
    }

    /// As if no block had been handed out.
    pub(super) fn reset(&mut self) {
        self.free.0.clear();
        self.segments.forget();
    }

    /// Returns every segment to the parent.
    ///
    /// # Safety
    ///
    /// Nobody holds a block, and all came from this parent, for blocks of this alignment.
    pub(in crate::share) unsafe fn release<A: Allocator>(&mut self, parent: &A, align: usize) {
        // SAFETY: the caller's promises.
        unsafe { self.segments.release(0, parent, align) };
    }

    /// Returns every segment to the parent whose blocks have gone, tables included, from the newest on up to one whose blocks are
    /// here; and the first, if it is the only one and all of its blocks are free. Says how many bytes that were.
    pub(super) fn release_gone<A: Allocator>(&mut self, parent: &A, align: usize) -> usize {
        let is_here = |(index, segment): (usize, &Segment)| (segment.here() != 0).then_some(index + 1);
        let mut kept = self.segments.iter().enumerate().filter_map(is_here).last().unwrap_or(0);
        if kept == 1 && self.check().is_ok() && self.listed(usize::MAX) == self.had() {
            self.free.0.clear();
            kept = 0;
        }
        // SAFETY: no block is live behind that, and so nobody holds one; all is of this parent.
        unsafe { self.segments.release(kept, parent, align) }
    }
}

/// In the child of a fork, nobody waits for threads that it has not got. What they had in hand is lost.
impl<T: Terms> AtFork for Numbered<T> {
    unsafe fn child(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.growth.child() };
        self.trimming.end();
    }
}
