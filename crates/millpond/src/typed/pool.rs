//! Pools of values of one type.

use core::{
    alloc::Layout,
    marker::PhantomData,
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
};

use super::{PoolBox, TryAllocError};
use crate::{
    base::AllocError,
    pool::Blocks,
    shell::{Cached, Local, Locked, SingleSize},
    source::DefaultParent,
    traits::{Allocator, AtFork, Inspect, PoolStats, Reclaim, delegate_inspect},
};

/// A pool of values of type `T` for one thread. [`SharedPool`] is the pool for several threads.
///
/// [`alloc`](Self::alloc) puts a value into the pool and returns a [`PoolBox`], which returns its block to the pool
/// when it is dropped. Both are O(1), and values have no header. The pool grows by chunks that double in size. Values
/// never move. Dropping the pool releases all of its memory at once.
///
/// ```
/// use millpond::{Inspect, Pool};
///
/// let pool = Pool::new();
/// let (a, b) = (pool.alloc([1u64; 8]), pool.alloc([2u64; 8]));
/// assert_eq!(a[0] + b[7], 3);
/// assert_eq!(pool.stats().live, 2 * 64);
/// drop(a);
/// assert_eq!(pool.stats().live, 64);
/// ```
///
/// [`builder`](Self::builder) sets the chunk size, the limit, the parent and the free list. `M` is the allocator that
/// the blocks come from. It can be any allocator ([`with_memory`](Self::with_memory)). `T` is not part of its type,
/// so values may own other values of the same pool.
///
/// A pool can be sent to another thread while it has no handles. Its handles cannot leave their thread:
///
/// ```
/// let pool = millpond::Pool::new();
/// drop(pool.alloc(1));
/// std::thread::spawn(move || drop(pool.alloc(2))).join().expect("no panic");
/// ```
///
/// ```compile_fail,E0277
/// let pool = millpond::Pool::new();
/// let number = pool.alloc(1);
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(number)); // error: it would be freed into the pool of another thread
/// #     // instead: scope.spawn(move || drop(1));
/// });
/// ```
///
/// ```compile_fail,E0277
/// let pool = millpond::Pool::<u32>::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| drop(pool.alloc(1))); // error: two threads would use one pool
/// #     // instead: scope.spawn(|| drop(millpond::Pool::<u32>::new().alloc(1)));
/// });
/// ```
///
/// ```compile_fail,E0277
/// use std::rc::Rc;
///
/// use millpond::{Heap, Pool};
///
/// let pool = Pool::<u32>::builder().parent(Rc::new(Heap)).build();
/// std::thread::spawn(move || drop(pool)); // error: its parent is counted on this thread
/// # // instead: drop(pool);
/// ```
pub struct Pool<T, M: Allocator = Local<Blocks>> {
    memory: M,
    /// Blocks for values rather than values, which belong to their handles. The field has no effect on `Send`, `Sync`
    /// and drop check.
    of: PhantomData<fn() -> T>,
}

impl<T> Pool<T> {
    /// Creates a pool without chunks whose parent is the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_memory(Local::new(Blocks::of(Layout::new::<T>())))
    }
}

impl<T, M: Allocator> Pool<T, M> {
    /// Creates a pool on any allocator that serves the layout of `T`.
    ///
    /// ```
    /// use millpond::{Linear, Local, Pool};
    ///
    /// let arena = Local::new(Linear::new());
    /// let (numbers, texts) = (Pool::with_memory(&arena), Pool::with_memory(&arena));
    /// assert_eq!((*numbers.alloc(1), *texts.alloc("one")), (1, "one"));
    /// ```
    #[must_use]
    pub const fn with_memory(memory: M) -> Self {
        Self { memory, of: PhantomData }
    }

