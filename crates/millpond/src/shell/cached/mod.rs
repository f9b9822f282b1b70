//! The shell of many threads that rarely meet: magazines of free blocks for each thread, over a depot under a lock.
//!
//! Each thread has a number, and every pool a slot for each number: two magazines. Allocating takes the last block of the
//! magazine in use, freeing puts one there, and nothing is shared. When the magazine in use is empty (or full), the spare
//! one takes its place; when that is empty (or full) too, the thread visits the depot and exchanges a whole magazine. So
//! between two visits lie as many operations as fit a magazine, and a thread that moves back and forth across the edge of
//! one does not visit at all. Magazines start small, and double at each visit and whenever the spare one has to help out: so
//! a thread that goes back and forth by less than a magazine soon has room for that in one.
//!
//! * Allocate and free: O(1), no atomic read-modify-write, no lock. One in a magazine visits the depot: O(1) for an
//!   exchange, O(blocks in a magazine) where blocks come from the pool or go back to it.
//! * Blocks held back from other threads: at most 2 magazines for each number that is leased or was; see
//!   [`Cached`] for what becomes of them when memory runs out.
//!
//! Source: Bonwick and Adams, "Magazines and Vmem" (2001), with thread numbers in the place of processors.

mod bulk;
mod by_class_count;
mod depot;
mod handle;
mod inspect;
mod magazine;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
mod slow_path;
mod table;
mod thread_magazines;

use core::{alloc::Layout, ptr::NonNull};

use lock_api::RawMutex;

pub use self::handle::Handle;
use self::{
    depot::Depot, magazine::MAX_WORDS, slow_path::StealThenAsk, table::ThreadTable,
    thread_magazines::ThreadMagazines,
};
use super::{
    allocator::resize_alike,
    oom::{Fail, OomPolicy},
    ops::{self, WithPool},
};
use crate::{
    base::{AllocError, Mutex, SpinLock, atomic::AtomicUsize},
    pool::{ClassMap, Classes, ConstSizeClasses, SizeClasses},
    source::DefaultParent,
    sync::{
        growth_barrier::GrowthBarrier,
        thread_index::{self, MAX_THREADS},
    },
    traits::{Allocation, Allocator, AtFork, Inspect, PoolStats, RawPool, Reclaim, at_fork, relocate},
};

