//! The depot: the pool itself, full magazines that wait for a thread, and the memory from which magazines and slots are
//! carved.
//!
//! The depot is a pool, so the allocation loop shared by all shells can grow it. Everything here happens under the
//! depot's lock. An exchange of magazines is O(1); filling a magazine from the pool or emptying it into the pool is
//! O(blocks in a magazine).

use core::{alloc::Layout, marker::PhantomData, ptr::NonNull};

use super::{by_class_count::ByClassCount, config::CacheConfig, magazine::Magazine, table};
use crate::{
    base::{
        AllocError,
        address::{WORD, recover},
    },
    pool::{Blocks, ClassMap, MAX_CLASSES, SizeClasses},
    traits::{Chunk, ChunkRequest, PendingReport, PoolHooks, RawPool, Release, Reserve},
};

/// The data behind the lock of a [`Cached`](super::Cached).
///
/// # Invariants
///
/// * For each class, `full` is the base of a full magazine of blocks of that class, or zero. The first word of such a
///   magazine is the base of the next one; the second says where its bottom is and which thread index filled it.
/// * To the pool, every block in a magazine is live.
pub(super) struct Depot<P: SizeClasses, C: CacheConfig> {
    pub(super) pool: P,
    full: ByClassCount<P::ClassMap, [usize; 1], [usize; MAX_CLASSES]>,
    /// Total size in bytes of the blocks in full magazines.
    waiting_bytes: usize,
    /// Magazines are carved from here, and unused ones are kept here.
    pub(super) magazines: Blocks,
    /// The slots of a thread, one per class, are carved from here.
    pub(super) caches: Blocks,
    config: PhantomData<fn() -> C>,
}

impl<P: SizeClasses, C: CacheConfig> Depot<P, C> {
    pub(super) const MAGAZINE: Layout = layout(Magazine::<C>::BYTES, Magazine::<C>::BYTES);

    pub(super) const fn new(pool: P) -> Self {
        Self {
            pool,
            full: ByClassCount::new([0], [0; MAX_CLASSES]),
            waiting_bytes: 0,
            magazines: Blocks::of(Self::MAGAZINE).with_capacity(2),
            caches: Blocks::of(table::layout_for(0)),
            config: PhantomData,
        }
    }

    /// Returns the pool from which the slots of a thread are carved, for as many classes as there are.
    pub(super) fn caches(&mut self) -> &mut Blocks {
        let layout = table::layout_for(self.pool.class_map().classes());
        if self.caches.block_layout() != layout {
            // Nothing has been carved so far, and the number of classes does not change.
            self.caches = Blocks::of(layout).with_capacity(1);
        }
        &mut self.caches
    }

    fn full_of(&mut self, class: usize) -> &mut usize {
        if P::ClassMap::CLASSES == 1 {
            &mut self.full.one_mut()[class]
        } else {
            &mut self.full.several_mut()[class]
        }
    }

    /// Returns an unused magazine, if there is one.
    pub(super) fn magazine(&mut self) -> Option<NonNull<usize>> {
        self.magazines.allocate(Self::MAGAZINE).map(NonNull::cast)
    }

    /// Takes back the magazine that begins at `base`, which no longer contains blocks.
    ///
    /// # Safety
    ///
    /// The magazine came from here and is not in use.
    pub(super) unsafe fn release_magazine(&mut self, base: NonNull<usize>) {
        // SAFETY: the magazine was carved from `magazines`, and the caller guarantees that it is not in use.
        unsafe { self.magazines.deallocate(base.cast(), Self::MAGAZINE) };
    }

