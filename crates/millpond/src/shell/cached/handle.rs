//! A cache that is held as a value instead of being found by thread.

use core::{alloc::Layout, cell::Cell, ptr::NonNull};

use super::{
    Cached,
    config::{CacheConfig, CacheOptions},
    thread_magazines::ThreadMagazines,
};
use crate::{
    pool::SizeClasses,
    shell::ops::RawResult,
    sync::thread_index::ThreadIndex,
    traits::{Allocation, Allocator},
};

/// A cache in front of a [`Cached`] pool, for one thread at a time: see [`Cached::handle`].
///
/// A handle is an [`Allocator`] for the blocks of that pool: they may be freed through it, through another handle, or
/// through the pool. Dropping the handle gives back what it caches.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Cached, Fixed};
///
/// let pool = Cached::new(Blocks::<Fixed<64>>::new());
/// let layout = Layout::new::<[u64; 8]>();
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         let handle = pool.handle();
///         scope.spawn(move || {
///             let block = handle.allocate(layout).expect("the heap has 64 bytes");
///             // SAFETY: the block is live, and the pool handed it out for this layout.
///             unsafe { handle.deallocate(block.cast(), layout) };
///         });
///     }
/// });
/// ```
///
/// Two threads cannot share a handle:
///
/// ```compile_fail
/// # use millpond::{Blocks, Cached, Fixed};
/// let pool = Cached::new(Blocks::<Fixed<64>>::new());
/// let handle = pool.handle();
/// std::thread::scope(|scope| {
///     scope.spawn(|| &handle); // error: a `Handle` cannot be shared between threads
/// #     // instead: scope.spawn(|| drop(pool.handle()));
/// });
/// ```
pub struct Handle<'a, P: SizeClasses, A: Allocator, C: CacheConfig = CacheOptions> {
    pool: &'a Cached<P, A, C>,
    thread: Option<ThreadIndex>,
    /// The slots of the handle's index, one per class; vacant ones if it has none. (A `Cell`: one thread at a time.)
    caches: Cell<&'a [ThreadMagazines]>,
}

impl<'a, P: SizeClasses, A: Allocator, C: CacheConfig> Handle<'a, P, A, C> {
    pub(super) fn new(pool: &'a Cached<P, A, C>) -> Self {
        let thread = ThreadIndex::acquire();
        let caches = pool.caches.of(thread.as_ref().map_or(0, ThreadIndex::get));
        Self { pool, thread, caches: Cell::new(caches) }
    }

    /// Returns the handle's thread index; zero if there was none left.
    fn thread(&self) -> usize {
        self.thread.as_ref().map_or(0, ThreadIndex::get)
    }

    /// Returns the slot for a class, which must be one of the class map's.
    #[inline(always)]
    fn cache(&self, class: usize) -> &'a ThreadMagazines {
        // SAFETY: there is a slot for each class.
        unsafe { self.caches.get().get_unchecked(class) }
    }

    #[cold]
    #[inline(never)]
    fn allocate_cold(&self, layout: Layout) -> RawResult {
        // SAFETY: the index is the handle's.
        let block = unsafe { self.pool.allocate_at(self.thread(), layout) };
        self.caches.set(self.pool.caches.of(self.thread()));
        block
    }

    /// Frees when the loaded magazine is full.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    #[cold]
    #[inline(never)]
    unsafe fn deallocate_cold(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the index is the handle's; the caller upholds the contract of `deallocate`.
        unsafe { self.pool.deallocate_at(self.thread(), block, layout) };
        self.caches.set(self.pool.caches.of(self.thread()));
    }
}

// SAFETY: every call goes to the pool, which keeps the contract. The index is the handle's, which one thread uses at a
// time.
unsafe impl<P: SizeClasses, A: Allocator, C: CacheConfig> Allocator for Handle<'_, P, A, C> {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Allocation {
        // SAFETY: the slot is the handle's.
        match unsafe { self.pool.allocate_hot(|class| self.cache(class), layout) } {
            Some(block) => Ok(block),
            None => self.allocate_cold(layout).unpack(),
        }
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the slot is the handle's; the caller upholds the contract of `deallocate`, which is the same.
        unsafe {
            if !self.pool.deallocate_hot(|class| self.cache(class), block, layout) {
                self.deallocate_cold(block, layout);
            }
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.pool.may_deallocate(block, layout)
    }

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { self.pool.damage(block, layout) }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow`, which is that of `resize`.
        unsafe { self.pool.resize((self, || self.thread()), block, old, new) }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink`, which is that of `resize`.
        unsafe { self.pool.resize((self, || self.thread()), block, old, new) }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_in_place`, which is that of `resize_in_place`.
        unsafe { self.pool.resize_in_place(block, old, new) }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink_in_place`, which is that of `resize_in_place`.
        unsafe { self.pool.resize_in_place(block, old, new) }
    }
}

impl<P: SizeClasses, A: Allocator, C: CacheConfig> Drop for Handle<'_, P, A, C> {
    fn drop(&mut self) {
        // SAFETY: the index is the handle's, which is dropped only after this.
        unsafe { self.pool.flush_thread(self.thread()) };
    }
}
