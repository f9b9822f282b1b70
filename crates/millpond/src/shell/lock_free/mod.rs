//! Blocks of one size that threads share without a lock.
//!
//! A [list](crate::sync::treiber_stack) of the numbers of free blocks, with a tag against ABA, over
//! [segments](segments) that hold the blocks and, beside them, the links. Blocks that were never handed out are claimed
//! by a counter, so growing costs O(1) and does not touch the memory. Blocks can be returned to the parent while other
//! threads use the pool: see [trim](trim).

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
    base::{AllocError, address},
    pool::{BlockLayout, ConstBlockLayout, DynSize},
    source::DefaultParent,
    sync::ordering::Correct,
    traits::{Allocation, Allocator, AtFork, Inspect, allocate_each},
};

/// Blocks of one size that any number of threads share without a lock: an [`Allocator`] and therefore usable as a
/// parent.
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
/// For few threads, for threads that must not wait for one another, and for interrupt and signal handlers. If many
/// threads allocate at a high rate, they all write to one word of memory, and each has to wait for its cache line to
/// arrive.
///
/// # Structure
///
/// Free blocks form a list of block numbers, whose links lie beside the blocks; here, blocks 2 and 5 are free:
///
/// ```text
///  free (one atomic word)
///  ┌──────────┬─────┐
///  │ first: 2 │ tag │   the tag changes with each removal
///  └────┬─────┴─────┘
///       └─────────────────────┐
///  first segment              ▼
///  ┌──────┬──────┬──────┬──────┬──────┬──────┬─────┐        ┌──────┬───┬───┬───┬───┬───┬─────┬───┐
///  │  0   │  1   │  2   │  3   │  4   │  5   │  …  │ blocks │ rec. │   │   │ 5 │   │   │ NIL │ … │ links
///  └──────┴──────┴──────┴──────┴──────┴──────┴─────┘        └──────┴───┴───┴───┴───┴───┴─────┴───┘
///  later segments: twice as many blocks each, in one chunk, and their links in another
/// ```
///
/// # Guarantees
///
/// * `allocate`, if there is a free block, and `deallocate` are *lock-free*: a thread retries only because another
///   thread has succeeded. A thread that is stopped in the middle, at any instruction, does not prevent the others from
///   making progress. (They are not wait-free: there is no bound on the number of retries of one thread.)
/// * Growing gives the guarantees of the parent. Threads that find the pool empty at the same moment each request
///   memory from the parent. Of the first chunks that they get, one stays and the others are returned; later ones may
///   all stay. A thread whose request the parent refuses waits until the requests of the others have ended, for at most
///   a tenth of a second. For a pool that must never call its parent while in use, choose a parent that has no more
///   memory to give, or grow the pool in advance with [`reserve`](Self::reserve).
/// * *In a signal handler*: allowed if growing is allowed there, and always if the pool does not grow. *After `fork`*:
///   the child has an intact pool; blocks that other threads of its parent held are lost to it.
/// * ABA: a tag of 32 bits that changes with every removal. To be deceived, a thread must be stopped in the middle of
///   `allocate` while other threads remove exactly a multiple of 2³² blocks: 43 seconds at 10⁸ removals per second,
///   exact to the block.
/// * Capacity: just under 2³¹ blocks, of which at most 2³⁰ in the first chunk. Beyond that, requests fail as exhausted,
///   whatever the parent has.
/// * *On targets without 64-bit atomics*, numbers and tags have 16 bits each: just under 2¹⁵ blocks, of which at most
///   2¹⁴ in the first chunk, and a tag that repeats after 65,536 removals, which takes less than a millisecond at 10⁸
///   removals per second. It is not rare that the system stops a thread for that long; to be deceived, the thread must
///   also be stopped between the two steps of an `allocate`, and resume at exactly that tag and the same first block.
///   If that cannot be ruled out, use [`Locked`](super::Locked), or a [`RemoteFree`](super::RemoteFree), which needs no
///   tag.
///
/// There is no [`OomPolicy`](crate::oom::OomPolicy): a policy might run in a signal handler, or make other threads
/// wait. A caller that wants to free memory and retry can do so around `allocate`.
///
/// # Costs
///
/// Four bytes per block for its link, five words per chunk of blocks, and half a KiB for the pool itself. The first
/// chunk has room for blocks and links; each later chunk of blocks comes with a second chunk for its links, which stays
/// when [`trim`](Self::trim) returns the blocks.
///
/// Source: Treiber, "Systems Programming: Coping with Parallelism" (1986).
#[repr(C)]
pub struct LockFree<S: BlockLayout, A: Allocator = DefaultParent> {
    pool: Numbered<Correct>,
    block_layout: S,
    parent: A,
}