    /// Takes a full magazine of blocks of `size` bytes, filled by the holder of a thread index.
    ///
    /// # Safety
    ///
    /// The magazine came from here and is not in use, and its blocks are of this class.
    pub(super) unsafe fn put_full(
        &mut self,
        (class, size): (usize, usize),
        magazine: Magazine<C>,
        thread: usize,
    ) {
        debug_assert!(magazine.is_full() && magazine.is_valid(), "only full magazines wait");
        let base = magazine.base();
        self.waiting_bytes += magazine.count() * size;
        // SAFETY: a full magazine has no block in its first two words.
        unsafe {
            base.write(*self.full_of(class));
            base.add(1).write(thread * C::WORDS + magazine.bottom.offset_from_unsigned(base.as_ptr()));
        }
        *self.full_of(class) = base.addr().get();
    }

    /// Returns a full magazine of blocks of `size` bytes, and the thread index that filled it.
    pub(super) fn take_full(&mut self, (class, size): (usize, usize)) -> Option<(Magazine<C>, usize)> {
        let base = recover::<usize>(*self.full_of(class));
        if base.is_null() {
            return None;
        }
        // SAFETY: a full magazine begins with its link and the word that holds its bottom and the thread index that
        // filled it.
        unsafe {
            *self.full_of(class) = base.read();
            let about = base.add(1).read();
            let bottom = base.add(about % C::WORDS);
            bottom.write(0);
            let magazine = Magazine::new(base.add(C::WORDS - 1), bottom);
            self.waiting_bytes = self.waiting_bytes.saturating_sub(magazine.count() * size);
            Some((magazine, about / C::WORDS))
        }
    }

    /// Returns the total size in bytes of the blocks in full magazines. O(1).
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Returns the full magazines of a class.
    pub(super) fn full(&self, class: usize) -> impl Iterator<Item = Magazine<C>> {
        let exists = |&base: &usize| base != 0;
        let first =
            if P::ClassMap::CLASSES == 1 { self.full.one()[class] } else { self.full.several()[class] };
        // SAFETY: a full magazine begins with its link and its bottom.
        let next = move |&base: &usize| Some(unsafe { recover::<usize>(base).read() }).filter(exists);
        core::iter::successors(Some(first).filter(exists), next).map(|base| {
            // SAFETY: as above.
            let about: usize = unsafe { recover::<usize>(base + WORD).read() };
            let word = |index: usize| recover(base + index * WORD);
            Magazine::new(word(C::WORDS - 1), word(about % C::WORDS))
        })
    }

    /// Fills an empty magazine from the pool with up to `limit` blocks, the first one on top.
    ///
    /// # Safety
    ///
    /// The magazine that begins at `base` came from here and is empty; `limit` is at most its maximum, and `layout` is
    /// that of a class.
    pub(super) unsafe fn fill(&mut self, base: NonNull<usize>, layout: Layout, limit: usize) -> Magazine<C> {
        let mut filled = 0;
        while filled < limit {
            let Some(block) = self.pool.allocate(layout) else { break };
            // SAFETY: the word lies in the magazine, above its first two.
            unsafe { base.add(C::WORDS - 1 - filled).write(block.addr().get()) };
            filled += 1;
        }
        if filled == 0 {
            // SAFETY: the magazine is unused and `limit` is at most its maximum, as the caller guarantees.
            return unsafe { Magazine::empty(base, limit) };
        }
        // SAFETY: as above, for the word below the last block.
        unsafe {
            let bottom = base.add(C::WORDS - 1 - filled);
            bottom.write(0);
            Magazine::new(base.add(C::WORDS - 1).as_ptr(), bottom.as_ptr())
        }
    }

    /// Returns the blocks of a magazine to the pool, and puts the magazine away.
    ///
    /// # Safety
    ///
    /// The magazine came from here and is not in use, and its blocks are of the class that has this layout. It may have
    /// no blocks.
    pub(super) unsafe fn empty(&mut self, magazine: Magazine<C>, layout: Layout) {
        if magazine.is_none() {
            return;
        }
        for block in magazine.blocks() {
            // SAFETY: the pool handed the block out for this class, and it is in no magazine or slot any more.
            unsafe { self.pool.deallocate(NonNull::new_unchecked(recover(block)), layout) };
        }
        // SAFETY: the magazine came from here and is not in use, as the caller guarantees.
        unsafe { self.release_magazine(magazine.base()) };
    }

