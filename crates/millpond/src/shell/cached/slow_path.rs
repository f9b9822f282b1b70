//! The cold path: visits to the depot, and the search when memory has run out.
//!
//! A visit calls the parent only outside of the lock and while the slot is consistent, because the parent, or a user's
//! policy, may call back into this pool: the contents of the slot are examined again afterwards.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    Cached, DepotPart, config::CacheConfig, depot::Depot, magazine::Magazine, table,
    thread_magazines::ThreadMagazines,
};
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

/// Maximum total size in bytes of the blocks in a magazine, unless it holds a single block.
const MAX_BYTES: usize = 64 << 10;

impl<P: SizeClasses, A: Allocator, C: CacheConfig> Cached<P, A, C> {
    /// Returns the access to the pool behind the lock, as for any shell.
    pub(super) fn pool(&self) -> impl WithPool<Pool = Depot<P, C>> {
        self.part(|depot| depot)
    }

    fn part<Q: RawPool>(&self, choose: fn(&mut Depot<P, C>) -> &mut Q) -> impl WithPool<Pool = Q> {
        DepotPart { depot: &self.depot, growth_barrier: &self.growth_barrier, choose }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, C::Lock, Depot<P, C>> {
        self.depot.lock()
    }

    /// Allocates when the loaded magazine is empty.
    #[cold]
    #[inline(never)]
    pub(super) fn allocate_cold(&self, layout: Layout) -> RawResult {
        // SAFETY: the index is the current thread's.
        unsafe { self.allocate_at(thread_index::current_or_acquire(), layout) }
    }

    /// Frees when the loaded magazine is full.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn deallocate_cold(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the index is the current thread's; the caller upholds the contract of `deallocate`.
        unsafe { self.deallocate_at(thread_index::current_or_acquire(), block, layout) };
    }

    /// Allocates with this thread index: from the slot, the depot, or the parent. The first block is requested before
    /// the magazines, which might otherwise use up a small parent.
    ///
    /// # Safety
    ///
    /// The index is the caller's, or zero.
    pub(super) unsafe fn allocate_at(&self, thread: usize, layout: Layout) -> RawResult {
        let steal_from_idle = StealThenAsk { pool: self, thread, layout };
        let Some(class) = self.class(layout) else {
            return ops::allocate_cold(self.pool(), layout, &self.parent, &steal_from_idle);
        };
        let (whole, cache) = (self.class_map.layout(class), self.caches.ready(thread, class));
        // SAFETY: the index is the caller's, and therefore the slot is.
        if let Some(block) = cache.and_then(|cache| unsafe { self.refill(cache, class, thread) }) {
            return RawResult::pack(Ok(NonNull::slice_from_raw_parts(block, whole.size())));
        }
        let block = ops::allocate_cold(self.pool(), whole, &self.parent, &steal_from_idle);
        if cache.is_none() && block.unpack().is_ok() {
            // Without magazines, blocks come from the depot, which is equally correct.
            // SAFETY: the index is the caller's.
            let _ = unsafe { self.ready(thread, class) };
        }
        block
    }

    /// Frees with this thread index: into the slot, or into the pool.
    ///
    /// # Safety
    ///
    /// The index is the caller's, or zero; otherwise as for [`Allocator::deallocate`].
    pub(super) unsafe fn deallocate_at(&self, thread: usize, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the index is the caller's, and therefore the slot is; the block is live and of this layout, so it
        // goes back to where it came from.
        unsafe {
            let Some(class) = self.class(layout) else {
                return ops::deallocate(self.pool(), &self.parent, block, layout);
            };
            let in_cache = self
                .ready(thread, class)
                .is_some_and(|cache| self.spill(cache, class, thread) && cache.push::<C>(block));
            if !in_cache {
                ops::deallocate(self.pool(), &self.parent, block, self.class_map.layout(class));
            }
        }
    }

    /// Returns the maximum number of blocks of a class in a magazine.
    fn most(&self, class: usize) -> usize {
        (MAX_BYTES / self.class_map.layout(class).size()).clamp(1, Magazine::<C>::MAX_BLOCKS)
    }

