//! The cold path: visits to the depot, and what happens when memory has run out.
//!
//! A visit asks the parent only outside of the lock and while the slot is whole, because the parent, or a user's policy, may
//! call back into this very pool: what is in the slot is looked at anew afterwards.

use core::{alloc::Layout, ptr::NonNull};

use lock_api::RawMutex;

use super::{Cached, DepotPart, depot::Depot, magazine::Magazine, table, thread_magazines::ThreadMagazines};
use crate::{
    base::{AllocError, MutexGuard, address::prefetch_for_writing, atomic::Ordering},
    pool::{Blocks, ClassMap, SizeClasses},
    shell::{
        oom::{Fail, OomPolicy},
        ops::{self, RawResult, WithPool},
    },
    sync::thread_index::{self, MAX_THREADS, ThreadIndex},
    traits::{Allocator, RawPool},
};

/// A magazine carries no more than so many bytes of blocks, but for the first.
const MAX_BYTES: usize = 64 << 10;

impl<P: SizeClasses, A: Allocator, L: RawMutex, O: OomPolicy, const WORDS: usize> Cached<P, A, L, O, WORDS> {
    /// The pool behind the lock, as a shell sees it.
    pub(super) fn pool(&self) -> impl WithPool<Pool = Depot<P, WORDS>> {
        self.part(|depot| depot)
    }

    fn part<Q: RawPool>(&self, choose: fn(&mut Depot<P, WORDS>) -> &mut Q) -> impl WithPool<Pool = Q> {
        DepotPart { depot: &self.depot, growth_barrier: &self.growth_barrier, choose }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, L, Depot<P, WORDS>> {
        self.depot.lock()
    }

    /// What a thread allocates when its magazine has nothing.
    #[cold]
    #[inline(never)]
    pub(super) fn allocate_cold(&self, layout: Layout) -> RawResult {
        // SAFETY: the number is the current thread's.
        unsafe { self.allocate_at(thread_index::current_or_acquire(), layout) }
    }

    /// What a thread frees when its magazine has no place.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn deallocate_cold(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the number is the current thread's, and the caller's promises are passed on.
        unsafe { self.deallocate_at(thread_index::current_or_acquire(), block, layout) };
    }

    /// Allocates with this number: from the slot, the depot, the parent. The first block comes before the magazines, which
    /// might otherwise take all that a small parent has.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or zero.
    pub(super) unsafe fn allocate_at(&self, thread: usize, layout: Layout) -> RawResult {
        let steal_from_idle = StealThenAsk { pool: self, thread, layout };
        let Some(class) = self.class_map.class(layout) else {
            return ops::allocate_cold(self.pool(), layout, &self.parent, &steal_from_idle);
        };
        let (whole, cache) = (self.class_map.layout(class), self.caches.ready(thread, class));
        // SAFETY: the number is the caller's, hence the slot.
        if let Some(block) = cache.and_then(|cache| unsafe { self.refill(cache, class, thread) }) {
            return RawResult::pack(Ok(NonNull::slice_from_raw_parts(block, whole.size())));
        }
        let block = ops::allocate_cold(self.pool(), whole, &self.parent, &steal_from_idle);
        if cache.is_none() && block.unpack().is_ok() {
            // Without magazines, blocks come from the depot, which is as good.
            // SAFETY: the number is the caller's.
            let _ = unsafe { self.ready(thread, class) };
        }
        block
    }

    /// Frees with this number: into the slot, or into the pool.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or zero, and the rest as for [`Allocator::deallocate`].
    pub(super) unsafe fn deallocate_at(&self, thread: usize, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promises, for the slot and for the block, which goes back as what it was taken as.
        unsafe {
            let Some(class) = self.class_map.class(layout) else {
                return ops::deallocate(self.pool(), &self.parent, block, layout);
            };
            let in_cache = self
                .ready(thread, class)
                .is_some_and(|cache| self.spill(cache, class, thread) && cache.push::<WORDS>(block));
            if !in_cache {
                ops::deallocate(self.pool(), &self.parent, block, self.class_map.layout(class));
            }
        }
    }

    /// The most blocks of a class that a magazine carries.
    fn most(&self, class: usize) -> usize {
        (MAX_BYTES / self.class_map.layout(class).size()).clamp(1, Magazine::<WORDS>::MAX_BLOCKS)
    }

