//! Arenas: values that are lent until all of them go at once.

use core::{
    alloc::Layout,
    cell::Cell,
    marker::PhantomData,
    mem::{forget, needs_drop},
    ptr::NonNull,
};

use super::PoolBox;
use crate::{
    base::AllocError,
    contract::{Allocator, Inspect, Reclaim, pass_on},
    pool::Linear,
    share::Local,
};

/// An arena for values without destructors: it lends `&mut T`s, which are gone when it is reset or dropped.
///
/// A type that has a destructor is refused at compile time, because it would never run: see [`DropArena`], or wrap the
/// value in `ManuallyDrop` to say that this is meant. Values may refer to one another, in circles too.
///
/// Allocating is O(1), and a reset is O(1). On a [`Stack`](crate::Stack) an arena has [scopes](Self::scope); [`Frames`](crate::Frames)
/// has an arena for each of the last frames, and `Arenas` (feature `alloc`) one for each request or thread.
///
/// ```
/// use std::cell::Cell;
/// use millpond::{Arena, Reclaim};
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
/// ```compile_fail,E0080
/// let arena = millpond::Arena::new();
/// arena.alloc(String::from("lost")); // error: its destructor would never run
/// ```
///
/// ```compile_fail,E0502
/// use millpond::{Arena, Reclaim};
///
/// let mut arena = Arena::new();
/// let number = arena.alloc(1);
/// arena.reset(); // error: `arena` is borrowed
/// *number = 2;
/// ```
///
/// ```compile_fail,E0515
/// fn number<'a>() -> &'a mut u32 {
///     let arena = millpond::Arena::new();
///     arena.alloc(1) // error: it goes with the arena
/// }
/// ```
pub struct Arena<M: Allocator = Local<Linear>> {
    memory: M,
}

impl Arena {
    /// An arena without chunks, on the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_memory(Local::new(Linear::new()))
    }
}

impl<M: Allocator> Arena<M> {
    pub(super) fn memory_mut(&mut self) -> &mut M {
        &mut self.memory
    }

    /// An arena on any allocator, mostly a [`Linear`] one.
    #[must_use]
    pub const fn with_memory(memory: M) -> Self {
        Self { memory }
    }

    /// Puts a value in. An arena without memory ends the program.
    #[inline]
    pub fn alloc<T>(&self, value: T) -> &mut T {
        without_destructor::<T>();
        PoolBox::uninit_or_end(&self.memory).write(value).leak()
    }

    /// As [`alloc`](Self::alloc), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`].
    #[inline]
    pub fn try_alloc<T>(&self, value: T) -> Result<&mut T, AllocError> {
        without_destructor::<T>();
        Ok(PoolBox::new_in(value, &self.memory)?.leak())
    }

    /// Makes a value in the arena: see [`Pool::alloc_with`](crate::Pool::alloc_with).
    #[inline]
    pub fn alloc_with<T>(&self, make: impl FnOnce() -> T) -> &mut T {
        without_destructor::<T>();
        PoolBox::uninit_or_end(&self.memory).write(make()).leak()
    }

    /// Copies a slice into the arena, which ends the program if it has no memory.
    pub fn alloc_slice<T: Copy>(&self, values: &[T]) -> &mut [T] {
        match self.try_alloc_slice(values.len(), |index| values[index]) {
            Ok(copy) => copy,
            Err(error) => crate::share::out_of_memory(Layout::for_value(values), error),
        }
    }

    /// Makes a slice in the arena, each value from its index, or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`].
    pub fn try_alloc_slice<T>(
        &self,
        length: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<&mut [T], AllocError> {
        without_destructor::<T>();
        Ok(PoolBox::slice_in(length, make, &self.memory)?.leak())
    }

    /// Copies a string into the arena, which ends the program if it has no memory.
    pub fn alloc_str(&self, text: &str) -> &mut str {
        match PoolBox::str_in(text, &self.memory) {
            Ok(copy) => copy.leak(),
            Err(error) => crate::share::out_of_memory(Layout::for_value(text), error),
        }
    }

    /// The allocator that the memory comes from.
    #[must_use]
    pub fn memory(&self) -> &M {
        &self.memory
    }
}

/// Refuses, at compile time, what has a destructor.
pub(super) const fn without_destructor<T>() {
    const {
        assert!(
            !needs_drop::<T>(),
            "an `Arena` runs no destructors: use a `DropArena`, or wrap the value in `ManuallyDrop`"
        );
    }
}

/// An arena that drops its values, newest first, when it is reset or dropped.
///
/// Values that have a destructor take two words more, and outlive the arena in what they refer to (`'d`); so they cannot
/// refer to one another: see [`Arena`] for those that do.
///
/// ```
/// use millpond::DropArena;
///
/// let mut arena = DropArena::new();
/// let names = arena.alloc(vec![String::from("Ada")]);
/// names.push(arena.alloc(String::from("Charles")).clone());
/// assert_eq!(names.len(), 2);
/// arena.reset(); // the vector and both strings are dropped
/// ```
///
/// ```compile_fail,E0597
/// struct Loud<'a>(&'a str);
/// impl Drop for Loud<'_> {
///     fn drop(&mut self) {
///         println!("{}", self.0);
///     }
/// }
///
/// let arena = millpond::DropArena::new();
/// let text = String::from("gone");
/// arena.alloc(Loud(&text)); // error: `text` is gone when the destructor runs
/// ```
///
/// Its values are dropped on the thread where they were made:
///
/// ```compile_fail,E0277
/// let arena = millpond::DropArena::new();
/// arena.alloc(std::rc::Rc::new(1));
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(arena)); // error: it would drop an `Rc` on another thread
/// });
/// ```
///
/// # Invariants
///
/// * Following `earlier` from `last` visits an entry for each value that is to be dropped, newest first, and all are
///   valid and live in `memory`.
pub struct DropArena<'d, M: Allocator = Local<Linear>> {
    last: Cell<Option<NonNull<Record>>>,
    memory: M,
    /// Neither longer nor shorter than what its values may refer to.
    exactly: PhantomData<Cell<&'d ()>>,
}