    /// Returns the slot of a thread index for a size class, with magazines; `None` if there is no memory for them, or
    /// if the index is zero.
    ///
    /// # Safety
    ///
    /// The index is the caller's, or zero.
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
            // The parent may have called back, so the slot may have its magazines by now.
            let wanted = !cache.is_ready();
            // SAFETY: the magazines are new, and the slot is the caller's.
            unsafe {
                match magazines {
                    (first, Some(second)) if wanted => {
                        cache.set_loaded(Magazine::<C>::empty(first, limit));
                        cache.set_spare(Magazine::<C>::empty(second, limit));
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

    /// Makes sure that a thread index has slots; returns `None` if there is no memory for them.
    fn ensure_caches(&self, thread: usize) -> Option<()> {
        if self.caches.get(thread).is_some() {
            return Some(());
        }
        let classes = self.class_map.classes();
        let memory = self.carve(Depot::caches, table::layout_for(classes))?;
        // SAFETY: the memory was just carved for this number of slots.
        let caches = unsafe { table::make(memory, thread, classes) };
        // SAFETY: the slots stay valid until they are released.
        if !unsafe { self.caches.give(thread, caches) } {
            // The parent has called back, so the index already has its slots.
            self.return_caches(caches);
        }
        Some(())
    }

    fn return_caches(&self, caches: NonNull<ThreadMagazines>) {
        let layout = table::layout_for(self.class_map.classes());
        // SAFETY: the slots were carved and created there, and are not in use.
        unsafe { self.lock().caches().deallocate(table::memory_of(caches), layout) };
    }

    /// Releases the slots of a thread index, which have no magazines.
    pub(super) fn release_caches(&mut self, thread: usize) {
        if let Some(caches) = self.caches.take(thread) {
            self.return_caches(caches);
        }
    }

    /// Returns an unused magazine; `None` if there is no memory for one.
    fn allocate_magazine(&self) -> Option<NonNull<usize>> {
        self.carve(|depot| &mut depot.magazines, Depot::<P, C>::MAGAZINE).map(NonNull::cast)
    }

    /// Carves a piece of memory for the depot's own use.
    fn carve(&self, from: fn(&mut Depot<P, C>) -> &mut Blocks, layout: Layout) -> Option<NonNull<u8>> {
        ops::allocate(self.part(from), (&self.parent, &Fail), layout).ok().map(NonNull::cast)
    }

    /// Takes a block when the loaded magazine is empty, if that does not involve the parent.
    ///
    /// # Safety
    ///
    /// The slot is the caller's, and has magazines.
    unsafe fn refill(&self, cache: &ThreadMagazines, class: usize, thread: usize) -> Option<NonNull<u8>> {
        // SAFETY: the slot is the caller's, and so is its magazine once it is known to be empty.
        unsafe {
            let most = self.most(class);
            if let Some(block) = cache.pop() {
                return Some(block);
            }
            if cache.spare::<C>().is_full() {
                // The spare magazine was needed: the thread's demand varies by more than a magazine.
                cache.raise_limit(most);
                cache.swap::<C>();
                return cache.pop();
            }
            cache.observe_epoch(self.reclaim_epoch.load(Ordering::Relaxed));
            let empty = cache.loaded::<C>();
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

    /// Makes room in the loaded magazine; returns `false` if the slot was emptied instead, because memory has run out.
    ///
    /// # Safety
    ///
    /// The slot is the caller's, and has magazines.
    unsafe fn spill(&self, cache: &ThreadMagazines, class: usize, thread: usize) -> bool {
        let (most, size) = (self.most(class), self.class_map.layout(class).size());
        if cache.observe_epoch(self.reclaim_epoch.load(Ordering::Relaxed)) {
            // SAFETY: the slot is the caller's.
            unsafe { self.flush_cache(cache, class) };
            return false;
        }
        loop {
            let loaded = cache.loaded::<C>();
            if !loaded.is_full() {
                return true;
            }
            if loaded.room() < cache.limit(most) {
                // SAFETY: the magazine is the caller's, and the limit is at most its maximum.
                cache.set_loaded(unsafe { loaded.expanded(cache.limit(most)) });
                return true;
            }
            let full = cache.spare::<C>();
            if full.is_full() {
                let mut depot = self.lock();
                let Some(base) = depot.magazine() else {
                    drop(depot);
                    match self.allocate_magazine() {
                        // For the next iteration: the parent may have called back.
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
                // SAFETY: the spare magazine is full of blocks of this class, and is the caller's; the other one is
                // unused.
                unsafe {
                    depot.put_full((class, size), full, thread);
                    drop(depot);
                    cache.raise_limit(most);
                    let empty = Magazine::<C>::empty(base, cache.limit(most));
                    // The last user may have been another processor, and the words are about to be written.
                    empty.fetch();
                    cache.set_spare(empty);
                }
            }
            cache.swap::<C>();
        }
    }

    /// Gives back the blocks and magazines in a slot.
    ///
    /// # Safety
    ///
    /// The slot is not in use by another thread, and is of this class.
    unsafe fn flush_cache(&self, cache: &ThreadMagazines, class: usize) {
        let (layout, mut depot) = (self.class_map.layout(class), self.lock());
        let magazines = [cache.loaded::<C>(), cache.spare()];
        cache.set_loaded(Magazine::<C>::NONE);
        cache.set_spare(Magazine::<C>::NONE);
        for magazine in magazines {
            // SAFETY: the magazine is in no slot any more.
            unsafe { depot.empty(magazine, layout) };
        }
    }

    /// Gives back what the slots of a thread index hold; returns the number of blocks.
    ///
    /// # Safety
    ///
    /// The index is the caller's, or the pool is not in use, or the index is zero.
    pub(super) unsafe fn flush_thread(&self, thread: usize) -> usize {
        let mut blocks = 0;
        for (class, cache) in self.caches.get(thread).into_iter().flatten().enumerate() {
            self.caches.use_probe.touch(thread);
            if cache.is_ready() {
                blocks += cache.loaded::<C>().count() + cache.spare::<C>().count();
                // SAFETY: the slot is the caller's.
                unsafe { self.flush_cache(cache, class) };
            }
        }
        blocks
    }

    /// Takes the blocks in the slots of unused thread indices, and asks the other threads for theirs; returns the
    /// number of blocks.
    pub(super) fn steal_from_idle(&self) -> usize {
        self.reclaim_epoch.fetch_add(1, Ordering::Relaxed);
        let mut found = 0;
        for thread in 1..MAX_THREADS {
            if self.caches.is_used(thread)
                && let Some(thread) = ThreadIndex::try_acquire(thread)
            {
                // SAFETY: the index was unused, and now belongs to this call.
                found += unsafe { self.flush_thread(thread.get()) };
            }
        }
        found
    }
}

/// The policy used when the parent has no more memory: a search, which includes the blocks that this thread caches,
/// since blocks of other classes may be all that keeps a chunk from being returned; and then the user's policy.
pub(super) struct StealThenAsk<'a, P: SizeClasses, A: Allocator, C: CacheConfig> {
    pub(super) pool: &'a Cached<P, A, C>,
    /// The caller's thread index, or zero.
    pub(super) thread: usize,
    /// The requested layout: the pool is asked for whole blocks.
    pub(super) layout: Layout,
}

impl<P: SizeClasses, A: Allocator, C: CacheConfig> OomPolicy for StealThenAsk<'_, P, A, C> {
    fn try_again(&self, _: Layout, error: AllocError) -> bool {
        // SAFETY: the index is the caller's.
        let flush = || unsafe { self.pool.flush_thread(self.thread) };
        if error != AllocError::Unsupported {
            // This thread caches no blocks of the requested class.
            let own = if P::ClassMap::CLASSES > 1 { flush() } else { 0 };
            if own + self.pool.steal_from_idle() != 0 {
                return true;
            }
        }
        let again = self.pool.config.policy().try_again(self.layout, error);
        if again {
            // Blocks freed by the policy are in this thread's slot, where the loop does not search.
            flush();
        }
        again
    }
}
