//! A guard that tries one pool or allocator, and then another.
//!
//! When a block is freed, the first is asked whether it owns the block; if not, the block is the second's. To make this
//! always correct, the same is asked when a block is handed out. Two kinds of blocks are freed at once: one that the
//! first hands out but does not own (it passed through its pool), and one of the second that the first owns (the second
//! gets its memory from the first).
//!
//! * Allocate and free: the cost of the two, plus `owns` of the first, which is linear in its chunks.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    routed::{AllocatorRoute, Route, Routed},
    routed_pool::PoolRoute,
};
use crate::{
    base::{AllocError, address},
    traits::{Allocation, Allocator, Inspect, RawPool, Reserve},
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
pub type Fallback<A, B> = Routed<ByOwner, A, B>;

/// The route of [`Fallback`]: the first if it can serve a request, and if it owns a block.
#[derive(Clone, Copy, Debug)]
pub struct ByOwner;

impl<A, B> Routed<ByOwner, A, B> {
    /// Creates a guard that tries `first`, and then `second` if that fails.
    #[must_use]
    pub const fn new(first: A, second: B) -> Self {
        Self { route: ByOwner, first, second }
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

impl<A: Inspect, B> Route<A, B> for ByOwner {
    /// A block of the first that moves may leave what the first owns.
    const RESIZES_BY_MOVING: bool = false;

    #[inline]
    fn is_first(&self, first: &A, block: NonNull<u8>, _: Layout) -> bool {
        first.owns(block.as_ptr())
    }

    /// Returns whether there is a block before and after.
    fn stays(&self, old: Layout, new: Layout) -> bool {
        old.size() != 0 && new.size() != 0
    }

    fn reached(&self, _: Layout) -> (bool, bool) {
        (true, true)
    }
}

/// Returns the layout of a whole block that was requested as `layout`.
fn as_returned(block: NonNull<[u8]>, layout: Layout) -> Layout {
    // A block is never so large that there is no layout for it.
    Layout::from_size_align(block.len(), layout.align()).unwrap_or(layout)
}

impl<A: Allocator + Inspect, B: Allocator> AllocatorRoute<A, B> for ByOwner {
    /// Requests a block from one after the other.
    fn ask(
        routed: &Fallback<A, B>,
        layout: Layout,
        first: impl FnOnce(&A) -> Allocation,
        second: impl FnOnce(&B) -> Allocation,
    ) -> Allocation {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        let owned_by_first = |block: NonNull<[u8]>| routed.first.owns(block.cast::<u8>().as_ptr());
        if let Ok(block) = first(&routed.first) {
            if owned_by_first(block) {
                return Ok(block);
            }
            // SAFETY: the block was just handed out, and its returned length fits it.
            unsafe { routed.first.deallocate(block.cast(), as_returned(block, layout)) };
        }
        let block = second(&routed.second)?;
        if owned_by_first(block) {
            // SAFETY: as above.
            unsafe { routed.second.deallocate(block.cast(), as_returned(block, layout)) };
            return Err(AllocError::Exhausted);
        }
        Ok(block)
    }

    fn allocate_between(routed: &Fallback<A, B>, least: Layout, preferred: usize) -> Allocation {
        Self::ask(
            routed,
            least,
            |first| first.allocate_between(least, preferred),
            |second| second.allocate_between(least, preferred),
        )
    }
}

impl<P: RawPool + Inspect, Q: RawPool> PoolRoute<P, Q> for ByOwner {
    /// Returns whether the first would serve such a request if there were a chunk for it.
    fn grows_first(&self, first: &P, layout: Layout) -> bool {
        first.chunk_request(layout).is_some() && first.may_allocate(layout).is_ok()
    }

    /// Returns true for what the first never serves and passes through the second.
    fn passes_through(&self, first: &P, second: &Q, layout: Layout) -> bool {
        second.passes_through(layout) && first.chunk_request(layout).is_none()
    }

    fn may_allocate(&self, first: &P, second: &Q, layout: Layout) -> Result<(), AllocError> {
        first.may_allocate(layout).or_else(|refused| {
            if second.chunk_request(layout).is_some() { second.may_allocate(layout) } else { Err(refused) }
        })
    }

    /// Returns as many as the first may serve. O(log `count`) queries to the first.
    fn share_of_first(&self, first: &P, layout: Layout, count: usize) -> usize
    where
        P: Reserve,
    {
        let may_serve = |count| first.reserve_request(layout, count).is_ok();
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
