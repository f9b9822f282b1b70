//! The shell for many threads that allocate and free at a high rate: magazines of free blocks per thread, over a depot
//! behind a lock.
//!
//! Each thread has a thread index, and each pool a slot per index, which holds two magazines. Allocating pops a block
//! from the loaded magazine and freeing pushes one onto it; nothing is shared. If the loaded magazine is empty (or
//! full), it is swapped with the spare one; if that is empty (or full) too, the thread visits the depot and exchanges a
//! whole magazine. Two visits are therefore at least a magazine of operations apart, and a thread that moves back and
//! forth across the boundary of one magazine does not visit the depot at all. Magazines start small. They double at
//! each visit and whenever the spare one is needed, so a thread whose demand varies by less than a magazine soon has
//! one magazine that is large enough.
//!
//! * Allocate and free: O(1), no atomic read-modify-write, no lock. One operation per magazine visits the depot: O(1)
//!   for an exchange, O(blocks in a magazine) if blocks come from the pool or go back to it.
//! * Blocks that other threads cannot reach: at most 2 magazines for each thread index that is or was in use. See
//!   [`Cached`] for what happens to them when memory runs out.
//!
//! Source: Bonwick and Adams, "Magazines and Vmem" (2001), with thread indices in place of processors.

mod by_class_count;
mod config;
mod depot;
mod handle;
mod inspect;
mod magazine;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
mod reserve;
mod slow_path;
mod table;
mod thread_magazines;

use core::{alloc::Layout, ptr::NonNull};

use lock_api::RawMutex;

pub use self::{
    config::{CacheConfig, CacheOptions},
    handle::Handle,
};
use self::{depot::Depot, slow_path::StealThenAsk, table::ThreadTable, thread_magazines::ThreadMagazines};
use super::{
    oom::{Fail, OomPolicy},
    ops::{self, WithPool},
};
use crate::{
    base::{AllocError, Mutex, atomic::AtomicUsize},
    pool::{ClassMap, Classes, ConstSizeClasses, SizeClasses},
    source::DefaultParent,
    sync::{
        SpinLock,
        growth_barrier::GrowthBarrier,
        thread_index::{self, MAX_THREADS},
    },
    traits::{Allocation, Allocator, AtFork, Inspect, PoolStats, RawPool, Reclaim, relocate},
};

