//! A pool of arenas that are taken for a while: one per request, or one per thread.

use alloc::boxed::Box;
use core::{mem::ManuallyDrop, ops::Deref};

use super::Arena;
use crate::{
    base::Mutex,
    pool::Linear,
    shell::Local,
    sync::DefaultLock,
    traits::{Allocator, AtFork, Inspect, Reclaim},
};

/// A pool of arenas for requests, jobs or threads. Each of them takes an arena, fills it and returns it with its
/// memory.
///
/// [`get`](Self::get) returns exclusive access to an [`Arena`]. When the [`PooledArena`] is dropped, the arena is
/// reset, keeps its chunks and waits for the next call of `get`, so no more memory is requested once the largest
/// requests have occurred. Taking and returning an arena are O(1). Each takes a lock for a moment, which is not held
/// while memory is requested. Allocating from the arena takes no lock. No destructors run, so a type with a
/// destructor is rejected.
///
/// ```
/// use millpond::{ArenaAlloc, ArenaPool};
///
/// static REQUESTS: ArenaPool = ArenaPool::new();
///
/// fn answer(request: &str) -> usize {
///     let arena = REQUESTS.get();
///     let words: &mut [&str] = arena.alloc_slice(&request.split(' ').collect::<Vec<_>>());
///     words.sort_unstable();
///     words.len()
/// } // releases everything in the arena and keeps its memory
///
/// assert_eq!((answer("what is there"), answer("to see"), REQUESTS.idle()), (3, 2, 1));
/// ```
///
/// A thread can keep an arena for a scope, or, if the pool is a `static`, until the thread ends:
///
/// ```
/// use millpond::{ArenaAlloc, ArenaPool, arena::PooledArena};
///
/// static SCRATCH: ArenaPool = ArenaPool::new();
/// thread_local! {
///     static MINE: PooledArena<'static> = SCRATCH.get();
/// }
///
/// std::thread::scope(|scope| {
///     (0..4).for_each(|number| {
///         scope.spawn(move || MINE.with(|arena| assert_eq!(*arena.alloc(number), number)));
///     });
/// });
/// let idle = ArenaPool::new();
/// let taken: Vec<_> = (0..4).map(|_| idle.get()).collect();
/// std::thread::scope(|scope| {
///     (0..4).zip(taken).for_each(|(number, arena)| {
///         scope.spawn(move || assert_eq!(*arena.alloc(number), number));
///     });
/// });
/// assert_eq!(idle.idle(), 4);
/// assert_eq!(idle.trim(), 4 * 256);
/// ```
///
/// References into an arena do not outlive the [`PooledArena`]:
///
/// ```compile_fail,E0515
/// use millpond::ArenaAlloc;
///
/// fn name(arenas: &millpond::ArenaPool) -> &str {
///     let arena = arenas.get();
///     arena.alloc_str("gone") // error: it goes with `arena`
/// #     // instead: if arena.alloc_str("gone").is_empty() { "" } else { "kept" }
/// }
/// ```
///
/// ```compile_fail,E0505
/// use millpond::ArenaAlloc;
///
/// let arenas = millpond::ArenaPool::new();
/// let arena = arenas.get();
/// let number = arena.alloc(1);
/// drop(arena); // error: `arena` is borrowed
/// # // instead: drop(arenas.get());
/// *number = 2;
/// ```
///
/// An arena cannot be used by two threads at once:
///
/// ```compile_fail,E0277
/// use millpond::ArenaAlloc;
///
/// let arenas = millpond::ArenaPool::new();
/// let arena = arenas.get();
/// std::thread::scope(|scope| {
///     scope.spawn(|| *arena.alloc(1)); // error: `arena` is one thread's
/// #     // instead: scope.spawn(|| *arenas.get().alloc(1));
/// });
/// ```
///
/// # Invariants
///
/// * `idle` counts the idle arenas, and nothing in them is live.
pub struct ArenaPool<M: Allocator = Local<Linear>, F = fn() -> M> {
    idle: Mutex<DefaultLock, Idle<M>>,
    make: F,
    most: usize,
    most_bytes: usize,
}

/// The idle arenas, last returned first, so that the next one is likely to be in the cache.
struct Idle<M: Allocator> {
    first: Option<Box<Node<M>>>,
    idle: usize,
}

/// An arena and a link to the next idle one. The node is allocated once, so returning an arena requires no memory.
struct Node<M: Allocator> {
    arena: Arena<M>,
    next: Option<Box<Self>>,
}

impl<M: Allocator> Idle<M> {
    fn pop(&mut self) -> Option<Box<Node<M>>> {
        let mut node = self.first.take()?;
        self.first = node.next.take();
        self.idle -= 1;
        Some(node)
    }