/// A pool with a cache for each thread, and its parent: the [`Allocator`] for many threads that allocate and free much.
///
/// `P` is [`Blocks`](crate::Blocks), [`Classes`](crate::Classes), or a guard around one of them. Any number of such pools can be made and
/// dropped at any time, or be a `static`; any number of threads may use them, and a block may be freed by any thread.
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
/// # What is held back
///
/// A magazine carries at most `WORDS` − 2 blocks (126), and not more than 64 KiB of them but for the first. A thread
/// holds back two magazines of each class of blocks at most, from its first use of the pool on. What a thread held that
/// has ended is inherited by the next thread that starts, because that gets its number; so at most as much is held back as
/// the largest number of threads that lived at a time can hold.
///
/// When the parent has nothing more, the request takes what its own thread holds of other classes, and what is in the slots of
/// numbers that nobody has; asks the threads that live for theirs; and gives chunks in which nothing is live back to the parent.
///  They hear of it when they next visit the depot, give all they hold, and start with small
/// magazines again. So once all others have ended, one thread gets every block; as long as they live and are idle, up
/// to two magazines of each may be out of reach. [`flush`](Self::flush) gives everything back at once.
///
/// Numbers belong to the whole process. So out of reach is also what a thread has left behind whose number now belongs to a
/// thread (or a [`Handle`]) that does not use this pool: until that one ends, or calls `flush`, or this pool is trimmed. This
/// is no more than above: with `n` numbers leased in the process, the caller's among them, at most 2·(`n` − 1)
/// magazines of each class of blocks are out of a request's reach.
///
/// # Threads
///
/// * Numbers are leased at a thread's first call and given back at its end. There are 1023, and the threads that find
///   none, as well as calls from destructors that run after a thread's number is gone, go to the depot every time: that
///   is [`Locked`](crate::Locked), slower and as right. So does a thread for which the parent has no magazine. Each thread asks
///   for a block before it asks for magazines, so a parent with no more than a chunk or two spends them on blocks.
/// * Without the feature `std` there are no threads that could be told apart: every call goes to the depot, but for those
///   through a [`Handle`].
/// * *Not for signal handlers*: one that interrupts an allocation would find a half-changed slot, or wait for a lock that
///   only the interrupted thread can release.
/// * *Fork*: in the child, the thread that forked goes on with its own slot. What other threads held is held back for good,
///   and must not be looked at: the child does not [`trim`](Reclaim::trim) the pool. If another thread was in the depot at
///   that moment, its lock is never released, and the child's first visit never ends. So where others may use the pool
///   meanwhile, it is held for forks (module `fork`): then the child has the whole pool whenever it was forked, and may trim it
///   too. What other threads kept ready is lost to it until a reset.
///
/// # Misuse
///
/// A pool that marks its blocks ([`Validated`](crate::Validated)) tells leaks when it goes, but a double free not before a magazine
/// is emptied into it: too late to prevent. A guard around the whole, such as [`Checked`](crate::Checked), sees each call.
///
/// # Costs
///
/// The pool itself takes about 5 KiB for blocks of one size, 4 KiB for [`Classes`](crate::Classes). From the parent come two
/// magazines of 1 KiB for each thread and class of blocks that it uses, and for `Classes` 2 KiB more for each thread. What is
/// freed and waits in the depot takes a word for each block besides its own memory, 1 KiB for 126 blocks, until it is handed
/// out again or the pool is trimmed.
///
/// The first 31 numbers are *near*: a thread with another one calls a function each time, which finds its slot, without a
/// lock, in a list of those whose number has the same remainder.
pub struct Cached<
    P: SizeClasses,
    A: Allocator = DefaultParent,
    L: RawMutex = SpinLock,
    O: OomPolicy = Fail,
    const WORDS: usize = MAX_WORDS,
> {
    class_map: P::ClassMap,
    /// Grows with each request that found no memory: see [`ThreadMagazines::observe_epoch`].
    reclaim_epoch: AtomicUsize,
    caches: ThreadTable<P::ClassMap>,
    depot: Mutex<L, Depot<P, WORDS>>,
    growth_barrier: GrowthBarrier,
    parent: A,
    policy: O,
}

impl<P: SizeClasses> Cached<P> {
    /// A shell over a pool without chunks, on the default parent.
    #[must_use]
    pub fn new(pool: P) -> Self {
        Self::new_in(pool, crate::source::DEFAULT_PARENT)
    }
}

impl<P: SizeClasses, A: Allocator> Cached<P, A> {
    /// A shell over a pool without chunks, on a parent.
    #[must_use]
    pub fn new_in(pool: P, parent: A) -> Self {
        Self::with_policy(pool, parent, Fail)
    }
}

impl<P: ConstSizeClasses, A: Allocator, L: RawMutex, const WORDS: usize> Cached<P, A, L, Fail, WORDS> {
    /// A shell over a pool without chunks, on a parent, made at compile time: for a `static`.
    #[must_use]
    pub const fn constant(pool: P, parent: A) -> Self {
        Self::with_class_map(P::CLASS_MAP, pool, parent, Fail)
    }
}

impl<A: Allocator, L: RawMutex, const WORDS: usize> Cached<Classes, A, L, Fail, WORDS> {
    /// A shell over size classes without chunks, on a parent, made at compile time: for a `static`.
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
        Self::with_class_map(pool.class_map(), pool, parent, Fail)
    }
}

impl<P: SizeClasses, A: Allocator, L: RawMutex, O: OomPolicy, const WORDS: usize> Cached<P, A, L, O, WORDS> {
    /// A shell over a pool without chunks, on a parent, and what it does when memory has run out.
    #[must_use]
    pub fn with_policy(pool: P, parent: A, policy: O) -> Self {
        Self::with_class_map(pool.class_map(), pool, parent, policy)
    }

