//! Arenas that are taken for a while: one per request, or one per thread.

use alloc::boxed::Box;
use core::{mem::ManuallyDrop, ops::Deref};

use super::Arena;
use crate::{
    base::{DefaultLock, Mutex},
    pool::Linear,
    shell::Local,
    traits::{Allocator, Inspect, Reclaim, at_fork},
};

/// Warm arenas for requests, jobs or threads: whoever has something to do takes one, fills it, and is done.
///
/// [`get`](Self::get) gives an [`Arena`] that nobody else has. When the lease is dropped, the arena is reset, keeps its
/// chunks, and waits for the next one; so once the largest requests have been, no memory is asked for any more. Taking and
/// returning are O(1), with a lock for a moment each, which is not held while memory is asked for; what is allocated in
/// between takes no lock. No destructors are run: a type that has one is refused.
///
/// ```
/// use millpond::ArenaPool;
///
/// static REQUESTS: ArenaPool = ArenaPool::new();
///
/// fn answer(request: &str) -> usize {
///     let arena = REQUESTS.get();
///     let words: &mut [&str] = arena.alloc_slice(&request.split(' ').collect::<Vec<_>>());
///     words.sort_unstable();
///     words.len()
/// } // everything in the arena is gone, its memory is not
///
/// assert_eq!((answer("what is there"), answer("to see"), REQUESTS.idle()), (3, 2, 1));
/// ```
///
/// A thread takes one for as long as it likes: for a scope, or, from a `static`, to its end.
///
/// ```
/// use millpond::{ArenaPool, PooledArena};
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
/// What an arena lends does not outlive the lease:
///
/// ```compile_fail,E0515
/// fn name(arenas: &millpond::ArenaPool) -> &str {
///     let arena = arenas.get();
///     arena.alloc_str("gone") // error: it goes with `arena`
/// #     // instead: if arena.alloc_str("gone").is_empty() { "" } else { "kept" }
/// }
/// ```
///
/// ```compile_fail,E0505
/// let arenas = millpond::ArenaPool::new();
/// let arena = arenas.get();
/// let number = arena.alloc(1);
/// drop(arena); // error: `arena` is borrowed
/// # // instead: drop(arenas.get());
/// *number = 2;
/// ```
///
/// And two threads do not use one:
///
/// ```compile_fail,E0277
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
/// * `idle` says how many arenas wait; nothing in them is live.
pub struct ArenaPool<M: Allocator = Local<Linear>, F = fn() -> M> {
    idle: Mutex<DefaultLock, Idle<M>>,
    make: F,
    most: usize,
    most_bytes: usize,
}

/// The arenas that wait, last returned first, warm as they are.
struct Idle<M: Allocator> {
    first: Option<Box<Node<M>>>,
    idle: usize,
}

/// An arena, and the next one that waits. It is made once, so waiting takes no memory.
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

/// One after the other: a chain of boxes that dropped itself would take as deep a stack as it is long.
impl<M: Allocator> Drop for Idle<M> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

impl ArenaPool {
    /// Without arenas; they will be [`Linear`] ones on the default parent. As many wait as were ever taken at a time, with
    /// all that they hold: see [`with_max_idle`](Self::with_max_idle).
    #[must_use]
    pub const fn new() -> Self {
        Self::with_memory(|| Local::new(Linear::new()))
    }
}

impl<M: Allocator, F: Fn() -> M> ArenaPool<M, F> {
    /// Arenas on any allocators, mostly [`Linear`] ones: `make` makes one when none waits.
    #[must_use]
    pub const fn with_memory(make: F) -> Self {
        let idle = Mutex::new(Idle { first: None, idle: 0 });
        Self { idle, make, most: usize::MAX, most_bytes: usize::MAX }
    }

    /// Lets no more than so many arenas wait, and none that holds more than so many bytes: so no more than the product is
    /// kept. Others are dropped when they are returned, with all that they hold.
    ///
    /// ```
    /// use millpond::ArenaPool;
    ///
    /// static REQUESTS: ArenaPool = ArenaPool::new().with_max_idle(16, 1 << 20);
    ///
    /// let arena = REQUESTS.get();
    /// arena.alloc_slice(&[0_u8; 2 << 20]); // an unusual one
    /// drop(arena);
    /// assert_eq!(REQUESTS.idle(), 0);
    /// ```
    #[must_use]
    pub const fn with_max_idle(mut self, arenas: usize, bytes: usize) -> Self {
        (self.most, self.most_bytes) = (arenas, bytes);
        self
    }

    /// An arena that nobody else has, without anything in it: one that waits, or a new one.
    pub fn get(&self) -> PooledArena<'_, M, F>
    where
        M: Reclaim + Inspect,
    {
        let warm = self.idle.lock().pop();
        let node =
            warm.unwrap_or_else(|| Box::new(Node { arena: Arena::with_memory((self.make)()), next: None }));
        PooledArena { node: ManuallyDrop::new(node), home: self }
    }

    /// How many arenas wait.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.idle.lock().idle
    }

    /// Drops all arenas that wait; says how many bytes they held.
    pub fn trim(&self) -> usize
    where
        M: Inspect,
    {
        let mut bytes = 0;
        loop {
            // Returning chunks takes its time, and is not done under the lock.
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

/// An arena that is taken: see [`ArenaPool::get`]. When it is dropped, the arena is reset and waits for the next one.
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
    /// Begins anew: everything in the arena is gone, its memory is not.
    pub fn reset(&mut self) {
        self.node.arena.reset();
    }
}

impl<M: Allocator + Reclaim + Inspect, F: Fn() -> M> Drop for PooledArena<'_, M, F> {
    fn drop(&mut self) {
        // SAFETY: the lease goes, and nobody looks at its field any more.
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

at_fork!([M: Allocator, F] ArenaPool<M, F>: idle);
