//! The shell of many threads that take turns.

use core::{alloc::Layout, ptr::NonNull};

use lock_api::RawMutex;

use super::{
    oom::{Fail, OomPolicy},
    ops::{self, WithPool},
};
use crate::{
    base::{AllocError, DefaultLock, Mutex},
    source::DefaultParent,
    sync::growth_barrier::GrowthBarrier,
    traits::{Allocator, AtFork, Inspect, Live, RawPool, Reclaim, at_fork, delegate},
};

/// A pool behind a lock, and its parent: an [`Allocator`] that any number of threads share.
///
/// The lock is held while the pool works, never while the parent is asked. `L` is any [`lock_api::RawMutex`]: left alone,
/// `ParkingLock` with the feature `std`, whose waiters sleep, and [`SpinLock`](crate::SpinLock) without. Dropping the shell returns every chunk.
///
/// Threads that find the pool empty at the same time ask the parent each. Whom it refuses, as it gave its last to another,
/// waits for what that brings, a tenth of a second at most.
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
/// *Not for signal handlers*: one that interrupts the holder of the lock waits for it for ever. *After `fork`* the child
/// may use the pool if no other thread held the lock at that moment; where others may, `L` must be a lock that is taken
/// before a fork and released after it, in both processes (`pthread_atfork`).
pub struct Locked<P: RawPool, A: Allocator = DefaultParent, L: RawMutex = DefaultLock, O: OomPolicy = Fail> {
    pool: Mutex<L, P>,
    growth_barrier: GrowthBarrier,
    parent: A,
    policy: O,
}

/// The pool in a [`Locked`].
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
    /// A shell over a pool without chunks, on the default parent, with the default lock.
    #[must_use]
    pub const fn new(pool: P) -> Self {
        Self::new_in(pool, crate::source::DEFAULT_PARENT)
    }
}

impl<P: RawPool, A: Allocator, L: RawMutex> Locked<P, A, L> {
    /// A shell over a pool without chunks, on a parent.
    #[must_use]
    pub const fn new_in(pool: P, parent: A) -> Self {
        Self::with_policy(pool, parent, Fail)
    }
}

impl<P: RawPool, A: Allocator, L: RawMutex, O: OomPolicy> Locked<P, A, L, O> {
    /// A shell over a pool without chunks, on a parent, and what it does when memory has run out.
    #[must_use]
    pub const fn with_policy(pool: P, parent: A, policy: O) -> Self {
        Self { pool: Mutex::new(pool), growth_barrier: GrowthBarrier::new(), parent, policy }
    }

    /// The parent, to look at.
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
    /// The live blocks, if the pool knows them: see [`Live`].
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

at_fork!([P: RawPool, A: Allocator + AtFork, L: RawMutex, O: OomPolicy] Locked<P, A, L, O>: pool, growth_barrier, parent);
