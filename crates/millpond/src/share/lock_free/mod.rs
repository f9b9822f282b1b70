//! Blocks of one size that threads share without a lock.
//!
//! A [list](list) of the numbers of free blocks, with a tag against ABA, over [segments](segments) that hold the blocks and,
//! beside them, the links. Blocks that were never handed out are claimed by a counter, so growing costs O(1) and touches
//! nothing.

mod inspect;
pub(super) mod list;
mod segment;
mod segments;

use core::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use self::{
    list::{HALF, Links, List, Sound},
    segments::Segments,
};
use super::{
    growth::{Growth, give_back},
    line::Line,
    shell::Packed,
};
use crate::{
    base::{AllocError, address, atomic::Ordering, uninit::assume_init_ref},
    contract::{Allocator, AtFork, at_fork},
    pool::{AnySize, KnownShape, Shape},
    source::DefaultParent,
};

/// Blocks of one size that any number of threads share without a lock: an [`Allocator`], hence a parent.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Fixed, LockFree, StaticBuffer};
///
/// static MEMORY: StaticBuffer<8192> = StaticBuffer::new();
/// static POOL: LockFree<Fixed<64>, &StaticBuffer<8192>> = LockFree::new_in(&MEMORY);
///
/// let layout = Layout::new::<[u64; 8]>();
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| {
///             let block = POOL.allocate(layout).expect("the buffer has 64 bytes");
///             // SAFETY: the block is live, and this pool handed it out for this layout.
///             unsafe { POOL.deallocate(block.cast(), layout) };
///         });
///     }
/// });
/// ```
///
/// For few threads, for threads that must not wait for one another, and for interrupt and signal handlers. Where many threads
/// allocate at a high rate, all of them write to one word of memory, and each has to wait for it to arrive.
///
/// # What is promised
///
/// * *Lock-free*: `allocate` and `deallocate` of a block that is there. A thread tries again only because another thread has
///   succeeded; one that is stopped in the midst of it, at any instruction, keeps nobody else from going on. (Not wait-free:
///   no bound on how often one thread tries again.)
/// * Growing is as good as the parent. Threads that find the pool empty at the same moment each ask the parent, and all but
///   one return what they got; whom it refuses waits for what the others bring, a tenth of a second at most. A pool that must never ask has a parent without more to give, or is grown ahead by
///   [`reserve`](Self::reserve).
/// * *In a signal handler*: allowed wherever growing is, and always if the pool does not grow. *After `fork`*: the child has
///   a pool that is whole; what other threads of its parent held is lost to it.
/// * ABA: a tag of 32 bits that moves with every removal. A thread would have to be stopped in the midst of `allocate` while others
///   remove exactly a multiple of 2³² blocks: 43 seconds at 10⁸ a second, to the block.
/// * Just under 2³¹ blocks, 2³⁰ of them in the first chunk; then requests fail as exhausted, whatever the parent has.
/// * *On targets without 64-bit atomics* numbers and tags have 16 bits each: just under 2¹⁵ blocks, 2¹⁴ of them in the first
///   chunk, and a tag that is back after 65,536 removals, which takes less than a millisecond at 10⁸ a second. It is not rare that
///   the system stops a thread for so long; it must also be stopped between the two steps of an `allocate`, and wake to that
///   one tag and the same first block. Where that cannot be ruled out, use [`Locked`](super::Locked), or an
///   [`Inbox`](super::Inbox), which needs no tag.
///
/// There is no [`Policy`](super::Policy) here: a handler might run in a signal handler, or keep others waiting. Who wants to make
/// room and try again does so around `allocate`.
///
/// # What it costs
///
/// Four bytes per block for its link, four words per chunk, and two lines of cache.
///
/// Source: Treiber, "Systems Programming: Coping with Parallelism" (1986).
///
/// # Invariants
///
/// * Every block that was ever handed out is in the list, or in somebody's hands.
#[repr(C)]
pub struct LockFree<S: Shape, A: Allocator = DefaultParent> {
    free: Line<List<Sound>>,
    segments: Segments,
    growth: Growth,
    shape: S,
    parent: A,
}

/// Bytes of the first chunk, about, if nothing else was asked for.
const FIRST: usize = 4096;

impl<S: KnownShape> LockFree<S> {
    /// A pool without chunks, on the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(crate::source::DEFAULT_PARENT)
    }
}

impl<S: KnownShape> Default for LockFree<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: KnownShape, A: Allocator> LockFree<S, A> {
    /// A pool without chunks, on a parent.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        Self::shaped(S::SHAPE, S::SIZE, parent)
    }
}

impl LockFree<AnySize> {
    /// A pool without chunks, on the default parent, for blocks that can hold `layout`.
    #[must_use]
    pub const fn of(layout: Layout) -> Self {
        Self::of_in(layout, crate::source::DEFAULT_PARENT)
    }
}

