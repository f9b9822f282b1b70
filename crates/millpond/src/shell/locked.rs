//! The shell for threads that take turns.

use core::{alloc::Layout, ptr::NonNull};

use lock_api::RawMutex;

use super::{
    oom::{Fail, OomPolicy},
    ops::{self, WithPool},
};
use crate::{
    base::{AllocError, Mutex},
    source::DefaultParent,
    sync::{DefaultLock, growth_barrier::GrowthBarrier},
    traits::{Allocator, AtFork, Inspect, Live, RawPool, Reclaim, delegate},
};

/// A pool behind a lock, and its parent: an [`Allocator`] that any number of threads share.
///
/// The lock is held while the pool works, never while the parent is called. `L` is any [`lock_api::RawMutex`]; the
/// default is `ParkingLock` with the feature `std`, whose waiting threads sleep, and [`SpinLock`](crate::lock::SpinLock)
/// without it. Dropping the shell returns every chunk to the parent.
///
/// Threads that find the pool empty at the same time each request memory from the parent. A thread that is refused
/// because the parent gave its last memory to another thread waits for the outcome of that request, for at most a tenth
/// of a second.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Locked};
///
/// static POOL: Locked<Blocks<Fixed<64>>> = Locked::new(Blocks::new());
///
/// let layout = Layout::new::<[u64; 8]>();
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| {
///             let block = POOL.allocate(layout).expect("the heap has 64 bytes");
///             // SAFETY: the block is live, and this pool handed it out for this layout.
///             unsafe { POOL.deallocate(block.cast(), layout) };
///         });
///     }
/// });
/// ```
///
/// *Signal handlers* must not use the pool: a handler that interrupts the holder of the lock waits for it forever.
/// *After `fork`*, the child may use the pool if no other thread held the lock at that moment. If other threads may
/// hold it, `L` must be a lock that is taken before a fork and released after it, in both processes (`pthread_atfork`).
pub struct Locked<P: RawPool, A: Allocator = DefaultParent, L: RawMutex = DefaultLock, O: OomPolicy = Fail> {
    pool: Mutex<L, P>,
    growth_barrier: GrowthBarrier,
    parent: A,
    policy: O,
}

/// Access to the pool in a [`Locked`].
pub(super) struct LockAccess<'a, P: RawPool, A: Allocator, L: RawMutex, O: OomPolicy>(&'a Locked<P, A, L, O>);

impl<P: RawPool, A: Allocator, L: RawMutex, O: OomPolicy> WithPool for LockAccess<'_, P, A, L, O> {
    type Pool = P;

    #[inline]
    fn with<R>(&mut self, use_it: impl FnOnce(&mut P) -> R) -> R {
        use_it(&mut self.0.pool.lock())
    }

    fn growth_barrier(&self) -> Option<&GrowthBarrier> {
        Some(&self.0.growth_barrier)
    }
}

impl<P: RawPool> Locked<P> {
    /// Creates a shell over a pool without chunks, on the default parent, with the default lock.
    #[must_use]
    pub const fn new(pool: P) -> Self {
        Self::new_in(pool, crate::source::DEFAULT_PARENT)
    }
}

impl<P: RawPool, A: Allocator, L: RawMutex> Locked<P, A, L> {
    /// Creates a shell over a pool without chunks, on a parent.
    #[must_use]
    pub const fn new_in(pool: P, parent: A) -> Self {
        Self::with_policy(pool, parent, Fail)
    }
}

impl<P: RawPool, A: Allocator, L: RawMutex, O: OomPolicy> Locked<P, A, L, O> {
    /// Creates a shell over a pool without chunks, on a parent, with a policy for when memory runs out.
    #[must_use]
    pub const fn with_policy(pool: P, parent: A, policy: O) -> Self {
        Self { pool: Mutex::new(pool), growth_barrier: GrowthBarrier::new(), parent, policy }
    }

    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.parent
    }

    #[inline]
    pub(super) fn access(&self) -> LockAccess<'_, P, A, L, O> {
        LockAccess(self)
    }
}

impl<P: Live, A: Allocator, L: RawMutex, O: OomPolicy> Locked<P, A, L, O> {
    /// Returns the live blocks, if the pool knows them: see [`Live`].
    pub fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>> {
        self.pool.get_mut().live()
    }
}

super::allocator::implement_for_shell!(Locked<P, A, L: RawMutex, O: OomPolicy>);
super::bulk::bulk_for_shell!(Locked<P, A, L: RawMutex, O: OomPolicy>, |self: &Self| self.access());

impl<P: RawPool, A: Allocator, L: RawMutex, O: OomPolicy> Drop for Locked<P, A, L, O> {
    fn drop(&mut self) {
        ops::release_all(self.pool.get_mut(), &self.parent);
    }
}

super::reclaim::reclaim_for_shell!(
    Locked<P, A, L: RawMutex, O: OomPolicy>, |this| this.pool.get_mut(), |self: &Self| self.access()
);

impl<P: RawPool + Inspect, A: Allocator, L: RawMutex, O: OomPolicy> Inspect for Locked<P, A, L, O> {
    delegate!(self: with self.access(); stats largest_free holes render metrics owns check report);
}

impl<P: RawPool, A: Allocator + AtFork, L: RawMutex, O: OomPolicy> AtFork for Locked<P, A, L, O> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.pool);
        visit(&self.growth_barrier);
        visit(&self.parent);
    }
}
