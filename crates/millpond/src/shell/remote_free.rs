//! One thread allocates, any thread frees.
//!
//! The owner has exclusive access to a pool without atomics. Other threads push the blocks they free onto a list of
//! remote frees. If the pool has no block at hand, the owner takes *all* of that list with one exchange and frees the
//! blocks into the pool. No thread ever pops a single block off the shared list, so ABA cannot occur: no tag is needed,
//! and links may lie in the blocks, since only the owner follows them.
//!
//! (It would *not* be sound to splice collected blocks back under a list from which single blocks are popped: a thread
//! that was stopped after reading a head and its link succeeds when that head returns.)
//!
//! Allocating: O(1), and O(returned blocks) when they are collected. Freeing: O(1) by the owner, one exchange by other
//! threads.
//!
//! Source: the thread-free lists of Leijen, Zorn, de Moura, "Mimalloc: Free List Sharding in Action" (2019).

use core::{alloc::Layout, cell::Cell, marker::PhantomData, ptr::NonNull};

use super::{
    generic::{PoolCell, Shell},
    oom::Fail,
};
use crate::{
    base::atomic::{AtomicBool, Ordering, UnsafeCell},
    pool::{Blocks, Config, DynSize},
    source::DefaultParent,
    sync::{
        mpsc_free_list::MpscFreeList,
        ordering::{Correct, Orderings},
    },
    traits::{
        Allocation, Allocator, AtFork, HeapMapBuilder, Inspect, InvariantError, PoolStats, RawPool, Reclaim,
    },
};

/// Blocks of one size that one thread allocates and any thread frees.
///
/// The thread that allocates holds the [`OwnerHandle`]; there is one at a time. All other threads free through a shared
/// reference (or an `Arc`).
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, shell::RemoteFree};
///
/// let messages = RemoteFree::new(Blocks::<Fixed<64>>::new());
/// let layout = Layout::new::<[u64; 8]>();
/// std::thread::scope(|scope| {
///     let (send, receive) = std::sync::mpsc::channel();
///     scope.spawn(|| {
///         let owner = messages.try_own().expect("it has no owner");
///         for _ in 0..100 {
///             let block = owner.allocate(layout).expect("the heap has 64 bytes");
///             send.send(block.as_ptr() as *mut u8 as usize).expect("the other thread receives");
///         }
///         drop(send);
///     });
///     for address in receive {
///         let block = core::ptr::NonNull::new(core::ptr::with_exposed_provenance_mut(address)).expect("not null");
///         // SAFETY: the block is live, and this pool handed it out for this layout.
///         unsafe { messages.deallocate(block, layout) };
///     }
/// });
/// ```
///
/// # Guarantees
///
/// * The owner's operations are wait-free, except for calls to its parent and for the length of the list that is
///   collected.
/// * Freeing by other threads is lock-free: one exchange, retried only if another thread's has succeeded.
/// * No block is stranded: blocks that are returned while there is no owner, and all that an owner leaves behind, are
///   available to the next owner.
/// * *In a signal handler*: freeing is allowed. Allocating is not, if the handler may have interrupted the owner.
///   *After `fork`*: if the owner has forked, the child has an intact pool; otherwise its pool may be in the middle of
///   a change and must not be used.
///
/// There is no [`OomPolicy`](super::oom::OomPolicy): one thread allocates, and if its parent has no more memory, it may
/// free memory and retry by itself. Freeing never needs memory.
///
/// # Invariants
///
/// * Each block is live, free in the pool, or returned; a returned block begins with the address of the next returned
///   one.
/// * While `owner_flag` is set, the pool is accessed through the one owner alone.
pub struct RemoteFree<C: Config = DynSize, A: Allocator = DefaultParent> {
    remote: MpscFreeList,
    owner_flag: OwnerFlag,
    shell: Shell<OwnerCell<C>, A, Fail>,
}

/// The cell of a pool that the owner uses.
struct OwnerCell<C: Config>(UnsafeCell<Blocks<C>>);

impl<C: Config> PoolCell for OwnerCell<C> {
    type Pool = Blocks<C>;

    #[inline(always)]
    fn with<R>(&self, use_it: impl FnOnce(&mut Blocks<C>) -> R) -> R {
        // SAFETY: there is one owner, used by one thread at a time, and this reference ends with the closure, which
        // calls nothing but the pool (see `WithPool`): there is no second reference.
        self.0.with_mut(|pool| use_it(unsafe { &mut *pool }))
    }

