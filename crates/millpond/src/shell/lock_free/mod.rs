//! Blocks of one size that threads share without a lock.
//!
//! A [list](list) of the numbers of free blocks, with a tag against ABA, over [segments](segments) that hold the blocks and,
//! beside them, the links. Blocks that were never handed out are claimed by a counter, so growing costs O(1) and touches
//! nothing. Blocks go back to the parent while others are at work: see [trim](trim).

mod grow;
mod inspect;
pub(super) mod numbered;
mod segment;
mod segments;
mod trim;
mod turns;

use core::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use self::numbered::Numbered;
use super::ops::RawResult;
use crate::{
    base::{AllocError, address, uninit::assume_init_ref},
    pool::{BlockLayout, ConstBlockLayout, DynSize},
    source::DefaultParent,
    sync::ordering::Correct,
    traits::{Allocation, Allocator, AtFork, Inspect, at_fork},
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
///   [`RemoteFree`](super::RemoteFree), which needs no tag.
///
/// There is no [`OomPolicy`](super::OomPolicy) here: a handler might run in a signal handler, or keep others waiting. Who wants to make
/// room and try again does so around `allocate`.
///
/// # What it costs
///
/// Four bytes per block for its link, five words per chunk of blocks, and half a KiB for the pool itself. The first chunk has room
/// for both; each later one comes with another one for its links, which stay when [`trim`](Self::trim) returns the blocks.
///
/// Source: Treiber, "Systems Programming: Coping with Parallelism" (1986).
#[repr(C)]
pub struct LockFree<S: BlockLayout, A: Allocator = DefaultParent> {
    pool: Numbered<Correct>,
    block_layout: S,
    parent: A,
}

/// Bytes of the first chunk, about, if nothing else was asked for.
const FIRST: usize = 4096;

impl<S: ConstBlockLayout> LockFree<S> {
    /// A pool without chunks, on the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(crate::source::DEFAULT_PARENT)
    }
}

impl<S: ConstBlockLayout> Default for LockFree<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: ConstBlockLayout, A: Allocator> LockFree<S, A> {
    /// A pool without chunks, on a parent.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        Self::with_layout(S::INSTANCE, S::SIZE, parent)
    }
}

impl LockFree<DynSize> {
    /// A pool without chunks, on the default parent, for blocks that can hold `layout`.
    #[must_use]
    pub const fn of(layout: Layout) -> Self {
        Self::of_in(layout, crate::source::DEFAULT_PARENT)
    }
}

impl<A: Allocator> LockFree<DynSize, A> {
    /// A pool without chunks, on a parent, for blocks that can hold `layout`.
    #[must_use]
    pub const fn of_in(layout: Layout, parent: A) -> Self {
        let block_layout = DynSize::new(layout);
        Self::with_layout(block_layout, block_layout.bytes(), parent)
    }
}

impl<S: BlockLayout, A: Allocator> LockFree<S, A> {
    const fn with_layout(block_layout: S, size: usize, parent: A) -> Self {
        Self { pool: Numbered::new(FIRST / size), block_layout, parent }
    }

    /// Lets the first chunk have room for exactly so many blocks. Each later one has room for twice as many as the one before,
    /// counted from the next power of two. More than the limit above are as many as that. A pool in one chunk is the fastest: from a block to its number is one subtraction
    /// and a division.
    #[must_use]
    pub const fn with_capacity(mut self, blocks: usize) -> Self {
        self.pool.segments.begin_with(blocks);
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
        self.block_layout.layout()
    }

    /// A block as it is handed out.
    #[inline(always)]
    fn whole(&self, start: NonNull<u8>) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(start, self.block_layout.size())
    }

    #[cold]
    #[inline(never)]
    fn allocate_cold(&self, layout: Layout) -> RawResult {
        RawResult::pack(self.allocate_anywhere(layout))
    }

    fn allocate_anywhere(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        if !self.block_layout.fits(layout) {
            return Err(AllocError::Unsupported);
        }
        let block = self.pool.allocate(&self.parent, self.block_layout())?;
        Ok(self.whole(block))
    }

    /// Lets the pool grow, if need be, until it has `count` free blocks or more. O(free blocks) for each chunk that comes.
    ///
    /// # Errors
    ///
    /// What the parent says; [`AllocError::Exhausted`] where there can be no more blocks. Nothing is kept then of what came.
    pub fn reserve(&self, count: usize) -> Result<(), AllocError> {
        if count > self.pool.segments.max_blocks()
            || count > isize::MAX.cast_unsigned() / self.block_layout.size()
        {
            return Err(AllocError::Exhausted);
        }
        self.pool.reserve(&self.parent, self.block_layout(), count)
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
        let fits = self.block_layout.fits(layout);
        let mut taken = if fits { self.pool.pop_many(self.block_layout.size(), places) } else { 0 };
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
        if layout.size() != 0 {
            self.pool.put_many(blocks, self.block_layout.size());
        }
    }

    /// A block that fits both layouts is resized by doing nothing.
    fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if old.size() != 0 && self.block_layout.fits(new) {
            Ok(NonNull::slice_from_raw_parts(block, self.block_layout.size()))
        } else {
            Err(AllocError::InPlace)
        }
    }
}

// SAFETY: blocks lie in segments, each at a multiple of the block size from a start that is aligned as blocks are, so none
// overlap; a block is handed out by the thread that has removed its number from the list, or claimed it as the first.
// Nothing here unwinds.
unsafe impl<S: BlockLayout, A: Allocator> Allocator for LockFree<S, A> {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Allocation {
        if self.block_layout.fits(layout)
            && let Some(block) = self.pool.pop_hot(self.block_layout.size())
        {
            return Ok(self.whole(block));
        }
        self.allocate_cold(layout).unpack()
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            self.pool.push(block, self.block_layout.size());
        }
    }

    /// Whether there is such a block. O(chunks). Whether it is live is not known here.
    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        layout.size() == 0 || self.owns(block.as_ptr())
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        self.resize(block, old, new)
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        self.resize(block, old, new)
    }
}

impl<S: BlockLayout, A: Allocator> Drop for LockFree<S, A> {
    fn drop(&mut self) {
        let align = self.block_layout.align();
        // SAFETY: every segment came from this parent; whoever held a block promised to have stopped.
        unsafe { self.pool.release(&self.parent, align) };
    }
}

at_fork!([S: BlockLayout, A: Allocator + AtFork] LockFree<S, A>: pool, parent);