    fn push(&mut self, mut node: Box<Node<M>>) {
        node.next = self.first.take();
        self.first = Some(node);
        self.idle += 1;
    }
}

/// Drops one node after another. The default drop of a list of boxes recurses, and its stack depth is the length of
/// the list.
impl<M: Allocator> Drop for Idle<M> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

impl ArenaPool {
    /// Creates a pool without arenas. They will be [`Linear`] arenas on the default parent. By default the number of
    /// idle arenas and their memory are unlimited: see [`with_max_idle`](Self::with_max_idle).
    #[must_use]
    pub const fn new() -> Self {
        Self::with_memory(|| Local::new(Linear::new()))
    }
}

impl<M: Allocator, F: Fn() -> M> ArenaPool<M, F> {
    /// Creates a pool of arenas on any allocators, usually [`Linear`] ones. `make` is called when no arena is idle.
    #[must_use]
    pub const fn with_memory(make: F) -> Self {
        let idle = Mutex::new(Idle { first: None, idle: 0 });
        Self { idle, make, most: usize::MAX, most_bytes: usize::MAX }
    }

    /// Limits the number of idle arenas and the bytes that each of them may hold, so the idle memory is at most the
    /// product. When an arena beyond these limits is returned, it is dropped with its memory.
    ///
    /// ```
    /// use millpond::{ArenaAlloc, ArenaPool};
    ///
    /// static REQUESTS: ArenaPool = ArenaPool::new().with_max_idle(16, 1 << 20);
    ///
    /// let arena = REQUESTS.get();
    /// arena.alloc_slice(&[0_u8; 2 << 20]); // an unusually large request
    /// drop(arena);
    /// assert_eq!(REQUESTS.idle(), 0);
    /// ```
    #[must_use]
    pub const fn with_max_idle(mut self, arenas: usize, bytes: usize) -> Self {
        (self.most, self.most_bytes) = (arenas, bytes);
        self
    }

    /// Takes an empty arena: an idle one, or a new one if there is none.
    pub fn get(&self) -> PooledArena<'_, M, F>
    where
        M: Reclaim + Inspect,
    {
        let warm = self.idle.lock().pop();
        let node =
            warm.unwrap_or_else(|| Box::new(Node { arena: Arena::with_memory((self.make)()), next: None }));
        PooledArena { node: ManuallyDrop::new(node), home: self }
    }

    /// Returns the number of idle arenas.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.idle.lock().idle
    }

    /// Drops all idle arenas and returns the number of bytes that they held.
    pub fn trim(&self) -> usize
    where
        M: Inspect,
    {
        let mut bytes = 0;
        loop {
            // Returning chunks takes time and is not done under the lock.
            let node = self.idle.lock().pop();
            match node {
                Some(node) => bytes += node.arena.stats().held,
                None => return bytes,
            }
        }
    }
}

impl Default for ArenaPool {
    fn default() -> Self {
        Self::new()
    }
}

/// An arena taken from a pool: see [`ArenaPool::get`]. When this is dropped, the arena is reset and returned to the
/// pool.
pub struct PooledArena<'a, M: Allocator + Reclaim + Inspect = Local<Linear>, F: Fn() -> M = fn() -> M> {
    node: ManuallyDrop<Box<Node<M>>>,
    home: &'a ArenaPool<M, F>,
}

impl<M: Allocator + Reclaim + Inspect, F: Fn() -> M> Deref for PooledArena<'_, M, F> {
    type Target = Arena<M>;

    #[inline]
    fn deref(&self) -> &Arena<M> {
        &self.node.arena
    }
}

impl<M: Allocator + Reclaim + Inspect, F: Fn() -> M> PooledArena<'_, M, F> {
    /// Removes everything from the arena and keeps its memory.
    pub fn reset(&mut self) {
        self.node.arena.reset();
    }
}

impl<M: Allocator + Reclaim + Inspect, F: Fn() -> M> Drop for PooledArena<'_, M, F> {
    fn drop(&mut self) {
        // SAFETY: this is being dropped, and the field is not used afterwards.
        let mut node = unsafe { ManuallyDrop::take(&mut self.node) };
        node.arena.reset();
        if self.home.most_bytes != usize::MAX && node.arena.stats().held > self.home.most_bytes {
            return;
        }
        let mut idle = self.home.idle.lock();
        if idle.idle < self.home.most {
            idle.push(node);
        } else {
            drop(idle);
            drop(node);
        }
    }
}

// SAFETY: the part is a field, so it is the same in each call.
unsafe impl<M: Allocator, F> AtFork for ArenaPool<M, F> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.idle);
    }
}