    /// Puts a value into the pool.
    ///
    /// Ends the program if the pool has no memory, as `Box::new` does. Use [`try_alloc`](Self::try_alloc) to handle
    /// that case.
    #[inline]
    pub fn alloc(&self, value: T) -> PoolBox<'_, T, M> {
        PoolBox::write(PoolBox::uninit_or_oom(&self.memory), value)
    }

    /// Puts a value into the pool, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Returns [`AllocError::Limit`] if the pool has reached its limit, otherwise the error of its parent. The error
    /// contains the value. Use [`try_alloc_with`](Self::try_alloc_with) to make the value only if there is memory for
    /// it.
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<PoolBox<'_, T, M>, TryAllocError<T>> {
        PoolBox::new_in(value, &self.memory)
    }

    /// Makes a value in the pool. The compiler builds the value in place where it can, as it does in optimized
    /// builds, so that a large value is not copied through the stack. If `make` panics, the block is returned to the
    /// pool.
    ///
    /// Ends the program if the pool has no memory; `make` is not called in that case.
    #[inline]
    pub fn alloc_with(&self, make: impl FnOnce() -> T) -> PoolBox<'_, T, M> {
        PoolBox::write(PoolBox::uninit_or_oom(&self.memory), make())
    }

    /// Makes a value in the pool as [`alloc_with`](Self::alloc_with) does, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`try_alloc`](Self::try_alloc), without a value. `make` is not called if there is an error.
    #[inline]
    pub fn try_alloc_with(&self, make: impl FnOnce() -> T) -> Result<PoolBox<'_, T, M>, AllocError> {
        Ok(PoolBox::write(self.try_alloc_uninit()?, make()))
    }

    /// Allocates a block for a value that is to be written in place: see [`PoolBox::uninit_in`].
    ///
    /// # Errors
    ///
    /// Same as [`try_alloc`](Self::try_alloc), without a value.
    #[inline]
    pub fn try_alloc_uninit(&self) -> Result<PoolBox<'_, MaybeUninit<T>, M>, AllocError> {
        PoolBox::uninit_in(&self.memory)
    }

    /// Returns the allocator that the blocks come from.
    #[must_use]
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Returns the bytes held, live and free. Same as [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats
    where
        M: Inspect,
    {
        self.memory.stats()
    }

    /// Removes all values without dropping them and keeps every chunk. Same as [`Reclaim::reset`].
    pub fn reset(&mut self)
    where
        M: Reclaim,
    {
        self.memory.reset();
    }

    /// Returns chunks without live blocks to the parent and returns their size in bytes. Same as [`Reclaim::trim`].
    pub fn trim(&mut self) -> usize
    where
        M: Reclaim,
    {
        self.memory.trim()
    }
}

impl<T, M: Allocator + SingleSize> Pool<T, M> {
    /// Returns the number of values in the pool, including those that were leaked or forgotten. Zero-sized values
    /// take no block and are not counted.
    ///
    /// The pool keeps no count while values are allocated and freed, so this costs as much as [`stats`](Self::stats):
    /// O(chunks) for a pool with a [`limit`](super::Builder::limit) or with the free list [`Magazine`](crate::Magazine),
    /// otherwise up to O(chunks + free blocks). A [`CachedPool`] does not have this method because it does not know
    /// how many blocks its threads hold.
    ///
    /// ```
    /// let pool = millpond::Pool::new();
    /// let (one, other) = (pool.alloc(1), pool.alloc(2));
    /// assert_eq!(pool.len(), 2);
    /// drop((one, other));
    /// assert!(pool.is_empty());
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.memory.live_blocks()
    }

    /// Returns whether the pool has no values. Costs as much as [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self::new()
    }
}

delegate_inspect!([T, M: Allocator + Inspect] Pool<T, M>: |this| this.memory);

/// A reset removes values whose handles were leaked or forgotten, without dropping them. No other values can exist at
/// that point.
impl<T, M: Allocator + Reclaim> Reclaim for Pool<T, M> {
    fn reset(&mut self) {
        self.memory.reset();
    }

    fn trim(&mut self) -> usize {
        self.memory.trim()
    }
}