/// Approximate size of the first chunk in bytes, if no capacity was set.
const FIRST: usize = 4096;

impl<S: ConstBlockLayout> LockFree<S> {
    /// Creates a pool without chunks, on the default parent.
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
    /// Creates a pool without chunks, on a parent.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        Self::with_layout(S::INSTANCE, S::SIZE, parent)
    }
}

impl LockFree<DynSize> {
    /// Creates a pool without chunks, on the default parent, for blocks that can hold `layout`.
    #[must_use]
    pub const fn of(layout: Layout) -> Self {
        Self::of_in(layout, crate::source::DEFAULT_PARENT)
    }
}

impl<A: Allocator> LockFree<DynSize, A> {
    /// Creates a pool without chunks, on a parent, for blocks that can hold `layout`.
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

    /// Sets the capacity of the first chunk to `blocks` blocks.
    ///
    /// Each later chunk has room for twice as many blocks as the one before, counted from the next power of two. Values
    /// above the limit for the first chunk (see above) are reduced to it. A pool in one chunk is the fastest: the
    /// number of a block takes one subtraction and one division.
    #[must_use]
    pub const fn with_capacity(mut self, blocks: usize) -> Self {
        self.pool.segments.begin_with(blocks);
        self
    }

    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.parent
    }

    /// Returns the size and alignment of every block.
    #[must_use]
    pub fn block_layout(&self) -> Layout {
        self.block_layout.layout()
    }

    /// Returns a block with its length, as it is handed out.
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

    /// Grows the pool, if necessary, until it has at least `count` free blocks. O(free blocks) for each chunk added.
    ///
    /// # Errors
    ///
    /// Returns the parent's error, or [`AllocError::Exhausted`] if `count` exceeds the maximum number of blocks. Memory
    /// obtained for the call is returned in that case.
    pub fn reserve(&self, count: usize) -> Result<(), AllocError> {
        if count > self.pool.segments.max_blocks()
            || count > isize::MAX.cast_unsigned() / self.block_layout.size()
        {
            return Err(AllocError::Exhausted);
        }
        self.pool.reserve(&self.parent, self.block_layout(), count)
    }

    /// Resizes a block that fits both layouts, which needs no work.
    fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if old.size() != 0 && self.block_layout.fits(new) {
            Ok(NonNull::slice_from_raw_parts(block, self.block_layout.size()))
        } else {
            Err(AllocError::InPlace)
        }
    }
}

// SAFETY: blocks lie in segments, each at a multiple of the block size from a start that is aligned as blocks are, so
// they do not overlap. A block is handed out by the thread that has removed its number from the list or that was the
// first to claim it. Nothing here unwinds.
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

    /// Returns whether there is such a block. O(chunks). Does not detect whether it is live.
    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        layout.size() == 0 || self.owns(block.as_ptr())
    }

    /// Freed blocks are taken with one exchange.
    fn allocate_many(
        &self,
        layout: Layout,
        places: &mut [MaybeUninit<NonNull<u8>>],
    ) -> Result<(), AllocError> {
        let fits = self.block_layout.fits(layout);
        let taken = if fits { self.pool.pop_many(self.block_layout.size(), places) } else { 0 };
        // SAFETY: the first `taken` places were written, with blocks that are live and of this layout.
        unsafe { allocate_each(self, layout, places, taken) }
    }

    /// Blocks are freed with one exchange.
    unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
        if layout.size() != 0 {
            self.pool.put_many(blocks, self.block_layout.size());
        }
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
        // SAFETY: every segment came from this parent, and holders of blocks do not use them after the pool is dropped.
        unsafe { self.pool.release(&self.parent, align) };
    }
}

// SAFETY: the parts are fields, so they are the same in each call.
unsafe impl<S: BlockLayout, A: Allocator + AtFork> AtFork for LockFree<S, A> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.pool);
        visit(&self.parent);
    }
}