/// A pool with a cache for each thread, and its parent: the [`Allocator`] for many threads that allocate and free at a
/// high rate.
///
/// `P` is [`Blocks`](crate::Blocks), [`Classes`](crate::Classes), or a guard around one of them. Any number of such
/// pools can be created and dropped at any time, or be a `static`. Any number of threads may use a pool, and any thread
/// may free a block.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Cached, Fixed};
///
/// static POOL: Cached<Blocks<Fixed<64>>> = Cached::constant(Blocks::new(), millpond::Heap);
///
/// let layout = Layout::new::<[u64; 8]>();
/// let block = POOL.allocate(layout)?;
/// std::thread::scope(|scope| {
///     let address = block.addr();
///     scope.spawn(move || {
///         let block = core::ptr::NonNull::with_exposed_provenance(address);
///         // SAFETY: the block is live, this pool handed it out for this layout, and this thread alone has it.
///         unsafe { POOL.deallocate(block, layout) };
///     });
///     # block.as_ptr().cast::<u8>().expose_provenance();
/// });
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// # Structure
///
/// A thread pops and pushes blocks at the top of its loaded magazine, and visits the depot to exchange a whole one:
///
/// ```text
///  thread 1                    thread 2                    for each thread index and size class:
///  ┌────────┬────────┐         ┌────────┬────────┐         no lock, nothing shared
///  │ loaded │ spare  │         │ loaded │ spare  │
///  └────────┴────────┘         └────────┴────────┘
///       ▲  exchange when both are empty, or both full
///       ▼
///  ┌─ depot, behind a lock ────────────────────────┐       a magazine:
///  │ full magazines per size class: ─► m ─► m ─► 0 │       ┌────────┬───┬───┬───┬───┬──────┐
///  │ pool: `Blocks` or `Classes`                   │       │ unused │ 0 │ A │ B │ C │ room │
///  └───────────────────────────────────────────────┘       └────────┴───┴───┴───┴───┴──────┘
///       ▲ chunks, requested without the lock                          └ bottom    └ top
///     parent
/// ```
///
/// # Cached blocks
///
/// A magazine holds at most 126 blocks (see [`CacheOptions::words`]), and at most 64 KiB of them unless it holds a
/// single block. From its first use of the pool on, a thread caches at most two magazines per size class. The blocks
/// cached by a thread that has ended are inherited by the next thread that starts, because that thread gets its index.
/// The total is therefore bounded by what the largest number of threads alive at one time can cache.
///
/// If the parent has no more memory, the request takes the blocks that its own thread caches in other size classes and
/// those in the slots of unused thread indices, asks the other threads for theirs, and returns chunks without live
/// blocks to the parent. The other threads observe this when they next visit the depot: they give back all the blocks
/// they cache and start with small magazines again. Once all other threads have ended, one thread can therefore
/// allocate every block; as long as they are alive and idle, up to two magazines per size class of each of them may be
/// out of reach. [`flush`](Self::flush) gives everything that the current thread caches back at once.
///
/// Thread indices belong to the whole process. If the index of a thread that has ended is reused by a thread (or a
/// [`Handle`]) that does not use this pool, the blocks that the former left behind are out of reach until the latter
/// ends or calls `flush`, or until this pool is trimmed. The bound above includes these: with `n` indices in use in the
/// process, including the caller's, at most 2·(`n` − 1) magazines per size class are out of a request's reach.
///
/// # Threads
///
/// * A thread gets its index at its first call and returns it when it ends. There are 1023. Threads that find none
///   left, and calls from destructors that run after the thread's index has been returned, go to the depot every time:
///   they behave as with [`Locked`](crate::Locked), which is slower and equally correct. The same holds for a thread
///   for which the parent has no memory for a magazine. Each thread requests a block before it requests magazines, so a
///   parent with only a chunk or two spends them on blocks.
/// * Without the feature `std`, threads cannot be told apart: every call goes to the depot, except those through a
///   [`Handle`].
/// * *Signal handlers* must not use the pool: a handler that interrupts an allocation would find a half-changed slot,
///   or wait for a lock that only the interrupted thread can release.
/// * *Fork*: in the child, the thread that forked continues with its own slot. The blocks that other threads cached are
///   lost to the child, and the slots must not be read: the child must not [`trim`](Reclaim::trim) the pool. If another
///   thread was in the depot at the time of the fork, its lock is never released, and the child's first visit never
///   returns. If other threads may use the pool during a fork, register it with the module `fork`: the child then has
///   the whole pool, no matter when the process forked, and may trim it too. Blocks that other threads had in their
///   magazines are lost to it until a reset.
///
/// # Misuse
///
/// A pool that marks its blocks ([`Validated`](crate::pool::Validated)) reports leaks when it is dropped, but reports a
/// double free only when a magazine is emptied into it, which is too late to prevent it. A guard around the whole
/// shell, such as [`Checked`](crate::guard::Checked), sees each call. So does a [`Hardened`](crate::pool::Hardened)
/// pool, because its blocks are not cached: every call takes the lock of the depot, as with [`Locked`](crate::Locked).
///
/// # Costs
///
/// The pool itself takes about 5 KiB for blocks of one size and 4 KiB for [`Classes`](crate::Classes). The parent
/// provides two magazines of 1 KiB for each thread and size class in use, and for `Classes` 2 KiB more per thread.
/// Freed blocks that wait in the depot take one word each in addition to their own memory, 1 KiB for 126 blocks, until
/// they are handed out again or the pool is trimmed.
///
/// The first 31 thread indices are *inline*. A thread with a larger index calls a function on each operation, which
/// finds its slot, without a lock, in a list of the slots whose index has the same remainder.
pub struct Cached<P: SizeClasses, A: Allocator = DefaultParent, C: CacheConfig = CacheOptions> {
    class_map: P::ClassMap,
    /// Incremented by each request that found no memory: see [`ThreadMagazines::observe_epoch`].
    reclaim_epoch: AtomicUsize,
    caches: ThreadTable<P::ClassMap>,
    depot: Mutex<C::Lock, Depot<P, C>>,
    growth_barrier: GrowthBarrier,
    parent: A,
    config: C,
}