    /// The slot of a number for a class of blocks, with magazines; `None` if there is no memory for them, or no number.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or zero.
    pub(super) unsafe fn ready(&self, thread: usize, class: usize) -> Option<&ThreadMagazines> {
        if thread == 0 {
            return None;
        }
        self.ensure_caches(thread)?;
        let cache = &self.caches.of(thread)[class];
        if !cache.is_ready() {
            let magazines = (self.allocate_magazine()?, self.allocate_magazine());
            cache.observe_epoch(self.reclaim_epoch.load(Ordering::Relaxed));
            let limit = cache.limit(self.most(class));
            // The parent may have called back, and then the slot has its magazines.
            let wanted = !cache.is_ready();
            // SAFETY: the magazines are new, and the slot is the caller's.
            unsafe {
                match magazines {
                    (first, Some(second)) if wanted => {
                        cache.set_loaded(Magazine::<WORDS>::empty(first, limit));
                        cache.set_spare(Magazine::<WORDS>::empty(second, limit));
                    }
                    (first, second) => {
                        let mut depot = self.lock();
                        [Some(first), second]
                            .into_iter()
                            .flatten()
                            .for_each(|base| depot.release_magazine(base));
                        return if wanted { None } else { Some(cache) };
                    }
                }
            }
        }
        Some(cache)
    }

    /// Makes sure that a number has slots; `None` if there is no memory for them.
    fn ensure_caches(&self, thread: usize) -> Option<()> {
        if self.caches.get(thread).is_some() {
            return Some(());
        }
        let classes = self.class_map.classes();
        let memory = self.carve(Depot::caches, table::layout_for(classes))?;
        // SAFETY: the memory was just cut for so many slots.
        let caches = unsafe { table::make(memory, thread, classes) };
        // SAFETY: they are there until they are given up.
        if !unsafe { self.caches.give(thread, caches) } {
            // The parent has called back, and then the number has its slots.
            self.return_caches(caches);
        }
        Some(())
    }

    fn return_caches(&self, caches: NonNull<ThreadMagazines>) {
        let layout = table::layout_for(self.class_map.classes());
        // SAFETY: the slots were cut and made there, and nobody uses them.
        unsafe { self.lock().caches().deallocate(table::memory_of(caches), layout) };
    }

    /// Takes the slots of a number away, which have no magazines.
    pub(super) fn release_caches(&mut self, thread: usize) {
        if let Some(caches) = self.caches.take(thread) {
            self.return_caches(caches);
        }
    }

    /// An unused magazine; `None` if there is no memory for one.
    fn allocate_magazine(&self) -> Option<NonNull<usize>> {
        self.carve(|depot| &mut depot.magazines, Depot::<P, WORDS>::MAGAZINE).map(NonNull::cast)
    }

    /// A piece of memory for what the depot cuts for itself.
    fn carve(&self, from: fn(&mut Depot<P, WORDS>) -> &mut Blocks, layout: Layout) -> Option<NonNull<u8>> {
        ops::allocate(self.part(from), (&self.parent, &Fail), layout).ok().map(NonNull::cast)
    }

    /// Takes a block when the magazine in use is empty, if that takes no parent.
    ///
    /// # Safety
    ///
    /// The slot is the caller's, and is ready.
    unsafe fn refill(&self, cache: &ThreadMagazines, class: usize, thread: usize) -> Option<NonNull<u8>> {
        // SAFETY: the slot is the caller's; its magazine, once it is known to be empty, too.
        unsafe {
            let most = self.most(class);
            if let Some(block) = cache.pop() {
                return Some(block);
            }
            if cache.spare::<WORDS>().is_full() {
                // So the thread goes back and forth by more than a magazine.
                cache.raise_limit(most);
                cache.swap::<WORDS>();
                return cache.pop();
            }
            cache.observe_epoch(self.reclaim_epoch.load(Ordering::Relaxed));
            let empty = cache.loaded::<WORDS>();
            let layout = self.class_map.layout(class);
            let mut depot = self.lock();
            match depot.take_full((class, layout.size())) {
                Some((full, filler)) => {
                    depot.release_magazine(empty.base());
                    drop(depot);
                    cache.set_loaded(full);
                    if filler != thread {
                        // The blocks are in another processor's cache, and will be written to.
                        full.blocks().for_each(prefetch_for_writing);
                    }
                }
                None => {
                    let limit = cache.limit(most);
                    cache.set_loaded(depot.fill(empty.base(), layout, limit));
                }
            }
            cache.raise_limit(most);
            cache.pop()
        }
    }

