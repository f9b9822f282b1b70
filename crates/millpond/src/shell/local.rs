//! The shell for one thread.

use core::{alloc::Layout, cell::UnsafeCell, ptr::NonNull};

use super::{
    generic::{PoolCell, Shell},
    oom::{Fail, OomPolicy},
};
use crate::{
    base::AllocError,
    source::DefaultParent,
    traits::{
        Allocator, Inspect, Live, PoolStats, RawPool, Reclaim, Reserve, delegate_allocator, delegate_inspect,
    },
};

/// A pool and its parent, shared within one thread: an [`Allocator`] and therefore usable as a parent of other pools.
///
/// A `Local` can be sent to another thread but not used by two threads at once; see [`Locked`](crate::Locked) for that.
/// Dropping it returns every chunk to the parent.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Local, Pages};
///
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Pages);
/// let layout = Layout::new::<[u64; 8]>();
/// let (a, b) = (pool.allocate(layout)?, pool.allocate(layout)?);
/// // SAFETY: both blocks are live, and this pool handed them out for this layout.
/// unsafe {
///     pool.deallocate(a.cast(), layout);
///     pool.deallocate(b.cast(), layout);
/// }
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// Threads cannot share it:
///
/// ```compile_fail
/// # use millpond::{Blocks, Fixed, Local};
/// let pool = Local::new(Blocks::<Fixed<64>>::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| &pool); // error: `Local` cannot be shared between threads
/// #     // instead: scope.spawn(|| Local::new(Blocks::<Fixed<64>>::new()));
/// });
/// ```
pub struct Local<P: RawPool, A: Allocator = DefaultParent, O: OomPolicy = Fail>(
    pub(super) Shell<LocalCell<P>, A, O>,
);

/// The cell of a pool that one thread uses.
pub(super) struct LocalCell<P>(pub(super) UnsafeCell<P>);

impl<P: RawPool> PoolCell for LocalCell<P> {
    type Pool = P;

    #[inline(always)]
    fn with<R>(&self, use_it: impl FnOnce(&mut P) -> R) -> R {
        // SAFETY: the cell is used by one thread at a time, and this reference ends with the closure, which calls
        // nothing but the pool (see `WithPool`): there is no second reference.
        use_it(unsafe { &mut *self.0.get() })
    }

    fn get_mut(&mut self) -> &mut P {
        self.0.get_mut()
    }
}

impl<P: RawPool> Local<P> {
    /// Creates a shell over a pool without chunks, on the default parent.
    #[must_use]
    pub const fn new(pool: P) -> Self {
        Self::new_in(pool, crate::source::DEFAULT_PARENT)
    }
}

impl<P: RawPool, A: Allocator> Local<P, A> {
    /// Creates a shell over a pool without chunks, on a parent.
    #[must_use]
    pub const fn new_in(pool: P, parent: A) -> Self {
        Self::with_policy(pool, parent, Fail)
    }
}

impl<P: RawPool, A: Allocator, O: OomPolicy> Local<P, A, O> {
    /// Creates a shell over a pool without chunks, on a parent, with a policy for when memory runs out.
    #[must_use]
    pub const fn with_policy(pool: P, parent: A, policy: O) -> Self {
        Self(Shell::new(LocalCell(UnsafeCell::new(pool)), parent, policy))
    }

    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.0.parent
    }

    /// Allocates a block if that takes no function call; see [`RawPool::allocate_hot`]. If it returns `None`,
    /// [`allocate`](Allocator::allocate) may still succeed.
    ///
    /// For callers that have a cold path of their own, such as a function called from another language.
    #[inline(always)]
    pub fn allocate_hot(&self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.0.cell.with(|pool| pool.allocate_hot(layout))
    }

    /// Frees a block if that takes no function call and returns whether it did; see [`RawPool::deallocate_hot`]. If it
    /// returns `false`, nothing was done and the caller must call [`deallocate`](Allocator::deallocate).
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    #[inline(always)]
    pub unsafe fn deallocate_hot(&self, block: NonNull<u8>, layout: Layout) -> bool {
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        self.0.cell.with(|pool| unsafe { pool.deallocate_hot(block, layout) })
    }

    /// Grows the pool, if necessary, until it can serve `count` requests for `layout` without its parent. Reserved
    /// memory is free memory: other requests may take it, and before a request is refused because the parent has no
    /// more memory, empty chunks are returned to the parent.
    ///
    /// # Errors
    ///
    /// Returns the parent's error; [`AllocError::Unsupported`] for a layout that the pool never serves; the error of a
    /// guard around the pool, such as [`AllocError::Limit`]; or [`AllocError::Exhausted`] for more blocks than are
    /// possible. Memory obtained for the call is returned in that case.
    pub fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError>
    where
        P: Reserve,
    {
        self.0.reserve(layout, count)
    }

    /// Declares every block dead and keeps every chunk for reuse.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// Returns the chunks without live blocks to the parent and returns their total size in bytes. O(free blocks), if
    /// the pool has to search for such chunks: see the pool's documentation.
    ///
    /// Live blocks stay where they are, so this may be called at any time. It happens automatically, once per request,
    /// before a request is refused because the parent has no more memory: memory that is free for blocks of one size
    /// becomes available for those of another.
    pub fn trim(&self) -> usize {
        self.0.trim()
    }

    /// Returns how much memory the pool has and how much of it is live: see [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats
    where
        P: Inspect,
    {
        self.0.stats()
    }
}

impl<P: Live, A: Allocator, O: OomPolicy> Local<P, A, O> {
    /// Returns the live blocks, if the pool knows them: see [`Live`].
    pub fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>> {
        self.0.cell.get_mut().live()
    }
}

delegate_allocator!([P: RawPool, A: Allocator, O: OomPolicy] Local<P, A, O>: |this| this.0);

impl<P: RawPool, A: Allocator, O: OomPolicy> Reclaim for Local<P, A, O> {
    fn reset(&mut self) {
        self.reset();
    }

    fn trim(&mut self) -> usize {
        Self::trim(self)
    }
}

delegate_inspect!([P: RawPool + Inspect, A: Allocator, O: OomPolicy] Local<P, A, O>: |this| this.0);