    fn get_mut(&mut self) -> &mut Blocks<C> {
        self.0.get_mut()
    }
}

/// Whether there is an owner of something. Each owner sees everything that the owner before it did. (`T` provides the
/// orderings, which models weaken.)
pub(super) struct OwnerFlag<T = Correct>(AtomicBool, PhantomData<fn() -> T>);

impl<T: Orderings> OwnerFlag<T> {
    pub(super) const fn new() -> Self {
        Self(AtomicBool::new(false), PhantomData)
    }

    /// Becomes the owner, unless there is one; returns whether it did.
    pub(super) fn begin(&self) -> bool {
        if T::ONE_STEP {
            return self.0.compare_exchange(false, true, T::ACQUIRE, Ordering::Relaxed).is_ok();
        }
        let is_free = !self.0.load(T::ACQUIRE);
        self.0.store(true, Ordering::Relaxed);
        is_free
    }

    /// Ends the ownership.
    pub(super) fn end(&self) {
        self.0.store(false, T::RELEASE);
    }
}

// SAFETY: the pool and the parent are used by one thread at a time, the owner's, and `owner_flag` orders one owner's
// use before the next one's; so both need to be `Send` only.
unsafe impl<C: Config, A: Allocator + Send> Sync for RemoteFree<C, A> where Blocks<C>: Send {}

impl<C: Config> RemoteFree<C> {
    /// Creates a pool without chunks and its list of remote frees, on the default parent.
    #[must_use]
    pub const fn new(pool: Blocks<C>) -> Self {
        Self::new_in(pool, crate::source::DEFAULT_PARENT)
    }
}

impl<C: Config, A: Allocator> RemoteFree<C, A> {
    /// Creates a pool without chunks and its list of remote frees, on a parent.
    #[must_use]
    pub const fn new_in(pool: Blocks<C>, parent: A) -> Self {
        Self {
            remote: MpscFreeList::new(),
            owner_flag: OwnerFlag::new(),
            shell: Shell::new(OwnerCell(UnsafeCell::new(pool)), parent, Fail),
        }
    }

    /// Returns the right to allocate, or `None` while there is another owner. The right is given back when the handle
    /// is dropped.
    #[must_use]
    pub fn try_own(&self) -> Option<OwnerHandle<'_, C, A>> {
        self.owner_flag.begin().then(|| OwnerHandle { remote_free: self, one_thread: PhantomData })
    }

    /// Frees a block, from any thread: it waits in the list of remote frees until the owner needs it.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    #[inline]
    pub unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        // SAFETY: the caller gives up the block; it lies in a chunk that was added to the pool, and a block has room
        // for a word.
        unsafe { self.remote.push(block) };
    }

    /// Frees the blocks that were returned; returns their number.
    fn collect_remote(remote: &MpscFreeList, pool: &mut Blocks<C>) -> usize {
        let layout = pool.block_layout();
        // SAFETY: the block was returned, so it is no longer in use.
        remote.take_all(|block| unsafe { pool.deallocate(block, layout) })
    }
}

/// Only while there is no owner.
impl<C: Config, A: Allocator> Reclaim for RemoteFree<C, A> {
    fn reset(&mut self) {
        self.reset();
    }

    fn trim(&mut self) -> usize {
        self.trim()
    }
}

impl<C: Config, A: Allocator> RemoteFree<C, A> {
    /// Declares every block dead and keeps every chunk for reuse. Only while there is no owner.
    pub fn reset(&mut self) {
        self.remote.clear();
        self.shell.reset();
    }

    /// Returns the chunks without live blocks to the parent and returns their total size in bytes. Only while there is
    /// no owner; an [`OwnerHandle`] has a [`trim`](OwnerHandle::trim) too.
    pub fn trim(&mut self) -> usize {
        // An overwritten link cannot be followed: the list stays as it is.
        let pool = self.shell.cell.get_mut();
        if pool.can_follow(self.remote.head()) {
            Self::collect_remote(&self.remote, pool);
        }
        self.shell.trim()
    }
}

