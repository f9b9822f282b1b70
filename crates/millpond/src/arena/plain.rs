//! Arenas: values that are released all at once.

use super::{ArenaAlloc, arena_alloc::ArenaMemory};
use crate::{
    pool::Linear,
    shell::Local,
    traits::{Allocator, Inspect, PoolStats, Reclaim, delegate_inspect},
};

/// An arena for values without destructors. The methods of [`ArenaAlloc`] return `&mut T` references, which are valid
/// until the arena is reset or dropped.
///
/// A type with a destructor is rejected at compile time, because the destructor would never run. Use a
/// [`DropArena`](crate::DropArena), or wrap the value in `ManuallyDrop` if this is intended. Values may refer to one
/// another, even in cycles.
///
/// Allocation and reset are O(1). An arena on a [`Stack`](crate::Stack) has [scopes](Self::scope).
/// [`Frames`](crate::Frames) has an arena for each of the last frames, and `ArenaPool` (feature `alloc`) has one for
/// each request or thread.
///
/// ```
/// use std::cell::Cell;
/// use millpond::{Arena, ArenaAlloc, Reclaim};
///
/// struct Node<'a> {
///     name: &'a str,
///     next: Cell<Option<&'a Node<'a>>>,
/// }
///
/// let mut arena = Arena::new();
/// let name = arena.alloc_str("ring");
/// let (one, other) = (arena.alloc(Node { name, next: Cell::default() }), arena.alloc(Node { name, next: Cell::default() }));
/// one.next.set(Some(other));
/// other.next.set(Some(one));
/// assert_eq!(one.next.get().and_then(|node| node.next.get()).map(|node| node.name), Some("ring"));
/// arena.reset();
/// ```
///
/// ```compile_fail,E0283
/// use millpond::ArenaAlloc;
///
/// let arena = millpond::Arena::new();
/// arena.alloc(String::from("lost")); // error: its destructor would never run
/// # // instead: arena.alloc_str("lost");
/// ```
///
/// A type that only contains a type with a destructor is rejected when the program is built, but not by `cargo
/// check`:
///
/// ```compile_fail,E0080
/// use millpond::ArenaAlloc;
///
/// struct Name(String);
///
/// let arena = millpond::Arena::new();
/// arena.alloc(Name(String::from("lost"))); // error: as above
/// # // instead: arena.alloc(std::mem::ManuallyDrop::new(Name(String::from("lost"))));
/// ```
///
/// ```compile_fail,E0502
/// use millpond::{Arena, ArenaAlloc, Reclaim};
///
/// let mut arena = Arena::new();
/// let number = arena.alloc(1);
/// arena.reset(); // error: `arena` is borrowed
/// # // instead: *arena.alloc(2) = 3;
/// *number = 2;
/// ```
///
/// ```compile_fail,E0515
/// use millpond::ArenaAlloc;
///
/// fn number<'a>() -> &'a mut u32 {
///     let arena = millpond::Arena::new();
///     arena.alloc(1) // error: it goes with the arena
/// #     // instead: Box::leak(Box::new(*arena.alloc(1)))
/// }
/// ```
pub struct Arena<M: Allocator = Local<Linear>> {
    memory: M,
}

impl Arena {
    /// Creates an arena without chunks whose parent is the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_memory(Local::new(Linear::new()))
    }
}

impl<M: Allocator> Arena<M> {
    pub(crate) fn memory_mut(&mut self) -> &mut M {
        &mut self.memory
    }

    /// Creates an arena on any allocator, usually a [`Linear`] one.
    #[must_use]
    pub const fn with_memory(memory: M) -> Self {
        Self { memory }
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

    /// Returns the number of bytes that the allocator holds: the total size of all chunks, used or not. O(chunks) for a
    /// [`Linear`] pool.
    ///
    /// ```
    /// use millpond::{Arena, ArenaAlloc};
    ///
    /// let arena = Arena::new();
    /// assert_eq!(arena.allocated_bytes(), 0);
    /// arena.alloc([0_u8; 100]);
    /// assert!(arena.allocated_bytes() >= 100);
    /// ```
    #[must_use]
    pub fn allocated_bytes(&self) -> usize
    where
        M: Inspect,
    {
        self.stats().held
    }

    /// Returns the allocator that the memory comes from.
    #[must_use]
    pub fn memory(&self) -> &M {
        &self.memory
    }
}

impl<'a, M: Allocator> ArenaAlloc<'a> for &'a Arena<M> {
    type Memory = M;

    #[inline]
    fn arena_memory(self) -> ArenaMemory<'a, M> {
        ArenaMemory::new(&self.memory)
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Allocator + Reclaim> Reclaim for Arena<M> {
    fn reset(&mut self) {
        self.memory.reset();
    }

    fn trim(&mut self) -> usize {
        self.memory.trim()
    }
}

delegate_inspect!([M: Allocator + Inspect] Arena<M>: |this| this.memory);
