//! The depot: the pool itself, full magazines that wait for a thread, and where magazines and slots are cut from.
//!
//! It is a pool, so the one loop of all shells lets it grow. Everything here happens under the depot's lock: an exchange of
//! magazines is O(1); filling one from the pool, or emptying one into it, is O(blocks in a magazine).

use core::{alloc::Layout, ptr::NonNull};

use super::{by_class_count::ByClassCount, magazine::Magazine, table};
use crate::{
    base::address::{WORD, recover},
    pool::{Blocks, ClassMap, MAX_CLASSES, SizeClasses},
    traits::{Chunk, PoolHooks, RawPool, Release, Reserve, delegate},
};

/// What lies under the lock of a [`Cached`](super::Cached).
///
/// # Invariants
///
/// * `full`, of each class, is the base of a full magazine of blocks of that class, or zero. The first word of each of these is the
///   base of the next, the second says where its bottom is and who filled it.
/// * To the pool, every block in a magazine is live.
pub(super) struct Depot<P: SizeClasses, const WORDS: usize> {
    pub(super) pool: P,
    full: ByClassCount<P::ClassMap, [usize; 1], [usize; MAX_CLASSES]>,
    /// Bytes of the blocks in full magazines.
    waiting_bytes: usize,
    /// Where magazines are cut from, and where unused ones are.
    pub(super) magazines: Blocks,
    /// Where the slots of a thread, one for each class, are cut from.
    pub(super) caches: Blocks,
}

impl<P: SizeClasses, const WORDS: usize> Depot<P, WORDS> {
    pub(super) const MAGAZINE: Layout = layout(Magazine::<WORDS>::BYTES, Magazine::<WORDS>::BYTES);

    pub(super) const fn new(pool: P) -> Self {
        Self {
            pool,
            full: ByClassCount::new([0], [0; MAX_CLASSES]),
            waiting_bytes: 0,
            magazines: Blocks::of(Self::MAGAZINE).with_capacity(2),
            caches: Blocks::of(table::layout_for(0)),
        }
    }

