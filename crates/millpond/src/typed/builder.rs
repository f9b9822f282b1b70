//! The builder for pools of values.

use core::{alloc::Layout, marker::PhantomData, mem::ManuallyDrop};

use super::{Pool, SharedPool};
use crate::{
    guard::Limit,
    pool::{Blocks, Config, DynSize, FreeList, SizeClasses},
    shell::{CacheOptions, Cached, Local, Locked, oom::Fail},
    source::{DEFAULT_PARENT, DefaultParent},
    traits::{Allocator, RawPool},
};

/// Settings for a [`Pool`] or a [`SharedPool`]. All of them are optional and can be made in any order.
///
/// ```
/// use millpond::{AllocError, Linear, Local, Magazine, Pages, Pool, SharedPool};
///
/// let arena = Local::new_in(Linear::new(), Pages);
/// let pool = Pool::builder()
///     .parent(&arena) //            source of the chunks
///     .capacity(100) //             values in the first chunk; later chunks double in size
///     .free_list::<Magazine>() //    how freed blocks are kept
///     .limit(1000) //               maximum number of values at a time
///     .build();
/// let numbers: Vec<_> = (0..1000).map(|number| pool.alloc(number)).collect();
/// assert_eq!(pool.try_alloc(1000).expect_err("the limit").error(), AllocError::Limit);
/// # drop(numbers);
///
/// let shared = SharedPool::<[u8; 64]>::builder().per_chunk(512).build_shared();
/// let message = shared.alloc([0; 64]);
/// # drop(message);
///
/// let busy = SharedPool::<[u8; 64]>::builder().build_cached(); // a cache for each thread
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| drop(busy.alloc([0; 64])));
///     }
/// });
/// ```
///
/// All methods are `const`, so a pool for several threads can be a `static`:
///
/// ```
/// use millpond::{Blocks, CachedPool, Locked, SharedPool, StaticBuffer, guard::Limit};
///
/// static EVENTS: CachedPool<[u64; 4]> = SharedPool::builder().capacity(1000).build_cached();
/// static JOBS: SharedPool<u64, Locked<Limit<Blocks>>> = SharedPool::builder().limit(8).build_shared();
///
/// // Without a heap: 1000 bytes of static memory.
/// static MEMORY: StaticBuffer<1000> = StaticBuffer::new();
/// static NAMES: SharedPool<[u8; 20], Locked<Blocks, &StaticBuffer<1000>>> =
///     SharedPool::builder().parent(&MEMORY).build_shared();
///
/// assert_eq!((EVENTS.alloc([7; 4])[3], *JOBS.alloc(8), NAMES.alloc([9; 20])[19]), (7, 8, 9));
/// ```
#[must_use = "a builder creates nothing before `build`"]
pub struct Builder<T, A = DefaultParent, C = DynSize, L = Unlimited> {
    parent: A,
    capacity: Option<usize>,
    per_chunk: Option<usize>,
    limit: L,
    makes: PhantomData<fn() -> (T, C)>,
}

/// A pool without a limit: it takes what its parent has.
#[derive(Clone, Copy, Debug)]
pub struct Unlimited;

/// A pool with a maximum number of values: see [`Builder::limit`].
#[derive(Clone, Copy, Debug)]
pub struct Limited(usize);

impl<T> Pool<T> {
    /// Returns a [`Builder`] with the default settings.
    pub const fn builder() -> Builder<T> {
        Builder::new()
    }
}

impl<T> SharedPool<T> {
    /// Returns a [`Builder`] with the default settings.
    pub const fn builder() -> Builder<T> {
        Builder::new()
    }
}

impl<T> Builder<T> {
    pub(crate) const fn new() -> Self {
        Self { parent: DEFAULT_PARENT, capacity: None, per_chunk: None, limit: Unlimited, makes: PhantomData }
    }
}

impl<T, A, C, L: Copy> Builder<T, A, C, L> {
    /// Sets the capacity of the first chunk to exactly `values` values. Later chunks double in size. The default is
    /// one page.
    pub const fn capacity(mut self, values: usize) -> Self {
        self.capacity = Some(values);
        self
    }

    /// Sets the capacity of every chunk to exactly `values` values. By default, chunks double in size up to 64 MiB.
    pub const fn per_chunk(mut self, values: usize) -> Self {
        self.per_chunk = Some(values);
        self
    }

    /// Limits the pool to `values` values at a time. Beyond that, allocation fails with
    /// [`AllocError::Limit`](crate::AllocError). Costs a counter per operation.
    pub const fn limit(self, values: usize) -> Builder<T, A, C, Limited> {
        let Self { capacity, per_chunk, .. } = self;
        let parent = self.into_parent();
        Builder { parent, capacity, per_chunk, limit: Limited(values), makes: PhantomData }
    }