impl<P: SizeClasses> Cached<P> {
    /// Creates a shell over a pool without chunks, on the default parent.
    #[must_use]
    pub fn new(pool: P) -> Self {
        Self::new_in(pool, crate::source::DEFAULT_PARENT)
    }
}

impl<P: SizeClasses, A: Allocator> Cached<P, A> {
    /// Creates a shell over a pool without chunks, on a parent.
    #[must_use]
    pub fn new_in(pool: P, parent: A) -> Self {
        Self::with_policy(pool, parent, Fail)
    }
}

impl<P: SizeClasses, A: Allocator, O: OomPolicy> Cached<P, A, CacheOptions<SpinLock, O>> {
    /// Creates a shell over a pool without chunks, on a parent, with a policy for when memory runs out.
    #[must_use]
    pub fn with_policy(pool: P, parent: A, policy: O) -> Self {
        Self::with_options(pool, parent, CacheOptions::of(policy))
    }
}

impl<P: ConstSizeClasses, A: Allocator, L: RawMutex, const WORDS: usize>
    Cached<P, A, CacheOptions<L, Fail, WORDS>>
{
    /// Creates a shell over a pool without chunks, on a parent, at compile time: for a `static`.
    #[must_use]
    pub const fn constant(pool: P, parent: A) -> Self {
        Self::with_class_map(P::CLASS_MAP, pool, parent, CacheOptions::of(Fail))
    }
}

impl<A: Allocator, L: RawMutex, const WORDS: usize> Cached<Classes, A, CacheOptions<L, Fail, WORDS>> {
    /// Creates a shell over size classes without chunks, on a parent, at compile time: for a `static`.
    ///
    /// ```
    /// use core::alloc::Layout;
    /// use millpond::{Allocator, Cached, Classes, Heap};
    ///
    /// static POOL: Cached<Classes> = Cached::of_classes(Classes::new(), Heap);
    ///
    /// std::thread::scope(|scope| {
    ///     for size in [24, 1000] {
    ///         scope.spawn(move || {
    ///             let layout = Layout::from_size_align(size, 8).expect("a small layout");
    ///             let block = POOL.allocate(layout).expect("the heap has room");
    ///             // SAFETY: the block is live, and this pool handed it out for this layout.
    ///             unsafe { POOL.deallocate(block.cast(), layout) };
    ///         });
    ///     }
    /// });
    /// ```
    #[must_use]
    pub const fn of_classes(pool: Classes, parent: A) -> Self {
        Self::with_class_map(pool.class_map(), pool, parent, CacheOptions::of(Fail))
    }
}

impl<P: SizeClasses, A: Allocator, C: CacheConfig> Cached<P, A, C> {
    /// Creates a shell over a pool without chunks, on a parent, with [options](CacheOptions).
    #[must_use]
    pub fn with_options(pool: P, parent: A, options: C) -> Self {
        Self::with_class_map(pool.class_map(), pool, parent, options)
    }