    /// Where the slots of a thread are cut from, which are for as many classes as there are.
    pub(super) fn caches(&mut self) -> &mut Blocks {
        let layout = table::layout_for(self.pool.class_map().classes());
        if self.caches.block_layout() != layout {
            // Nothing was cut so far: the number of classes stays.
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

    /// An unused magazine, if there is one.
    pub(super) fn magazine(&mut self) -> Option<NonNull<usize>> {
        self.magazines.allocate(Self::MAGAZINE).map(NonNull::cast)
    }

    /// Takes back the magazine that begins at `base`, in which there is no block any more.
    ///
    /// # Safety
    ///
    /// The magazine came from here and nobody uses it.
    pub(super) unsafe fn release_magazine(&mut self, base: NonNull<usize>) {
        // SAFETY: the magazine was cut here.
        unsafe { self.magazines.deallocate(base.cast(), Self::MAGAZINE) };
    }

    /// Takes a full magazine of blocks of `size` bytes, which the holder of a number has filled.
    ///
    /// # Safety
    ///
    /// The magazine came from here, nobody uses it, and its blocks are of this class.
    pub(super) unsafe fn put_full(
        &mut self,
        (class, size): (usize, usize),
        magazine: Magazine<WORDS>,
        thread: usize,
    ) {
        let base = magazine.base();
        self.waiting_bytes += magazine.count() * size;
        // SAFETY: a full magazine carries no block in its first two words.
        unsafe {
            base.write(*self.full_of(class));
            base.add(1).write(thread * WORDS + magazine.bottom.offset_from_unsigned(base.as_ptr()));
        }
        *self.full_of(class) = base.addr().get();
    }

    /// Gives a full magazine of blocks of `size` bytes, and the number of who filled it.
    pub(super) fn take_full(&mut self, (class, size): (usize, usize)) -> Option<(Magazine<WORDS>, usize)> {
        let base = recover::<usize>(*self.full_of(class));
        if base.is_null() {
            return None;
        }
        // SAFETY: a full magazine begins with its link and where its bottom is, whose word is zero but for these two.
        unsafe {
            *self.full_of(class) = base.read();
            let about = base.add(1).read();
            let bottom = base.add(about % WORDS);
            bottom.write(0);
            let magazine = Magazine { top: base.add(WORDS - 1), bottom };
            self.waiting_bytes = self.waiting_bytes.saturating_sub(magazine.count() * size);
            Some((magazine, about / WORDS))
        }
    }

    /// Bytes of the blocks in full magazines. O(1), however many there are.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// The full magazines.
    pub(super) fn full(&self, class: usize) -> impl Iterator<Item = Magazine<WORDS>> {
        let exists = |&base: &usize| base != 0;
        let first =
            if P::ClassMap::CLASSES == 1 { self.full.one()[class] } else { self.full.several()[class] };
        // SAFETY: a full magazine begins with its link and its bottom.
        let next = move |&base: &usize| Some(unsafe { recover::<usize>(base).read() }).filter(exists);
        core::iter::successors(Some(first).filter(exists), next).map(|base| {
            // SAFETY: as above.
            let about: usize = unsafe { recover::<usize>(base + WORD).read() };
            let word = |index: usize| recover(base + index * WORD);
            Magazine { top: word(WORDS - 1), bottom: word(about % WORDS) }
        })
    }

    /// Fills an empty magazine from the pool with up to `limit` blocks, the first one on top.
    ///
    /// # Safety
    ///
    /// The magazine that begins at `base` came from here and carries nothing; `limit` is at most what it may carry, and
    /// `layout` that of a class.
    pub(super) unsafe fn fill(
        &mut self,
        base: NonNull<usize>,
        layout: Layout,
        limit: usize,
    ) -> Magazine<WORDS> {
        let mut filled = 0;
        while filled < limit {
            let Some(block) = self.pool.allocate(layout) else { break };
            // SAFETY: the word lies in the magazine, above its first two.
            unsafe { base.add(WORDS - 1 - filled).write(block.addr().get()) };
            filled += 1;
        }
        if filled == 0 {
            // SAFETY: as the caller promises.
            return unsafe { Magazine::empty(base, limit) };
        }
        // SAFETY: as above, for the word below the last block.
        unsafe {
            let bottom = base.add(WORDS - 1 - filled);
            bottom.write(0);
            Magazine { top: base.add(WORDS - 1).as_ptr(), bottom: bottom.as_ptr() }
        }
    }

    /// Gives the blocks of a magazine back to the pool, and puts the magazine away.
    ///
    /// # Safety
    ///
    /// The magazine came from here, nobody uses it, and its blocks are of the class that has this layout. It may be none.
    pub(super) unsafe fn empty(&mut self, magazine: Magazine<WORDS>, layout: Layout) {
        if magazine.is_none() {
            return;
        }
        for block in magazine.blocks() {
            // SAFETY: the pool handed the block out for this class, and nobody has it any more.
            unsafe { self.pool.deallocate(NonNull::new_unchecked(recover(block)), layout) };
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { self.release_magazine(magazine.base()) };
    }

    /// Gives the blocks of all full magazines back to the pool.
    pub(super) fn drain_all(&mut self) {
        let class_map = self.pool.class_map();
        for class in 0..class_map.classes() {
            while self.drain_one(class, class_map.layout(class)) {}
        }
    }

    /// Gives the blocks of one full magazine of a class back to the pool; false if there is none. O(blocks in a magazine).
    fn drain_one(&mut self, class: usize, layout: Layout) -> bool {
        match self.take_full((class, layout.size())) {
            Some((magazine, _)) => {
                // SAFETY: the magazine was full of blocks of this class and is nobody else's.
                unsafe { self.empty(magazine, layout) };
                true
            }
            None => false,
        }
    }
}

/// The layout of what the depot cuts for itself.
const fn layout(size: usize, align: usize) -> Layout {
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        // Never: both are small, and every alignment is a power of two.
        Err(_) => Layout::new::<usize>(),
    }
}

// SAFETY: blocks are the pool's, which keeps the contract; those in magazines are live to it and handed out by nobody else.
unsafe impl<P: SizeClasses, const WORDS: usize> RawPool for Depot<P, WORDS> {
    delegate!(self: self.pool; deallocate chunk_request add_chunk resize_in_place);

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

impl<P: SizeClasses, const WORDS: usize> PoolHooks for Depot<P, WORDS> {
    delegate!(self: self.pool; passes_through may_allocate note_failure release_held before_drop pending_report);
}

/// What waits in full magazines is not counted on.
impl<P: SizeClasses + Reserve, const WORDS: usize> Reserve for Depot<P, WORDS> {
    delegate!(self: self.pool; reserve_request add_reserved_chunk release_reserved_chunk);
}