    /// Returns the blocks of all full magazines to the pool.
    pub(super) fn drain_all(&mut self) {
        let class_map = self.pool.class_map();
        for class in 0..class_map.classes() {
            while self.drain_one(class, class_map.layout(class)) {}
        }
    }

    /// Returns the blocks of one full magazine of a class to the pool; returns `false` if there is none. O(blocks in a
    /// magazine).
    fn drain_one(&mut self, class: usize, layout: Layout) -> bool {
        match self.take_full((class, layout.size())) {
            Some((magazine, _)) => {
                // SAFETY: the magazine was full of blocks of this class and has been taken off the list.
                unsafe { self.empty(magazine, layout) };
                true
            }
            None => false,
        }
    }
}

/// Returns the layout of what the depot carves for itself.
const fn layout(size: usize, align: usize) -> Layout {
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        // Unreachable: size and alignment are small, and every alignment is a power of two.
        Err(_) => Layout::new::<usize>(),
    }
}

// SAFETY: blocks are the pool's, which keeps the contract. Those in magazines are live to the pool and handed out only
// from their magazine.
unsafe impl<P: SizeClasses, C: CacheConfig> RawPool for Depot<P, C> {
    #[inline]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { self.pool.deallocate(block, layout) };
    }

    #[inline]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        // SAFETY: the caller upholds the contract of `deallocate_hot`, which is the same.
        unsafe { self.pool.deallocate_hot(block, layout) }
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        self.pool.chunk_request(layout)
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_chunk`, which is the same.
        unsafe { self.pool.add_chunk(chunk, layout) }
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: the caller upholds the contract of `resize_in_place`, which is the same.
        unsafe { self.pool.resize_in_place(block, old, new) }
    }

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if let Some(block) = self.pool.allocate(layout) {
            return Some(block);
        }
        let class_map = self.pool.class_map();
        let class = class_map.class(layout)?;
        if self.drain_one(class, class_map.layout(class)) { self.pool.allocate(layout) } else { None }
    }

    fn collect_empty(&mut self) {
        self.drain_all();
        self.pool.collect_empty();
        self.magazines.collect_empty();
        self.caches.collect_empty();
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        let chunk = self.pool.release_chunk(which).or_else(|| self.magazines.release_chunk(which));
        chunk.or_else(|| self.caches.release_chunk(which))
    }

    fn reset(&mut self) {
        self.full = ByClassCount::new([0], [0; MAX_CLASSES]);
        self.waiting_bytes = 0;
        self.pool.reset();
        self.magazines.reset();
        self.caches.reset();
    }
}

impl<P: SizeClasses, C: CacheConfig> PoolHooks for Depot<P, C> {
    #[inline(always)]
    fn passes_through(&self, layout: Layout) -> bool {
        self.pool.passes_through(layout)
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        self.pool.may_deallocate(block, layout)
    }

    fn may_allocate(&self, layout: Layout) -> Result<(), AllocError> {
        self.pool.may_allocate(layout)
    }

    fn note_failure(&mut self, layout: Layout) {
        self.pool.note_failure(layout);
    }

    fn release_held(&mut self) -> bool {
        self.pool.release_held()
    }

    fn before_drop(&mut self) {
        self.pool.before_drop();
    }

    fn pending_report(&mut self) -> Option<PendingReport> {
        self.pool.pending_report()
    }
}

/// Blocks in full magazines are not counted.
impl<P: SizeClasses + Reserve, C: CacheConfig> Reserve for Depot<P, C> {
    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        self.pool.reserve_request(layout, count)
    }

    unsafe fn add_reserved_chunk(&mut self, chunk: Chunk, layout: Layout, count: usize) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_reserved_chunk`, which is the same.
        unsafe { self.pool.add_reserved_chunk(chunk, layout, count) }
    }

    fn release_reserved_chunk(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        self.pool.release_reserved_chunk(layout, count)
    }
}