/// How a value is dropped, and which comes next.
struct Record {
    drop: unsafe fn(NonNull<Record>),
    earlier: Option<NonNull<Record>>,
}

#[repr(C)]
struct Listed<T> {
    record: Record,
    value: T,
}

impl<T> Listed<T> {
    /// A value that is not on a list yet.
    fn new(value: T) -> Self {
        Self { record: Record { drop: Self::drop, earlier: None }, value }
    }

    /// # Safety
    ///
    /// The record is that of a `Listed<T>` whose value is valid, and is used no more.
    unsafe fn drop(record: NonNull<Record>) {
        // SAFETY: the caller says so, and a record comes first in what is listed.
        unsafe { (&raw mut (*record.cast::<Self>().as_ptr()).value).drop_in_place() };
    }
}

impl DropArena<'_> {
    /// An arena without chunks, on the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_memory(Local::new(Linear::new()))
    }
}

impl<'d, M: Allocator> DropArena<'d, M> {
    /// An arena on any allocator, mostly a [`Linear`] one.
    #[must_use]
    pub const fn with_memory(memory: M) -> Self {
        Self { last: Cell::new(None), memory, exactly: PhantomData }
    }

    /// Puts a value in. An arena without memory ends the program.
    #[inline]
    pub fn alloc<T: 'd>(&self, value: T) -> &mut T {
        if !needs_drop::<T>() {
            return PoolBox::uninit_or_end(&self.memory).write(value).leak();
        }
        self.list(PoolBox::uninit_or_end(&self.memory).write(Listed::new(value)))
    }

    /// As [`alloc`](Self::alloc), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; the value is dropped.
    #[inline]
    pub fn try_alloc<T: 'd>(&self, value: T) -> Result<&mut T, AllocError> {
        if !needs_drop::<T>() {
            return Ok(PoolBox::new_in(value, &self.memory)?.leak());
        }
        Ok(self.list(PoolBox::new_in(Listed::new(value), &self.memory)?))
    }

    fn list<'a, T>(&'a self, listed: PoolBox<'a, Listed<T>, M>) -> &'a mut T {
        let listed = listed.leak();
        listed.record.earlier = self.last.get();
        let listed = NonNull::from(listed);
        self.last.set(Some(listed.cast()));
        // SAFETY: the block is this value's until the arena is reset or dropped, which ends the borrow; the record is not
        // a part of what is lent.
        unsafe { &mut (*listed.as_ptr()).value }
    }

    /// Drops every value and keeps every chunk for the next ones.
    pub fn reset(&mut self)
    where
        M: Reclaim,
    {
        self.drop_values();
        self.memory.reset();
    }

    /// Drops every value, newest first; those too that come after one whose destructor panics.
    fn drop_values(&mut self) {
        /// Goes on where a destructor has panicked.
        struct GoOn<'a>(&'a Cell<Option<NonNull<Record>>>);

        impl GoOn<'_> {
            fn run(&self) {
                while let Some(record) = self.0.get() {
                    // SAFETY: the entry is live, its value is valid, and it is off the list before that changes.
                    unsafe {
                        self.0.set((*record.as_ptr()).earlier);
                        ((*record.as_ptr()).drop)(record);
                    }
                }
            }
        }

        impl Drop for GoOn<'_> {
            fn drop(&mut self) {
                self.run();
            }
        }

        let all = GoOn(&self.last);
        all.run();
        forget(all);
    }

    /// The allocator that the memory comes from.
    #[must_use]
    pub fn memory(&self) -> &M {
        &self.memory
    }
}

impl Default for DropArena<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Allocator> Drop for DropArena<'_, M> {
    fn drop(&mut self) {
        self.drop_values();
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

impl<M: Allocator + Inspect> Inspect for Arena<M> {
    pass_on!(self: self.memory; stats largest_free holes paint figures owns check report);
}
