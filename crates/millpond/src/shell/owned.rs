//! The shell for a single owner.

use core::{
    alloc::Layout,
    mem::{ManuallyDrop, MaybeUninit},
    ptr::{self, NonNull},
};

use super::{
    Local, bulk,
    oom::{Fail, OomPolicy},
    ops::{self, MutAccess, RawResult},
};
use crate::{
    base::AllocError,
    source::DefaultParent,
    traits::{Allocation, Allocator, Inspect, Live, PoolStats, RawPool, Reclaim, Reserve, delegate_inspect},
};

/// A pool and its parent, held by one owner: allocating takes `&mut self`. No shell is cheaper.
///
/// `Owned` is not an [`Allocator`], because allocators are shared; see [`Local`](crate::Local). Dropping the shell
/// returns every chunk to the parent.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Blocks, Fixed, Owned};
///
/// let mut pool = Owned::new(Blocks::<Fixed<32>>::new());
/// let layout = Layout::new::<[u64; 4]>();
/// let block = pool.allocate(layout)?;
/// // SAFETY: the block is live, and this pool handed it out for this layout.
/// unsafe { pool.deallocate(block.cast(), layout) };
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub struct Owned<P: RawPool, A: Allocator = DefaultParent, O: OomPolicy = Fail> {
    pool: P,
    parent: A,
    policy: O,
}

/// Size in bytes up to which a shell is moved to its cold path and back.
const LARGEST_MOVED: usize = 256;

impl<P: RawPool> Owned<P> {
    /// Creates a shell over a pool without chunks, on the default parent.
    #[must_use]
    pub const fn new(pool: P) -> Self {
        Self::new_in(pool, crate::source::DEFAULT_PARENT)
    }
}

impl<P: RawPool, A: Allocator> Owned<P, A> {
    /// Creates a shell over a pool without chunks, on a parent.
    #[must_use]
    pub const fn new_in(pool: P, parent: A) -> Self {
        Self::with_policy(pool, parent, Fail)
    }
}

impl<P: RawPool, A: Allocator, O: OomPolicy> Owned<P, A, O> {
    /// Creates a shell over a pool without chunks, on a parent, with a policy for when memory runs out.
    #[must_use]
    pub const fn with_policy(pool: P, parent: A, policy: O) -> Self {
        Self { pool, parent, policy }
    }