/// The right to allocate from a [`RemoteFree`]: an [`Allocator`] for one thread, which can be sent to another.
///
/// ```compile_fail
/// # use millpond::{Blocks, Fixed, shell::RemoteFree};
/// let pool = RemoteFree::new(Blocks::<Fixed<64>>::new());
/// let owner = pool.try_own();
/// std::thread::scope(|scope| {
///     scope.spawn(|| &owner); // error: an owner cannot be shared between threads
/// #     // instead: drop(&owner);
/// });
/// ```
pub struct OwnerHandle<'a, C: Config, A: Allocator> {
    remote_free: &'a RemoteFree<C, A>,
    one_thread: PhantomData<Cell<()>>,
}

impl<C: Config, A: Allocator> OwnerHandle<'_, C, A> {
    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.shell().parent
    }

    /// Frees the blocks that other threads have returned; returns their number. This happens automatically when the
    /// pool has no block at hand.
    pub fn collect_remote(&self) -> usize {
        let remote = &self.remote_free.remote;
        self.shell().cell.with(|pool| RemoteFree::<C, A>::collect_remote(remote, pool))
    }

    /// Returns the chunks without live blocks to the parent and returns their total size in bytes. Blocks that were
    /// returned by other threads count as free. O(free blocks · log chunks).
    pub fn trim(&self) -> usize {
        // An overwritten link cannot be followed: the list stays as it is.
        if self.shell().cell.with(|pool| pool.can_follow(self.remote_free.remote.head())) {
            self.collect_remote();
        }
        self.shell().trim()
    }

    #[inline(always)]
    fn shell(&self) -> &Shell<OwnerCell<C>, A, Fail> {
        &self.remote_free.shell
    }

    #[cold]
    #[inline(never)]
    fn allocate_cold(&self, layout: Layout) -> Allocation {
        self.collect_remote();
        self.shell().allocate(layout)
    }
}

// SAFETY: blocks are the pool's, which keeps the contract, and a block that was returned is free. Nothing here unwinds.
unsafe impl<C: Config, A: Allocator> Allocator for OwnerHandle<'_, C, A> {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Allocation {
        match self.shell().cell.with(|pool| pool.allocate_hot(layout)) {
            Some(block) => Ok(block),
            None => self.allocate_cold(layout),
        }
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { self.shell().deallocate(block, layout) };
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.shell().may_deallocate(block, layout)
    }

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { self.shell().damage(block, layout) }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_in_place`, which is the same.
        unsafe { self.shell().grow_in_place(block, old, new) }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink_in_place`, which is the same.
        unsafe { self.shell().shrink_in_place(block, old, new) }
    }
}

impl<C: Config, A: Allocator> Drop for OwnerHandle<'_, C, A> {
    fn drop(&mut self) {
        self.remote_free.owner_flag.end();
    }
}

impl<C: Config, A: Allocator> Inspect for OwnerHandle<'_, C, A> {
    /// O(free blocks). Blocks that were returned by other threads count as free.
    fn stats(&self) -> PoolStats {
        // Only the owner takes blocks off the list, and this is the owner.
        let first = self.remote_free.remote.head();
        self.shell().cell.with(|pool| {
            let stats = pool.stats();
            // If links were overwritten, a free block may be on both lists.
            let remote = (pool.follow(first).count() * pool.block_layout().size()).min(stats.live);
            PoolStats { live: stats.live - remote, free: stats.free + remote, ..stats }
        })
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        let first = self.remote_free.remote.head();
        self.shell().cell.with(|pool| {
            pool.render(builder);
            let size = pool.block_layout().size();
            pool.follow(first).for_each(|block| builder.free(block..block + size));
        });
    }

    fn owns(&self, address: *const u8) -> bool {
        self.shell().cell.with(|pool| pool.owns(address))
    }

    fn check(&self) -> Result<(), InvariantError> {
        let first = self.remote_free.remote.head();
        self.shell().cell.with(|pool| {
            pool.check()?;
            if pool.can_follow(first) {
                Ok(())
            } else {
                Err(InvariantError("a link in a returned block leads to no block, or back: it was overwritten, or freed twice"))
            }
        })
    }
}

/// For a parent that threads may share, because it is locked while the owner may be using it.
// SAFETY: the part is a field, so it is the same in each call.
unsafe impl<C: Config, A: Allocator + AtFork + Sync> AtFork for RemoteFree<C, A> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.shell.parent);
    }
}