    /// Sets the free list, which keeps the freed blocks: [`Lifo`](crate::pool::Lifo) (the default),
    /// [`Magazine`](crate::Magazine) or [`AddressOrdered`](crate::pool::AddressOrdered).
    pub const fn free_list<S: FreeList>(self) -> Builder<T, A, (DynSize, S), L> {
        let Self { capacity, per_chunk, limit, .. } = self;
        Builder { parent: self.into_parent(), capacity, per_chunk, limit, makes: PhantomData }
    }

    const fn into_parent(self) -> A {
        let this = ManuallyDrop::new(self);
        // SAFETY: a `ManuallyDrop` has the layout of its content, which is not dropped, and `parent` is read only
        // once.
        unsafe { (&raw const (*(&raw const this).cast::<Self>()).parent).read() }
    }
}

impl<T, C, L: Copy> Builder<T, DefaultParent, C, L> {
    /// Sets the parent, from which the chunks come. By default it is the default parent.
    pub const fn parent<A: Allocator>(self, parent: A) -> Builder<T, A, C, L> {
        let Self { capacity, per_chunk, limit, .. } = self;
        Builder { parent, capacity, per_chunk, limit, makes: PhantomData }
    }
}

impl<T, A, C: Config<BlockLayout = DynSize>, L> Builder<T, A, C, L> {
    const fn blocks(&self) -> Blocks<C> {
        let blocks = Blocks::with_layout(Layout::new::<T>());
        let blocks = match self.capacity {
            Some(values) => blocks.with_capacity(values),
            None => blocks,
        };
        match self.per_chunk {
            Some(values) => blocks.with_blocks_per_chunk(values),
            None => blocks,
        }
    }
}

impl<T, A: Allocator, C, L: Copy> Builder<T, A, C, L> {
    const fn with_local<P: RawPool>(self, pool: P) -> Pool<T, Local<P, A>> {
        Pool::with_memory(Local::new_in(pool, self.into_parent()))
    }

    const fn with_locked<P: RawPool>(self, pool: P) -> SharedPool<T, Locked<P, A>>
    where
        Locked<P, A>: Sync,
    {
        SharedPool::with_memory(Locked::new_in(pool, self.into_parent()))
    }

    const fn with_cached<P: SizeClasses>(self, class: P::ClassMap, pool: P) -> SharedPool<T, Cached<P, A>>
    where
        Cached<P, A>: Sync,
    {
        SharedPool::with_memory(Cached::with_class_map(
            class,
            pool,
            self.into_parent(),
            CacheOptions::of(Fail),
        ))
    }
}

// A trait could have the methods for builders with and without a limit, but those of a trait cannot be called at
// compile time.

/// Pools without a limit.
impl<T, A: Allocator, C: Config<BlockLayout = DynSize>> Builder<T, A, C> {
    /// Creates a pool for one thread.
    pub const fn build(self) -> Pool<T, Local<Blocks<C>, A>> {
        let blocks = self.blocks();
        self.with_local(blocks)
    }

    /// Creates a pool for several threads.
    pub const fn build_shared(self) -> SharedPool<T, Locked<Blocks<C>, A>>
    where
        Locked<Blocks<C>, A>: Sync,
    {
        let blocks = self.blocks();
        self.with_locked(blocks)
    }

    /// Creates a pool for several threads that allocate and free often: each thread has a cache.
    pub const fn build_cached(self) -> SharedPool<T, Cached<Blocks<C>, A>>
    where
        Cached<Blocks<C>, A>: Sync,
    {
        let blocks = self.blocks();
        let class = blocks.single_class();
        self.with_cached(class, blocks)
    }
}

/// Pools with a limit.
impl<T, A: Allocator, C: Config<BlockLayout = DynSize>> Builder<T, A, C, Limited> {
    /// Creates a pool for one thread.
    pub const fn build(self) -> Pool<T, Local<Limit<Blocks<C>>, A>> {
        let pool = Limit::blocks(self.blocks(), self.limit.0);
        self.with_local(pool)
    }

    /// Creates a pool for several threads.
    pub const fn build_shared(self) -> SharedPool<T, Locked<Limit<Blocks<C>>, A>>
    where
        Locked<Limit<Blocks<C>>, A>: Sync,
    {
        let pool = Limit::blocks(self.blocks(), self.limit.0);
        self.with_locked(pool)
    }

    /// Creates a pool for several threads that allocate and free often: each thread has a cache, and the blocks in
    /// caches count toward the limit.
    pub const fn build_cached(self) -> SharedPool<T, Cached<Limit<Blocks<C>>, A>>
    where
        Cached<Limit<Blocks<C>>, A>: Sync,
    {
        let blocks = self.blocks();
        let class = blocks.single_class();
        let pool = Limit::blocks(blocks, self.limit.0);
        self.with_cached(class, pool)
    }
}