    /// Makes a place in the magazine in use; false if the slot has been emptied instead, because memory has run out.
    ///
    /// # Safety
    ///
    /// The slot is the caller's, and is ready.
    unsafe fn spill(&self, cache: &ThreadMagazines, class: usize, thread: usize) -> bool {
        let (most, size) = (self.most(class), self.class_map.layout(class).size());
        if cache.observe_epoch(self.reclaim_epoch.load(Ordering::Relaxed)) {
            // SAFETY: the slot is the caller's.
            unsafe { self.flush_cache(cache, class) };
            return false;
        }
        loop {
            let loaded = cache.loaded::<WORDS>();
            if !loaded.is_full() {
                return true;
            }
            if loaded.room() < cache.limit(most) {
                // SAFETY: the magazine is the caller's, and the limit is what it may carry at most.
                cache.set_loaded(unsafe { loaded.expanded(cache.limit(most)) });
                return true;
            }
            let full = cache.spare::<WORDS>();
            if full.is_full() {
                let mut depot = self.lock();
                let Some(base) = depot.magazine() else {
                    drop(depot);
                    match self.allocate_magazine() {
                        // For the next round: the parent may have called back.
                        // SAFETY: the magazine is new.
                        Some(base) => unsafe { self.lock().release_magazine(base) },
                        None => {
                            // SAFETY: the slot is the caller's.
                            unsafe { self.flush_cache(cache, class) };
                            return false;
                        }
                    }
                    continue;
                };
                // SAFETY: the spare magazine is full of blocks of this class, and is the caller's; the other one is unused.
                unsafe {
                    depot.put_full((class, size), full, thread);
                    drop(depot);
                    cache.raise_limit(most);
                    let empty = Magazine::<WORDS>::empty(base, cache.limit(most));
                    // Whoever used it last may have been another processor, and its words are about to be written.
                    empty.fetch();
                    cache.set_spare(empty);
                }
            }
            cache.swap::<WORDS>();
        }
    }

    /// Gives back what is in a slot.
    ///
    /// # Safety
    ///
    /// Nobody else uses the slot, which is of this class.
    unsafe fn flush_cache(&self, cache: &ThreadMagazines, class: usize) {
        let (layout, mut depot) = (self.class_map.layout(class), self.lock());
        let magazines = [cache.loaded::<WORDS>(), cache.spare()];
        cache.set_loaded(Magazine::<WORDS>::NONE);
        cache.set_spare(Magazine::<WORDS>::NONE);
        for magazine in magazines {
            // SAFETY: the magazine is in no slot any more.
            unsafe { depot.empty(magazine, layout) };
        }
    }

    /// Gives back what the slots of a number hold; says how many blocks that were.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or nobody uses the pool, or it is zero.
    pub(super) unsafe fn flush_thread(&self, thread: usize) -> usize {
        let mut blocks = 0;
        for (class, cache) in self.caches.get(thread).into_iter().flatten().enumerate() {
            self.caches.use_probe.touch(thread);
            if cache.is_ready() {
                blocks += cache.loaded::<WORDS>().count() + cache.spare::<WORDS>().count();
                // SAFETY: the slot is the caller's.
                unsafe { self.flush_cache(cache, class) };
            }
        }
        blocks
    }

    /// Takes what is in the slots of numbers that nobody has, and asks the others for theirs; says how many blocks came.
    pub(super) fn steal_from_idle(&self) -> usize {
        self.reclaim_epoch.fetch_add(1, Ordering::Relaxed);
        let mut found = 0;
        for thread in 1..MAX_THREADS {
            if self.caches.is_used(thread)
                && let Some(thread) = ThreadIndex::try_acquire(thread)
            {
                // SAFETY: the number was nobody's, and is now this call's.
                found += unsafe { self.flush_thread(thread.get()) };
            }
        }
        found
    }
}

/// What is done when the parent has nothing more: a search, in what this thread holds too, since blocks of other classes may be
/// all that keeps a chunk from going back; and then what the user's policy says.
pub(super) struct StealThenAsk<
    'a,
    P: SizeClasses,
    A: Allocator,
    L: RawMutex,
    O: OomPolicy,
    const WORDS: usize,
> {
    pub(super) pool: &'a Cached<P, A, L, O, WORDS>,
    /// The caller's, or zero.
    pub(super) thread: usize,
    /// What was requested: the pool is asked for whole blocks.
    pub(super) layout: Layout,
}

impl<P: SizeClasses, A: Allocator, L: RawMutex, O: OomPolicy, const WORDS: usize> OomPolicy
    for StealThenAsk<'_, P, A, L, O, WORDS>
{
    fn try_again(&self, _: Layout, error: AllocError) -> bool {
        // SAFETY: the number is the caller's.
        let flush = || unsafe { self.pool.flush_thread(self.thread) };
        if error != AllocError::Unsupported {
            // Of the class that is wanted, this thread holds nothing.
            let own = if P::ClassMap::CLASSES > 1 { flush() } else { 0 };
            if own + self.pool.steal_from_idle() != 0 {
                return true;
            }
        }
        let again = self.pool.policy.try_again(self.layout, error);
        if again {
            // What the policy has freed is in this thread's slot, where the loop does not look.
            flush();
        }
        again
    }
}
