//! The shell for threads that take turns.

use core::{alloc::Layout, ptr::NonNull};

use lock_api::RawMutex;

use super::{
    generic::{PoolCell, Shell},
    oom::{Fail, OomPolicy},
};
use crate::{
    base::{AllocError, Mutex},
    source::DefaultParent,
    sync::{DefaultLock, growth_barrier::GrowthBarrier},
    traits::{
        Allocator, AtFork, Inspect, Live, PoolStats, RawPool, Reclaim, Reserve, delegate_allocator,
        delegate_inspect,
    },
};

/// A pool behind a lock, and its parent: an [`Allocator`] that any number of threads share.
///
/// The lock is held while the pool works, never while the parent is called. `L` is any [`lock_api::RawMutex`]; the
/// default is `ParkingLock` with the feature `std`, whose waiting threads sleep, and
/// [`SpinLock`](crate::lock::SpinLock) without it. Dropping the shell returns every chunk to the parent.
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
pub struct Locked<P: RawPool, A: Allocator = DefaultParent, L: RawMutex = DefaultLock, O: OomPolicy = Fail>(
    pub(super) Shell<LockedCell<P, L>, A, O>,
);

/// The cell of a pool that threads use in turns.
pub(super) struct LockedCell<P, L> {
    pool: Mutex<L, P>,
    growth_barrier: GrowthBarrier,
}

impl<P: RawPool, L: RawMutex> PoolCell for LockedCell<P, L> {
    type Pool = P;

    #[inline]
    fn with<R>(&self, use_it: impl FnOnce(&mut P) -> R) -> R {
        use_it(&mut self.pool.lock())
    }

    fn get_mut(&mut self) -> &mut P {
        self.pool.get_mut()
    }

    fn growth_barrier(&self) -> Option<&GrowthBarrier> {
        Some(&self.growth_barrier)
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
        let cell = LockedCell { pool: Mutex::new(pool), growth_barrier: GrowthBarrier::new() };
        Self(Shell::new(cell, parent, policy))
    }

    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.0.parent
    }

    /// Grows the pool, if necessary, until it can serve `count` requests for `layout` without its parent: see
    /// [`Local::reserve`](crate::Local::reserve).
    ///
    /// # Errors
    ///
    /// As for [`Local::reserve`](crate::Local::reserve).
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

    /// Returns the chunks without live blocks to the parent and returns their total size in bytes: see
    /// [`Local::trim`](crate::Local::trim).
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

impl<P: Live, A: Allocator, L: RawMutex, O: OomPolicy> Locked<P, A, L, O> {
    /// Returns the live blocks, if the pool knows them: see [`Live`].
    pub fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>> {
        self.0.cell.get_mut().live()
    }
}

delegate_allocator!([P: RawPool, A: Allocator, L: RawMutex, O: OomPolicy] Locked<P, A, L, O>: |this| this.0);

impl<P: RawPool, A: Allocator, L: RawMutex, O: OomPolicy> Reclaim for Locked<P, A, L, O> {
    fn reset(&mut self) {
        self.reset();
    }

    fn trim(&mut self) -> usize {
        Self::trim(self)
    }
}

delegate_inspect!([P: RawPool + Inspect, A: Allocator, L: RawMutex, O: OomPolicy] Locked<P, A, L, O>: |this| this.0);

// SAFETY: the parts are fields, so they are the same in each call.
unsafe impl<P: RawPool, A: Allocator + AtFork, L: RawMutex, O: OomPolicy> AtFork for Locked<P, A, L, O> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.0.cell.pool);
        visit(&self.0.cell.growth_barrier);
        visit(&self.0.parent);
    }
}