    /// Like [`with_options`](Self::with_options), but also at compile time; `class_map` is the pool's.
    pub(crate) const fn with_class_map(class_map: P::ClassMap, pool: P, parent: A, config: C) -> Self {
        Self {
            class_map,
            reclaim_epoch: AtomicUsize::new(0),
            caches: ThreadTable::new(),
            depot: Mutex::new(Depot::new(pool)),
            growth_barrier: GrowthBarrier::new(),
            parent,
            config,
        }
    }

    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.parent
    }

    /// Gives back what the current thread caches: its free blocks to the pool, its magazines to the depot. O(cached
    /// blocks).
    ///
    /// For a thread that will not use the pool for a long time. The blocks that a [`Handle`] caches are given back when
    /// the handle is dropped.
    pub fn flush(&self) {
        // SAFETY: the index is the current thread's, which makes this call.
        unsafe { self.flush_thread(thread_index::current()) };
    }

    /// Returns a cache for use by one thread at a time, without a thread-local variable or without `std`.
    ///
    /// If no thread index is left, or the parent has no memory for a magazine, calls through the handle go to the
    /// depot.
    #[must_use]
    pub fn handle(&self) -> Handle<'_, P, A, C> {
        Handle::new(self)
    }

    /// Returns the class of a layout whose blocks are cached; `None` if the call goes to the pool.
    #[inline(always)]
    fn class(&self, layout: Layout) -> Option<usize> {
        if P::IS_CACHEABLE { self.class_map.class(layout) } else { None }
    }

    /// The same, if it can be found quickly.
    #[inline(always)]
    fn class_hot(&self, layout: Layout) -> Option<usize> {
        if P::IS_CACHEABLE { self.class_map.class_hot(layout) } else { None }
    }

    /// The hot path: pops a block from the loaded magazine and returns it with its length.
    ///
    /// # Safety
    ///
    /// `cache` returns the caller's slot for a class, or a vacant one.
    #[inline(always)]
    unsafe fn allocate_hot<'a>(
        &self,
        cache: impl FnOnce(usize) -> &'a ThreadMagazines,
        layout: Layout,
    ) -> Option<NonNull<[u8]>> {
        let class = self.class_hot(layout)?;
        // SAFETY: `cache` returns the caller's slot or a vacant one, so nothing else uses the slot.
        let block = unsafe { cache(class).pop()? };
        Some(NonNull::slice_from_raw_parts(block, self.class_map.layout(class).size()))
    }

    /// The hot path: pushes a block onto the loaded magazine. Returns `false` if the magazine is full.
    ///
    /// # Safety
    ///
    /// `cache` returns the caller's slot for a class, or a vacant one; otherwise as for [`Allocator::deallocate`].
    #[inline(always)]
    unsafe fn deallocate_hot<'a>(
        &self,
        cache: impl FnOnce(usize) -> &'a ThreadMagazines,
        block: NonNull<u8>,
        layout: Layout,
    ) -> bool {
        match self.class_hot(layout) {
            // SAFETY: `cache` returns the caller's slot or a vacant one; the block is freed by the caller and of this
            // class.
            Some(class) => unsafe { cache(class).push::<C>(block) },
            None => false,
        }
    }

    /// Resizes a live block in place.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow_in_place`] or [`Allocator::shrink_in_place`], depending on the sizes.
    unsafe fn resize_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        match (self.class(old), self.class(new)) {
            (Some(class), Some(same)) if class == same => {
                Ok(NonNull::slice_from_raw_parts(block, self.class_map.layout(class).size()))
            }
            // SAFETY: the caller upholds the contract of `grow_in_place` or `shrink_in_place`, depending on the sizes.
            (None, None) => unsafe { ops::resize_in_place(self.pool(), &self.parent, block, (old, new)) },
            _ => Err(AllocError::InPlace),
        }
    }

    /// Resizes a live block. If the block moves, its new place is allocated from `through`; `thread` is the caller's
    /// index.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow`] or [`Allocator::shrink`], depending on the sizes.
    unsafe fn resize(
        &self,
        (through, thread): (&impl Allocator, impl FnOnce() -> usize),
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow` or `shrink`, depending on the sizes.
        unsafe {
            if self.class(old).is_none() && self.class(new).is_none() {
                let steal_from_idle = StealThenAsk { pool: self, thread: thread(), layout: new };
                ops::resize((through, self.pool(), &self.parent, &steal_from_idle), block, (old, new))
            } else {
                self.resize_in_place(block, old, new).or_else(|_| relocate(through, block, old, new))
            }
        }
    }
}

// SAFETY: a block is in the pool, in one magazine, or live. It is handed out by the thread that takes it from where it
// is, under the depot's lock or from a slot that no other thread uses. A layout that fits the block has its class.
// Nothing here unwinds.
unsafe impl<P: SizeClasses, A: Allocator, C: CacheConfig> Allocator for Cached<P, A, C> {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Allocation {
        // SAFETY: the slot is the current thread's.
        match unsafe { self.allocate_hot(|class| self.caches.of_thread(class), layout) } {
            Some(block) => Ok(block),
            None => self.allocate_cold(layout).unpack(),
        }
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the slot is the current thread's; the caller upholds the contract of `deallocate`, which is the same.
        unsafe {
            if !self.deallocate_hot(|class| self.caches.of_thread(class), block, layout) {
                self.deallocate_cold(block, layout);
            }
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        // A block of a class goes to a magazine, whatever its address is: no call is prevented.
        layout.size() == 0
            || self.class(layout).is_some()
            || ops::may_deallocate(self.pool(), &self.parent, block, layout)
    }

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        match self.class(layout) {
            // The next block of a class comes from a magazine, if there is one: users do not reach these. The depot is
            // not asked.
            Some(_) => None,
            // SAFETY: the caller upholds the contract of `damage`, which is the same.
            None => unsafe { ops::damage(self.pool(), &self.parent, block, layout) },
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow`, which is that of `resize`.
        unsafe { self.resize((self, thread_index::current), block, old, new) }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink`, which is that of `resize`.
        unsafe { self.resize((self, thread_index::current), block, old, new) }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_in_place`, which is that of `resize_in_place`.
        unsafe { Self::resize_in_place(self, block, old, new) }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink_in_place`, which is that of `resize_in_place`.
        unsafe { Self::resize_in_place(self, block, old, new) }
    }
}

impl<P: SizeClasses, A: Allocator, C: CacheConfig> Cached<P, A, C> {
    /// Gives back what threads cache, and releases their slots.
    fn drain_magazines(&mut self) {
        for thread in 1..MAX_THREADS {
            // SAFETY: no thread uses the pool while it is borrowed mutably.
            unsafe { self.flush_thread(thread) };
            self.release_caches(thread);
        }
    }
}

impl<P: SizeClasses, A: Allocator, C: CacheConfig> Drop for Cached<P, A, C> {
    fn drop(&mut self) {
        if P::REPORTS_LEAKS {
            self.drain_magazines();
            self.depot.get_mut().drain_all();
        }
        ops::release_all(self.depot.get_mut(), &self.parent);
    }
}

impl<P: SizeClasses, A: Allocator, C: CacheConfig> Cached<P, A, C> {
    /// Declares every block dead and keeps every chunk for reuse.
    pub fn reset(&mut self) {
        for thread in 1..MAX_THREADS {
            self.caches.take(thread);
        }
        self.depot.get_mut().reset();
    }

    /// Returns the chunks without live blocks to the parent and returns their total size in bytes. O(free blocks · log
    /// chunks).
    ///
    /// Blocks cached by the current thread count as free, and so do those left behind by ended threads whose index is
    /// unused. (A thread returns its index in its last destructors; [`std::thread::scope`] does not wait for these.)
    /// Blocks cached by other threads count as live for now; these threads are asked to give them back, and do so when
    /// they next visit the depot. Live blocks stay where they are, so this may be called at any time. It happens
    /// automatically, once per request, before a request is refused because the parent has no more memory.
    ///
    /// Through [`Reclaim::trim`], which has exclusive access to the pool, blocks cached by any thread count as free.
    pub fn trim(&self) -> usize {
        self.flush();
        self.steal_from_idle();
        ops::trim(self.pool(), &self.parent)
    }

    /// Returns how much memory the pool has and how much of it is live: see [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats
    where
        P: Inspect,
    {
        Inspect::stats(self)
    }
}

impl<P: SizeClasses, A: Allocator, C: CacheConfig> Reclaim for Cached<P, A, C> {
    fn reset(&mut self) {
        self.reset();
    }

    /// Blocks cached by threads count as free: they are given back to the pool first.
    fn trim(&mut self) -> usize {
        self.drain_magazines();
        ops::trim(ops::MutAccess(self.depot.get_mut()), &self.parent)
    }
}

// SAFETY: the parts are fields, so they are the same in each call.
unsafe impl<P: SizeClasses, A: Allocator + AtFork, C: CacheConfig> AtFork for Cached<P, A, C> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.depot);
        visit(&self.caches);
        visit(&self.growth_barrier);
        visit(&self.parent);
    }
}

/// A part of the depot that is a pool, for the allocation loop shared by all shells.
struct DepotPart<'a, L, D, Q> {
    depot: &'a Mutex<L, D>,
    growth_barrier: &'a GrowthBarrier,
    choose: fn(&mut D) -> &mut Q,
}

impl<L: RawMutex, D, Q: RawPool> WithPool for DepotPart<'_, L, D, Q> {
    type Pool = Q;

    #[inline]
    fn with<R>(&mut self, use_it: impl FnOnce(&mut Q) -> R) -> R {
        use_it((self.choose)(&mut self.depot.lock()))
    }

    fn growth_barrier(&self) -> Option<&GrowthBarrier> {
        Some(self.growth_barrier)
    }
}