    /// As [`with_policy`](Self::with_policy), at compile time too; `class_map` is the pool's.
    pub(crate) const fn with_class_map(class_map: P::ClassMap, pool: P, parent: A, policy: O) -> Self {
        Self {
            class_map,
            reclaim_epoch: AtomicUsize::new(0),
            caches: ThreadTable::new(),
            depot: Mutex::new(Depot::new(pool)),
            growth_barrier: GrowthBarrier::new(),
            parent,
            policy,
        }
    }

    /// The parent, to look at.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.parent
    }

    /// Gives back what the current thread holds: its free blocks to the pool, its magazines to the depot. O(blocks held).
    ///
    /// For a thread that will not use the pool for a long time. What a [`Handle`] holds goes back when that is dropped.
    pub fn flush(&self) {
        // SAFETY: the number is the current thread's, which is here.
        unsafe { self.flush_thread(thread_index::current()) };
    }

    /// A cache of its own, for one thread at a time: to be used without a thread-local, or without `std`.
    ///
    /// If all numbers are leased, or the parent has no memory for a magazine, its calls go to the depot.
    #[must_use]
    pub fn handle(&self) -> Handle<'_, P, A, L, O, WORDS> {
        Handle::new(self)
    }

    /// The hot path: a block from the magazine in use, and its length.
    ///
    /// # Safety
    ///
    /// `cache` says where the caller's slot for a class is, or a vacant one.
    #[inline(always)]
    unsafe fn allocate_hot<'a>(
        &self,
        cache: impl FnOnce(usize) -> &'a ThreadMagazines,
        layout: Layout,
    ) -> Option<NonNull<[u8]>> {
        let class = self.class_map.class_hot(layout)?;
        // SAFETY: the caller's promise.
        let block = unsafe { cache(class).pop()? };
        Some(NonNull::slice_from_raw_parts(block, self.class_map.layout(class).size()))
    }

    /// The hot path: a place in the magazine in use; false if there is none.
    ///
    /// # Safety
    ///
    /// `cache` says where the caller's slot for a class is, or a vacant one, and the rest as for [`Allocator::deallocate`].
    #[inline(always)]
    unsafe fn deallocate_hot<'a>(
        &self,
        cache: impl FnOnce(usize) -> &'a ThreadMagazines,
        block: NonNull<u8>,
        layout: Layout,
    ) -> bool {
        match self.class_map.class_hot(layout) {
            // SAFETY: the caller's promise.
            Some(class) => unsafe { cache(class).push::<WORDS>(block) },
            None => false,
        }
    }

    /// Gives a live block another size where it is.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow_in_place`] or [`Allocator::shrink_in_place`], whichever the sizes say.
    unsafe fn resize_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        match (self.class_map.class(old), self.class_map.class(new)) {
            (Some(class), Some(same)) if class == same => {
                Ok(NonNull::slice_from_raw_parts(block, self.class_map.layout(class).size()))
            }
            // SAFETY: the caller's promises are passed on.
            (None, None) => unsafe { ops::resize_in_place(self.pool(), &self.parent, block, (old, new)) },
            _ => Err(AllocError::InPlace),
        }
    }

    /// Gives a live block another size. If it moves, `through` is what its next place is had from; `thread` is the caller's.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow`] or [`Allocator::shrink`], whichever the sizes say.
    unsafe fn resize(
        &self,
        (through, thread): (&impl Allocator, impl FnOnce() -> usize),
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            if self.class_map.class(old).is_none() && self.class_map.class(new).is_none() {
                let steal_from_idle = StealThenAsk { pool: self, thread: thread(), layout: new };
                ops::resize((through, self.pool(), &self.parent, &steal_from_idle), block, (old, new))
            } else {
                self.resize_in_place(block, old, new).or_else(|_| relocate(through, block, old, new))
            }
        }
    }
}