    /// Allocates a block: see [`Allocator::allocate`].
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`].
    #[inline(always)]
    pub fn allocate(&mut self, layout: Layout) -> Allocation {
        match self.pool.allocate_hot(layout) {
            Some(block) => Ok(block),
            None => self.allocate_elsewhere(layout),
        }
    }

    /// The cold path. A small shell is moved there by value and back, so that its address never escapes the caller and
    /// the compiler may keep the pool's state in registers.
    #[inline(always)]
    fn allocate_elsewhere(&mut self, layout: Layout) -> Allocation {
        if const { size_of::<Self>() > LARGEST_MOVED } {
            return self.allocate_cold(layout).unpack();
        }
        // SAFETY: the shell is moved out and back in, and is not used in between: pools and parents do not unwind.
        unsafe {
            let mut moved = ManuallyDrop::new(ptr::read(self));
            let block = moved.allocate_cold(layout);
            ptr::write(self, ManuallyDrop::into_inner(moved));
            block.unpack()
        }
    }

    #[cold]
    #[inline(never)]
    fn allocate_cold(&mut self, layout: Layout) -> RawResult {
        ops::allocate_cold(MutAccess(&mut self.pool), layout, &self.parent, &self.policy)
    }

    /// Frees a block: see [`Allocator::deallocate`].
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    #[inline(always)]
    pub unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { ops::deallocate(MutAccess(&mut self.pool), &self.parent, block, layout) };
    }

    /// Resizes a block in place: see [`Allocator::grow_in_place`] and [`Allocator::shrink_in_place`].
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow_in_place`] or [`Allocator::shrink_in_place`], depending on the sizes.
    ///
    /// # Errors
    ///
    /// As for these two.
    pub unsafe fn resize_in_place(&mut self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_in_place` or `shrink_in_place`, depending on the sizes.
        unsafe { ops::resize_in_place(MutAccess(&mut self.pool), &self.parent, block, (old, new)) }
    }

    /// Grows the pool, if necessary, until it can serve `count` requests for `layout` without its parent: see
    /// [`Local::reserve`].
    ///
    /// # Errors
    ///
    /// As for [`Local::reserve`].
    pub fn reserve(&mut self, layout: Layout, count: usize) -> Result<(), AllocError>
    where
        P: Reserve,
    {
        bulk::reserve(MutAccess(&mut self.pool), &self.parent, layout, count)
    }

    /// Fills every place with a block for `layout`, or none of them: see [`Allocator::allocate_many`].
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate_many`].
    pub fn allocate_many(
        &mut self,
        layout: Layout,
        places: &mut [MaybeUninit<NonNull<u8>>],
    ) -> Result<(), AllocError> {
        bulk::allocate_many(MutAccess(&mut self.pool), (&self.parent, &self.policy), layout, places)
    }

    /// Frees many blocks of one layout: see [`Allocator::deallocate_many`].
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate_many`].
    pub unsafe fn deallocate_many(&mut self, blocks: &[NonNull<u8>], layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate_many`, which is the same.
        unsafe { bulk::deallocate_many(MutAccess(&mut self.pool), &self.parent, blocks, layout) };
    }

    /// Declares every block dead and keeps every chunk for reuse.
    pub fn reset(&mut self) {
        self.pool.reset();
    }

    /// Returns the chunks without live blocks to the parent and returns their total size in bytes: see
    /// [`Local::trim`].
    pub fn trim(&mut self) -> usize {
        ops::trim(MutAccess(&mut self.pool), &self.parent)
    }

    /// Returns how much memory the pool has and how much of it is live: see [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats
    where
        P: Inspect,
    {
        self.pool.stats()
    }

    /// Calls `work` with the shell as a shared one.
    pub(super) fn as_local<R>(&mut self, work: impl FnOnce(&Local<P, A, O>) -> R) -> R {
        let lent = AsLocal::new(self);
        work(&lent.local)
    }

    /// Returns a reference to the pool.
    #[must_use]
    pub fn pool(&self) -> &P {
        &self.pool
    }

    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.parent
    }
}

/// A shell that has been moved into a [`Local`] and is moved back on drop, even if the work done with it unwinds.
struct AsLocal<'a, P: RawPool, A: Allocator, O: OomPolicy> {
    owner: &'a mut Owned<P, A, O>,
    local: ManuallyDrop<Local<P, A, O>>,
}

impl<'a, P: RawPool, A: Allocator, O: OomPolicy> AsLocal<'a, P, A, O> {
    fn new(owner: &'a mut Owned<P, A, O>) -> Self {
        // SAFETY: the value left behind is not used before the shell is moved back, because the owner is borrowed.
        let local = unsafe {
            Local::with_policy(
                ptr::read(&raw const owner.pool),
                ptr::read(&raw const owner.parent),
                ptr::read(&raw const owner.policy),
            )
        };
        Self { owner, local: ManuallyDrop::new(local) }
    }
}

impl<P: RawPool, A: Allocator, O: OomPolicy> Drop for AsLocal<'_, P, A, O> {
    fn drop(&mut self) {
        // SAFETY: the shell is taken out once, here, and moved back to where it came from, which holds no value now.
        unsafe {
            let (cell, parent, policy) = ManuallyDrop::take(&mut self.local).0.into_parts();
            ptr::write(self.owner, Owned { pool: cell.0.into_inner(), parent, policy });
        }
    }
}

impl<P: Live, A: Allocator, O: OomPolicy> Owned<P, A, O> {
    /// Returns the live blocks, if the pool knows them: see [`Live`].
    pub fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>> {
        self.pool.live()
    }
}

impl<P: RawPool, A: Allocator, O: OomPolicy> Drop for Owned<P, A, O> {
    fn drop(&mut self) {
        ops::release_all(&mut self.pool, &self.parent);
    }
}

impl<P: RawPool, A: Allocator, O: OomPolicy> Reclaim for Owned<P, A, O> {
    fn reset(&mut self) {
        self.reset();
    }

    fn trim(&mut self) -> usize {
        Self::trim(self)
    }
}

delegate_inspect!([P: RawPool + Inspect, A: Allocator, O: OomPolicy] Owned<P, A, O>: |this| this.pool);