/// A [`Pool`] that threads share and whose handles may be dropped on any of them.
///
/// Has the methods of [`Pool`] and differs only in how it is created. It can be a `static`:
///
/// ```
/// use millpond::SharedPool;
///
/// static MESSAGES: SharedPool<[u8; 100]> = SharedPool::new();
///
/// let (sender, receiver) = std::sync::mpsc::channel();
/// std::thread::scope(|scope| {
///     scope.spawn(move || (0..10).try_for_each(|number| sender.send(MESSAGES.alloc([number; 100]))));
///     assert_eq!(receiver.iter().map(|message| u32::from(message[99])).sum::<u32>(), 45);
/// });
/// ```
///
/// What a handle owns must be `Send`, too, and `Sync` if the handle is shared:
///
/// ```compile_fail,E0277
/// use std::rc::Rc;
///
/// let pool = millpond::SharedPool::new();
/// let counted = pool.alloc(Rc::new(1));
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(counted)); // error: an `Rc` cannot be sent to another thread
/// #     // instead: scope.spawn(move || drop(millpond::SharedPool::new().alloc(1)));
/// });
/// ```
///
/// ```compile_fail,E0277
/// use std::cell::Cell;
///
/// let pool = millpond::SharedPool::new();
/// let cell = pool.alloc(Cell::new(1));
/// std::thread::scope(|scope| {
///     scope.spawn(|| cell.set(2)); // error: a `Cell` cannot be shared between threads
/// #     // instead: scope.spawn(|| Cell::new(1).set(2));
/// });
/// ```
///
/// Its handles are [`SharedBox`](crate::typed::SharedBox)es, which is the type to name in the fields of a struct. Where
/// threads allocate and free often, a [`CachedPool`] is many times faster.
pub struct SharedPool<T, M: Allocator = Locked<Blocks>>(Pool<T, M>);

/// A [`SharedPool`] with a cache for each thread, created by [`build_cached`](super::Builder::build_cached). Its handles
/// are [`CachedBox`](crate::typed::CachedBox)es. See [`Cached`] for what the caches hold back and how much memory they
/// take themselves.
///
/// ```
/// use millpond::{CachedPool, SharedPool};
///
/// static POINTS: CachedPool<[f32; 3]> = SharedPool::builder().build_cached();
///
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| (0..1000).for_each(|_| drop(POINTS.alloc([0.0, 1.0, 2.0]))));
///     }
/// });
/// ```
pub type CachedPool<T, A = DefaultParent> = SharedPool<T, Cached<Blocks, A>>;

impl<T> SharedPool<T> {
    /// Creates a pool without chunks whose parent is the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_memory(Locked::new(Blocks::of(Layout::new::<T>())))
    }
}

impl<T, M: Allocator + Sync> SharedPool<T, M> {
    /// Creates a pool on any allocator that threads share and that serves the layout of `T`.
    #[must_use]
    pub const fn with_memory(memory: M) -> Self {
        Self(Pool::with_memory(memory))
    }
}

impl<T> Default for SharedPool<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, M: Allocator> Deref for SharedPool<T, M> {
    type Target = Pool<T, M>;

    fn deref(&self) -> &Pool<T, M> {
        &self.0
    }
}

impl<T, M: Allocator> DerefMut for SharedPool<T, M> {
    fn deref_mut(&mut self) -> &mut Pool<T, M> {
        &mut self.0
    }
}

delegate_inspect!([T, M: Allocator + Inspect] SharedPool<T, M>: |this| this.0);

/// Same as for [`Pool`].
impl<T, M: Allocator + Reclaim> Reclaim for SharedPool<T, M> {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn trim(&mut self) -> usize {
        self.0.trim()
    }
}

// SAFETY: the part is a field, so it is the same in each call.
unsafe impl<T, M: Allocator + AtFork> AtFork for Pool<T, M> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.memory);
    }
}
// SAFETY: the part is a field, so it is the same in each call.
unsafe impl<T, M: Allocator + AtFork> AtFork for SharedPool<T, M> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.0);
    }
}
