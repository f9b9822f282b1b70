//! What can be chosen about a pool of values, by name.

use core::{alloc::Layout, marker::PhantomData};

use super::{Pool, SharedPool};
use crate::{
    contract::{Allocator, RawPool},
    guard::Limit,
    pool::{AnySize, Blocks, Config, Kinds, Strategy},
    share::{Cached, Fail, Local, Locked, Spin},
    source::{DEFAULT_PARENT, DefaultParent},
};

/// What can be chosen about a [`Pool`] or a [`SharedPool`]: everything is optional, in any order.
///
/// ```
/// use millpond::{AllocError, Linear, Local, Magazine, Pages, Pool, SharedPool};
///
/// let arena = Local::new_in(Linear::new(), Pages);
/// let pool = Pool::builder()
///     .parent(&arena) //            where chunks come from
///     .capacity(100) //             the first chunk has room for so many values; the next ones double
///     .strategy::<Magazine>() //    what becomes of freed blocks
///     .limit(1000) //               no more than so many values at a time
///     .build();
/// let numbers: Vec<_> = (0..1000).map(|number| pool.alloc(number)).collect();
/// assert_eq!(pool.try_alloc(1000).err(), Some(AllocError::Limit));
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
#[must_use = "a builder makes a pool when it is told to"]
pub struct Builder<T, A = DefaultParent, C = AnySize, L = Unlimited> {
    parent: A,
    capacity: Option<usize>,
    per_chunk: Option<usize>,
    limit: L,
    makes: PhantomData<fn() -> (T, C)>,
}

/// How many values a pool may hold at a time: [`Unlimited`] or [`Limited`].
pub trait Ceiling {
    /// The pool `P` with the limit.
    type Around<P: RawPool>: RawPool;

    /// Puts the limit around a pool.
    fn around<P: RawPool>(self, pool: P) -> Self::Around<P>;
}

/// The [`Ceiling`] of a pool that takes what its parent has.
#[derive(Clone, Copy, Debug)]
pub struct Unlimited;

/// The [`Ceiling`] of a pool that holds no more than so many values.
#[derive(Clone, Copy, Debug)]
pub struct Limited(usize);

impl Ceiling for Unlimited {
    type Around<P: RawPool> = P;

    fn around<P: RawPool>(self, pool: P) -> P {
        pool
    }
}

impl Ceiling for Limited {
    type Around<P: RawPool> = Limit<P>;

    fn around<P: RawPool>(self, pool: P) -> Limit<P> {
        Limit::blocks(pool, self.0)
    }
}

impl<T> Builder<T> {
    pub(super) const fn new() -> Self {
        Self { parent: DEFAULT_PARENT, capacity: None, per_chunk: None, limit: Unlimited, makes: PhantomData }
    }
}

impl<T, A, C, L> Builder<T, A, C, L> {
    /// The first chunk has room for exactly so many values; the next ones double. Without this, it is a page.
    pub fn capacity(self, values: usize) -> Self {
        Self { capacity: Some(values), ..self }
    }

    /// Every chunk has room for exactly so many values. Without this, chunks double in size, up to 64 MiB.
    pub fn per_chunk(self, values: usize) -> Self {
        Self { per_chunk: Some(values), ..self }
    }

    /// The pool holds no more than so many values at a time; beyond, it says [`AllocError::Limit`](crate::AllocError).
    /// Costs a counter per operation.
    pub fn limit(self, values: usize) -> Builder<T, A, C, Limited> {
        let Self { parent, capacity, per_chunk, .. } = self;
        Builder { parent, capacity, per_chunk, limit: Limited(values), makes: PhantomData }
    }

    /// Where chunks come from. Without this, from the default parent.
    pub fn parent<B: Allocator>(self, parent: B) -> Builder<T, B, C, L> {
        let Self { capacity, per_chunk, limit, .. } = self;
        Builder { parent, capacity, per_chunk, limit, makes: PhantomData }
    }

    /// What becomes of freed blocks: [`Lifo`](crate::Lifo), which is the default, [`Magazine`](crate::Magazine) or
    /// [`Compact`](crate::Compact).
    pub fn strategy<S: Strategy>(self) -> Builder<T, A, (AnySize, S), L> {
        let Self { parent, capacity, per_chunk, limit, .. } = self;
        Builder { parent, capacity, per_chunk, limit, makes: PhantomData }
    }
}

/// A pool of blocks with a ceiling.
type Chosen<C, L> = <L as Ceiling>::Around<Blocks<C>>;

impl<T, A: Allocator, C: Config<Shape = AnySize>, L: Ceiling> Builder<T, A, C, L> {
    /// A pool for one thread.
    pub fn build(self) -> Pool<T, Local<Chosen<C, L>, A>> {
        let (pool, parent) = self.parts();
        Pool::with_memory(Local::new_in(pool, parent))
    }

    /// A pool for many threads.
    pub fn build_shared(self) -> SharedPool<T, Locked<Chosen<C, L>, A, Spin, Fail>>
    where
        Locked<Chosen<C, L>, A>: Sync,
    {
        let (pool, parent) = self.parts();
        SharedPool::with_memory(Locked::new_in(pool, parent))
    }

    /// A pool for many threads that allocate and free much: each of them has a cache of its own. With a
    /// [`limit`](Self::limit), what waits in caches counts as held.
    pub fn build_cached(self) -> SharedPool<T, Cached<Chosen<C, L>, A, Spin, Fail>>
    where
        Chosen<C, L>: Kinds,
        Cached<Chosen<C, L>, A>: Sync,
    {
        let (pool, parent) = self.parts();
        SharedPool::with_memory(Cached::new_in(pool, parent))
    }

    fn parts(self) -> (Chosen<C, L>, A) {
        let mut blocks = Blocks::<C>::shaped(Layout::new::<T>());
        if let Some(values) = self.capacity {
            blocks = blocks.with_capacity(values);
        }
        if let Some(values) = self.per_chunk {
            blocks = blocks.with_blocks_per_chunk(values);
        }
        (self.limit.around(blocks), self.parent)
    }
}