// SAFETY: a block is in the pool, in one magazine, or live: it is handed out by whoever takes it from where it is, under
// the depot's lock or from a slot that nobody else uses. A layout that fits it has its class. Nothing here unwinds.
unsafe impl<P: SizeClasses, A: Allocator, L: RawMutex, O: OomPolicy, const WORDS: usize> Allocator
    for Cached<P, A, L, O, WORDS>
{
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Allocation {
        // SAFETY: the slot is this thread's.
        match unsafe { self.allocate_hot(|class| self.caches.of_thread(class), layout) } {
            Some(block) => Ok(block),
            None => self.allocate_cold(layout).unpack(),
        }
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the slot is this thread's, and the caller's promises are passed on.
        unsafe {
            if !self.deallocate_hot(|class| self.caches.of_thread(class), block, layout) {
                self.deallocate_cold(block, layout);
            }
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        match self.class_map.class(layout) {
            _ if layout.size() == 0 => true,
            // A pool that has no marks never objects: then there is no need of its lock.
            Some(_) if !P::REPORTS_LEAKS => true,
            Some(class) => {
                ops::may_deallocate(self.pool(), &self.parent, block, self.class_map.layout(class))
            }
            None => ops::may_deallocate(self.pool(), &self.parent, block, layout),
        }
    }

    resize_alike!(grow, shrink: |this, block, old, new| {
        this.resize((this, thread_index::current), block, old, new)
    });

    resize_alike!(grow_in_place, shrink_in_place: |this, block, old, new| this.resize_in_place(block, old, new));
}

impl<P: SizeClasses, A: Allocator, L: RawMutex, O: OomPolicy, const WORDS: usize> Cached<P, A, L, O, WORDS> {
    /// Gives back what threads hold, and their slots.
    fn drain_magazines(&mut self) {
        for thread in 1..MAX_THREADS {
            // SAFETY: nobody uses the pool while it is borrowed mutably.
            unsafe { self.flush_thread(thread) };
            self.release_caches(thread);
        }
    }
}

impl<P: SizeClasses, A: Allocator, L: RawMutex, O: OomPolicy, const WORDS: usize> Drop
    for Cached<P, A, L, O, WORDS>
{
    fn drop(&mut self) {
        if P::REPORTS_LEAKS {
            self.drain_magazines();
            self.depot.get_mut().drain_all();
        }
        ops::release_all(self.depot.get_mut(), &self.parent);
    }
}

impl<P: SizeClasses, A: Allocator, L: RawMutex, O: OomPolicy, const WORDS: usize> Cached<P, A, L, O, WORDS> {
    /// Declares every block dead and keeps every chunk for the next ones.
    pub fn reset(&mut self) {
        for thread in 1..MAX_THREADS {
            self.caches.take(thread);
        }
        self.depot.get_mut().reset();
    }

    /// Returns the chunks in which no block is live to the parent; says how many bytes that were. O(free blocks · log chunks).
    ///
    /// What the current thread holds counts as free, and so does what ended threads have left whose numbers nobody has. What
    /// others hold is live for now; they are asked to give it back, and do when they next visit the depot. What is live
    /// stays where it is, so this may be called at any time. It happens by itself, once for each request, before one is
    /// refused because the parent has nothing more.
    ///
    /// Through [`Reclaim::trim`], which has the pool for itself, what any thread holds counts as free.
    pub fn trim(&self) -> usize {
        self.flush();
        self.steal_from_idle();
        ops::trim(self.pool(), &self.parent)
    }

    /// What the pool holds, and how much of it is live: see [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats
    where
        P: Inspect,
    {
        Inspect::stats(self)
    }
}

impl<P: SizeClasses, A: Allocator, L: RawMutex, O: OomPolicy, const WORDS: usize> Reclaim
    for Cached<P, A, L, O, WORDS>
{
    fn reset(&mut self) {
        self.reset();
    }

    /// What threads hold counts as free: it goes back to the pool first.
    fn trim(&mut self) -> usize {
        self.drain_magazines();
        ops::trim(ops::MutAccess(self.depot.get_mut()), &self.parent)
    }
}

at_fork!([P: SizeClasses, A: Allocator + AtFork, L: RawMutex, O: OomPolicy, const WORDS: usize]
    Cached<P, A, L, O, WORDS>: depot, caches, growth_barrier, parent);

/// A part of the depot that is a pool, for the one loop of all shells.
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
