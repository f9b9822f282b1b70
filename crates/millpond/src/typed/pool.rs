//! Pools of values of one type.

use core::{
    alloc::Layout,
    marker::PhantomData,
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
};

use super::{Builder, PoolBox, TryAllocError, inherent::inherent};
use crate::{
    base::AllocError,
    pool::Blocks,
    shell::{Cached, Local, Locked, SingleSize},
    source::DefaultParent,
    traits::{Allocator, AtFork, Inspect, PoolStats, Reclaim, at_fork, delegate},
};

/// A pool of values of type `T`, for one thread. [`SharedPool`] is the one for many.
///
/// [`alloc`](Self::alloc) puts a value in and returns a [`PoolBox`], which gives its block back when it is dropped: O(1),
/// with no header per value. The pool grows by chunks that double in size; values never move. When the pool goes, so
/// does all its memory, at once.
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
/// Size of chunks, limit, parent and strategy: see [`builder`](Self::builder). `M` is the allocator that the blocks come
/// from; any will do ([`with_memory`](Self::with_memory)), and `T` is no part of it, so that values may own others in the
/// same pool.
///
/// A pool goes to another thread when no handle is there, and no handle of it leaves its thread:
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
    /// Blocks for values, not values: those belong to their handles. So this says nothing about `Send`, `Sync` and drops.
    of: PhantomData<fn() -> T>,
}

impl<T> Pool<T> {
    /// A pool without chunks, on the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_memory(Local::new(Blocks::of(Layout::new::<T>())))
    }

    /// What can be chosen about a pool: see [`Builder`].
    pub const fn builder() -> Builder<T> {
        Builder::new()
    }
}

impl<T, M: Allocator> Pool<T, M> {
    /// A pool on any allocator that serves the layout of a `T`.
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
    /// A pool without memory ends the program, as `Box::new` does; [`try_alloc`](Self::try_alloc) does not.
    #[inline]
    pub fn alloc(&self, value: T) -> PoolBox<'_, T, M> {
        PoolBox::write(PoolBox::uninit_or_oom(&self.memory), value)
    }

    /// As [`alloc`](Self::alloc), or says why there is no room.
    ///
    /// # Errors
    ///
    /// [`AllocError::Limit`] if the pool may have no more, else why its parent has no memory; and the value.
    /// [`try_alloc_with`](Self::try_alloc_with) does not make it in that case.
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<PoolBox<'_, T, M>, TryAllocError<T>> {
        PoolBox::new_in(value, &self.memory)
    }

    /// Makes a value in the pool: it is built in its place where the compiler can, as it does in optimised builds, and
    /// a large one is not copied through the stack. If `make` panics, the block goes back.
    ///
    /// A pool without memory ends the program, before `make` is called.
    #[inline]
    pub fn alloc_with(&self, make: impl FnOnce() -> T) -> PoolBox<'_, T, M> {
        PoolBox::write(PoolBox::uninit_or_oom(&self.memory), make())
    }

    /// As [`alloc_with`](Self::alloc_with), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`try_alloc`](Self::try_alloc); `make` is not called then.
    #[inline]
    pub fn try_alloc_with(&self, make: impl FnOnce() -> T) -> Result<PoolBox<'_, T, M>, AllocError> {
        Ok(PoolBox::write(self.try_alloc_uninit()?, make()))
    }

    /// A block that is to be filled in place: see [`PoolBox::uninit_in`].
    ///
    /// # Errors
    ///
    /// As [`try_alloc`](Self::try_alloc).
    #[inline]
    pub fn try_alloc_uninit(&self) -> Result<PoolBox<'_, MaybeUninit<T>, M>, AllocError> {
        PoolBox::uninit_in(&self.memory)
    }

    /// The allocator that the blocks come from.
    #[must_use]
    pub fn memory(&self) -> &M {
        &self.memory
    }

    inherent!(stats reset trim: self.memory);
}

impl<T, M: Allocator + SingleSize> Pool<T, M> {
    /// Returns how many values there are, those that were leaked or forgotten included. Values without bytes take no block, and
    /// do not count.
    ///
    /// Nothing is counted while values come and go, so this takes what [`stats`](Self::stats) takes: O(chunks) for a pool with
    /// a [`limit`](Builder::limit) or the strategy [`Magazine`](crate::Magazine), else up to O(chunks + free blocks). There is
    /// none for a [`CachedPool`], which does not know what its threads hold.
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

    /// Returns whether there are no values; as dear as [`len`](Self::len).
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

impl<T, M: Allocator + Inspect> Inspect for Pool<T, M> {
    delegate!(self: self.memory; stats largest_free holes render metrics owns check report);
}

/// Values whose handles were leaked or forgotten are gone after a reset, without being dropped; there are no others then.
impl<T, M: Allocator + Reclaim> Reclaim for Pool<T, M> {
    fn reset(&mut self) {
        self.memory.reset();
    }

    fn trim(&mut self) -> usize {
        self.memory.trim()
    }
}

/// A [`Pool`] that threads share, and whose handles may be dropped on any of them.
///
/// All that a pool does, this does; only how it is made differs, and it can be a `static`:
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
/// What a handle holds must be fit to cross, too:
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
/// Its handles are [`SharedBox`](crate::SharedBox)es, for the fields of a struct. Where threads allocate and free much, a
/// [`CachedPool`] is many times as fast.
pub struct SharedPool<T, M: Allocator = Locked<Blocks>>(Pool<T, M>);

/// A [`SharedPool`] with a cache for each thread, as [`build_cached`](Builder::build_cached) makes it; its handles are
/// [`CachedBox`](crate::CachedBox)es. What it holds back, and what it takes itself, is said at [`Cached`].
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
    /// A pool without chunks, on the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_memory(Locked::new(Blocks::of(Layout::new::<T>())))
    }

    /// What can be chosen about a pool: see [`Builder`].
    pub const fn builder() -> Builder<T> {
        Builder::new()
    }
}

impl<T, M: Allocator + Sync> SharedPool<T, M> {
    /// A pool on any allocator that threads share and that serves the layout of a `T`.
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

impl<T, M: Allocator + Inspect> Inspect for SharedPool<T, M> {
    delegate!(self: self.0; stats largest_free holes render metrics owns check report);
}

/// As for a [`Pool`].
impl<T, M: Allocator + Reclaim> Reclaim for SharedPool<T, M> {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn trim(&mut self) -> usize {
        self.0.trim()
    }
}

at_fork!([T, M: Allocator + AtFork] Pool<T, M>: memory);
at_fork!([T, M: Allocator + AtFork] SharedPool<T, M>: 0);
