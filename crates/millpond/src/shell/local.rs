//! The shell for one thread.

use core::{
    alloc::Layout,
    cell::UnsafeCell,
    mem::ManuallyDrop,
    ptr::{self, NonNull},
};

use super::{
    oom::{Fail, OomPolicy},
    ops::{self, WithPool},
};
use crate::{
    base::AllocError,
    source::DefaultParent,
    traits::{Allocator, Inspect, Live, RawPool, Reclaim, delegate},
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
pub struct Local<P: RawPool, A: Allocator = DefaultParent, O: OomPolicy = Fail> {
    pool: UnsafeCell<P>,
    parent: A,
    policy: O,
}

/// Access to the pool in a [`Local`].
pub(super) struct CellAccess<'a, P>(&'a UnsafeCell<P>);

impl<P: RawPool> WithPool for CellAccess<'_, P> {
    type Pool = P;

    #[inline(always)]
    fn with<R>(&mut self, use_it: impl FnOnce(&mut P) -> R) -> R {
        // SAFETY: a `Local` is used by one thread at a time, and this reference ends with the closure, which calls
        // nothing but the pool (see `WithPool`): there is no second reference.
        use_it(unsafe { &mut *self.0.get() })
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
        Self { pool: UnsafeCell::new(pool), parent, policy }
    }

    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.parent
    }

    /// Allocates a block if that takes no function call; see [`RawPool::allocate_hot`]. If it returns `None`,
    /// [`allocate`](Allocator::allocate) may still succeed.
    ///
    /// For callers that have a cold path of their own, such as a function called from another language.
    #[inline(always)]
    pub fn allocate_hot(&self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.access().with(|pool| pool.allocate_hot(layout))
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
        self.access().with(|pool| unsafe { pool.deallocate_hot(block, layout) })
    }

    /// Takes the shell apart; its chunks stay in the pool.
    pub(super) fn into_parts(self) -> (P, A, O) {
        let this = ManuallyDrop::new(self);
        // SAFETY: each part is read once, and the shell is neither used nor dropped afterwards.
        unsafe {
            (
                ptr::read(&raw const this.pool).into_inner(),
                ptr::read(&raw const this.parent),
                ptr::read(&raw const this.policy),
            )
        }
    }

    #[inline(always)]
    pub(super) fn access(&self) -> CellAccess<'_, P> {
        CellAccess(&self.pool)
    }
}

impl<P: Live, A: Allocator, O: OomPolicy> Local<P, A, O> {
    /// Returns the live blocks, if the pool knows them: see [`Live`].
    pub fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>> {
        self.pool.get_mut().live()
    }
}

super::allocator::implement_for_shell!(Local<P, A, O: OomPolicy>);
super::bulk::bulk_for_shell!(Local<P, A, O: OomPolicy>, |self: &Self| self.access());

impl<P: RawPool, A: Allocator, O: OomPolicy> Drop for Local<P, A, O> {
    fn drop(&mut self) {
        ops::release_all(self.pool.get_mut(), &self.parent);
    }
}

super::reclaim::reclaim_for_shell!(
    Local<P, A, O: OomPolicy>, |this| this.pool.get_mut(), |self: &Self| self.access()
);

impl<P: RawPool + Inspect, A: Allocator, O: OomPolicy> Inspect for Local<P, A, O> {
    delegate!(self: with self.access(); stats largest_free holes render metrics owns check report);
}