impl<A: Allocator> LockFree<AnySize, A> {
    /// A pool without chunks, on a parent, for blocks that can hold `layout`.
    #[must_use]
    pub const fn of_in(layout: Layout, parent: A) -> Self {
        let shape = AnySize::new(layout);
        Self::shaped(shape, shape.bytes(), parent)
    }
}

impl<S: Shape, A: Allocator> LockFree<S, A> {
    const fn shaped(shape: S, size: usize, parent: A) -> Self {
        let segments = Segments::new(FIRST / size);
        Self { free: Line(List::new()), segments, growth: Growth::new(), shape, parent }
    }

    /// Lets the first chunk have room for exactly so many blocks. Each later one has room for twice as many as the one before,
    /// counted from the next power of two. More than the limit above are as many as that. A pool in one chunk is the fastest: from a block to its number is one subtraction
    /// and a division.
    #[must_use]
    pub const fn with_capacity(mut self, blocks: usize) -> Self {
        self.segments.begin_with(blocks);
        self
    }

    /// The parent, to look at.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.parent
    }

    /// Size and alignment of every block.
    #[must_use]
    pub fn block_layout(&self) -> Layout {
        self.shape.layout()
    }

    /// The block with this number, as it is handed out.
    fn block(&self, number: u32) -> Option<NonNull<[u8]>> {
        let start = self.segments.block(number, self.shape.size())?;
        Some(NonNull::slice_from_raw_parts(start, self.shape.size()))
    }

    /// A freed block, if the first one is in the first segment.
    #[inline(always)]
    fn take_hot(&self) -> Option<NonNull<[u8]>> {
        let (near, size) = (self.segments.near(), self.shape.size());
        let block = self.free.0.take(&near, |number| near.block(number, size))?;
        Some(NonNull::slice_from_raw_parts(block, size))
    }

    /// A freed block.
    fn take(&self) -> Option<NonNull<[u8]>> {
        self.free.0.take(&self.segments, |number| self.block(number))
    }

    /// A block that was never handed out; else, as one may have come back meanwhile, a freed one after all. So `None` means
    /// that there was an instant at which no block was free.
    fn take_fresh(&self) -> Option<NonNull<[u8]>> {
        match self.segments.claim() {
            Some(number) => self.block(number),
            None => self.take(),
        }
    }

    #[cold]
    #[inline(never)]
    fn allocate_cold(&self, layout: Layout) -> Packed {
        Packed::pack(self.allocate_anywhere(layout))
    }

    fn allocate_anywhere(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        if !self.shape.fits(layout) {
            return Err(AllocError::Unsupported);
        }
        if let Some(block) = self.take() {
            return Ok(block);
        }
        loop {
            if let Some(block) = self.take_fresh() {
                return Ok(block);
            }
            if let Err(error) = self.grow() {
                // Meanwhile somebody may have freed a block.
                return self.take_fresh().ok_or(error);
            }
        }
    }

    /// Takes back a block that is not in the first segment.
    #[cold]
    #[inline(never)]
    fn deallocate_far(&self, block: NonNull<u8>) {
        let number = self.segments.number_of(block.addr().get(), self.shape.size());
        debug_assert!(number.is_some(), "freed a block of another pool");
        if let Some(number) = number {
            self.free.0.put(&self.segments, number);
        }
    }

    /// Asks the parent for a segment.
    fn grow(&self) -> Result<(), AllocError> {
        let block = self.block_layout();
        let request = self.segments.request(self.segments.count(), block, 1).ok_or(AllocError::Exhausted)?;
        // SAFETY: the parent has just handed the memory out, as it was asked to.
        let publish = |memory| unsafe { self.publish(memory) };
        self.growth.ask(&self.parent, request, publish).map(drop)
    }

    /// Makes a segment of a chunk, or returns it if there can be no more.
    ///
    /// # Safety
    ///
    /// The chunk is the parent's, was had for a request of `segments`, and is nobody else's.
    unsafe fn publish(&self, memory: NonNull<[u8]>) {
        let block = self.block_layout();
        // SAFETY: the caller's promises are passed on; what was not published goes back.
        unsafe {
            if !self.segments.publish(memory, block) {
                give_back(&self.parent, memory, block.align());
            }
        }
    }

    /// Lets the pool grow, if need be, until it has `count` free blocks or more. O(free blocks) for each chunk that comes.
    ///
    /// # Errors
    ///
    /// What the parent says; [`AllocError::Exhausted`] where there can be no more blocks. Nothing is kept then of what came.
    pub fn reserve(&self, count: usize) -> Result<(), AllocError> {
        if count > self.segments.most_blocks() || count > isize::MAX.cast_unsigned() / self.shape.size() {
            return Err(AllocError::Exhausted);
        }
        while self.free_blocks() < count {
            let mut ahead = Ahead { pool: self, chunks: [const { None }; _], count: 0, blocks: 0 };
            while let Some(missing) = count.checked_sub(self.free_blocks() + ahead.blocks)
                && missing != 0
            {
                ahead.grow(missing)?;
            }
            ahead.publish();
        }
        Ok(())
    }

    fn free_blocks(&self) -> usize {
        self.stats().free / self.shape.size()
    }

    /// Fills every place with a block for `layout`, or none. Freed blocks are taken with one exchange.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; no block is taken then.
    pub fn allocate_many(
        &self,
        layout: Layout,
        places: &mut [MaybeUninit<NonNull<u8>>],
    ) -> Result<(), AllocError> {
        let mut taken = 0;
        if self.shape.fits(layout) {
            taken = self.free.0.take_many(&self.segments, places.len(), |place, number| {
                if let Some(block) = self.block(number) {
                    places[place].write(block.cast());
                }
            });
        }
        while taken < places.len() {
            match self.allocate(layout) {
                Ok(block) => places[taken].write(block.cast()),
                Err(error) => {
                    // SAFETY: so many places were written, with blocks that are live and of this layout.
                    unsafe { self.deallocate_many(assume_init_ref(&places[..taken]), layout) };
                    return Err(error);
                }
            };
            taken += 1;
        }
        Ok(())
    }

    /// Takes many blocks of one layout back, with one exchange.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`], for each block; no block is there twice.
    pub unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        let number_of = |block: &NonNull<u8>| self.segments.number_of(block.addr().get(), self.shape.size());
        let mut numbers = blocks.iter().filter_map(number_of);
        let Some(front) = numbers.next() else { return };
        let back = numbers.fold(front, |back, number| {
            self.segments.link(back).store(number, Ordering::Relaxed);
            number
        });
        self.free.0.put_chain(&self.segments, front, back);
    }

    /// A block that fits both layouts is resized by doing nothing.
    fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() != 0 && self.shape.fits(new) {
            Ok(NonNull::slice_from_raw_parts(block, self.shape.size()))
        } else {
            Err(AllocError::InPlace)
        }
    }
}

/// Chunks that have come for a reservation and are not segments yet: all of them become some, or all go back.
struct Ahead<'a, S: Shape, A: Allocator> {
    pool: &'a LockFree<S, A>,
    chunks: [Option<NonNull<[u8]>>; HALF as usize],
    count: usize,
    /// The blocks that there will be room for in them.
    blocks: usize,
}

impl<S: Shape, A: Allocator> Ahead<'_, S, A> {
    /// Takes one more chunk, unless others have been given something meanwhile. At least one block is missing.
    fn grow(&mut self, missing: usize) -> Result<(), AllocError> {
        let LockFree { segments, growth, parent, .. } = self.pool;
        let (block, index) = (self.pool.block_layout(), segments.count() + self.count);
        let request = segments.request(index, block, missing).ok_or(AllocError::Exhausted)?;
        let place = self.chunks.get_mut(self.count).ok_or(AllocError::Exhausted)?;
        if let Some(memory) = growth.ask(parent, request, |memory| memory)? {
            *place = Some(memory);
            self.count += 1;
            self.blocks += segments.room(index, block.size(), memory.len());
        }
        Ok(())
    }

    fn publish(mut self) {
        for memory in core::mem::take(&mut self.chunks).into_iter().flatten() {
            // SAFETY: the chunk was had for this, and is taken out here.
            unsafe { self.pool.publish(memory) };
        }
    }
}

impl<S: Shape, A: Allocator> Drop for Ahead<'_, S, A> {
    fn drop(&mut self) {
        for memory in self.chunks.iter().copied().flatten() {
            // SAFETY: the chunk is the parent's, and nobody has seen it.
            unsafe { give_back(&self.pool.parent, memory, self.pool.shape.align()) };
        }
    }
}

// SAFETY: blocks lie in segments, each at a multiple of the block size from a start that is aligned as blocks are, so none
// overlap; a block is handed out by the thread that has removed its number from the list, or claimed it as the first.
// Nothing here unwinds.
unsafe impl<S: Shape, A: Allocator> Allocator for LockFree<S, A> {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if self.shape.fits(layout)
            && let Some(block) = self.take_hot()
        {
            return Ok(block);
        }
        self.allocate_cold(layout).unpack()
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        let near = self.segments.near();
        match near.number_of(block.addr().get(), self.shape.size()) {
            Some(number) => self.free.0.put(&near, number),
            None => self.deallocate_far(block),
        }
    }

    unsafe fn grow_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        self.resize(block, old, new)
    }

    unsafe fn shrink_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        self.resize(block, old, new)
    }
}

impl<S: Shape, A: Allocator> Drop for LockFree<S, A> {
    fn drop(&mut self) {
        let align = self.shape.align();
        // SAFETY: every segment came from this parent; whoever held a block promised to have stopped.
        unsafe { self.segments.release(0, &self.parent, align) };
    }
}

at_fork!([S: Shape, A: Allocator + AtFork] LockFree<S, A>: growth, parent);
