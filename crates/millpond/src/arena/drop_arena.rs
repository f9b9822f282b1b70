//! Arenas that drop what they lent.

use core::{
    cell::Cell,
    fmt,
    marker::PhantomData,
    mem::{forget, needs_drop},
    ptr::{self, NonNull},
};

use super::{
    collect::{collect, format},
    methods,
};
use crate::{
    base::AllocError,
    pool::Linear,
    shell::Local,
    traits::{Allocator, Inspect, PoolStats, Reclaim, delegate},
    typed::{PoolBox, TryAllocError, inherent::inherent},
};

/// An arena that drops its values, newest first, when it is reset or dropped; those of a slice in their order.
///
/// Values that have a destructor take two words more, a slice of them three, and outlive the arena in what they refer to
/// (`'d`); so they cannot refer to one another: see [`Arena`](crate::Arena) for those that do.
///
/// If a destructor panics, all other values are dropped nevertheless, and the panic goes on; should a second one panic
/// meanwhile, the program ends, as it does for the elements of a `Vec`.
///
/// ```
/// use millpond::DropArena;
///
/// let mut arena = DropArena::new();
/// let names = arena.alloc(vec![String::from("Ada")]);
/// names.push(arena.alloc(String::from("Charles")).clone());
/// let lines = arena.alloc_iter(names.iter().map(|name| format!("Dear {name},")));
/// assert_eq!((lines.len(), &*lines[1]), (2, "Dear Charles,"));
/// arena.reset(); // the lines, both strings and the vector are dropped
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
/// # // instead: arena.alloc(text.len());
/// ```
///
/// Its values are dropped on the thread where they were made:
///
/// ```compile_fail,E0277
/// let arena = millpond::DropArena::new();
/// arena.alloc(std::rc::Rc::new(1));
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(arena)); // error: it would drop an `Rc` on another thread
/// #     // instead: scope.spawn(move || drop(millpond::DropArena::new()));
/// });
/// ```
///
/// # Invariants
///
/// * Following `earlier` from `last` visits a record for each value, or slice, that is to be dropped, newest first; each is
///   the first field of a `DropValue` or a `DropSlice` that is live in `memory`, whose values are valid.
pub struct DropArena<'d, M: Allocator = Local<Linear>> {
    last: Cell<Option<NonNull<DropRecord>>>,
    memory: M,
    /// Neither longer nor shorter than what its values may refer to.
    exactly: PhantomData<Cell<&'d ()>>,
}

/// How something is dropped, and what comes next.
struct DropRecord {
    drop: unsafe fn(NonNull<DropRecord>),
    earlier: Option<NonNull<DropRecord>>,
}

/// One value.
#[repr(C)]
struct DropValue<T> {
    record: DropRecord,
    value: T,
}

impl<T> DropValue<T> {
    /// A value that is not on a list yet.
    fn new(value: T) -> Self {
        Self { record: DropRecord { drop: Self::drop, earlier: None }, value }
    }

    /// # Safety
    ///
    /// The record is that of a `DropValue<T>` whose value is valid, and is used no more.
    unsafe fn drop(record: NonNull<DropRecord>) {
        // SAFETY: the caller says so, and a record comes first in what is listed.
        unsafe { (&raw mut (*record.cast::<Self>().as_ptr()).value).drop_in_place() };
    }
}

/// What is in front of the values of a slice, and aligned as they are: so they begin where this ends.
#[repr(C)]
struct DropSlice<T> {
    record: DropRecord,
    length: usize,
    values: [T; 0],
}

impl<T> DropSlice<T> {
    /// # Safety
    ///
    /// The record is that of a `DropSlice<T>` in front of so many valid values, and is used no more.
    unsafe fn drop(record: NonNull<DropRecord>) {
        // SAFETY: the caller says so, and a record comes first in a run.
        unsafe {
            let run = record.cast::<Self>();
            let values = run.add(1).cast::<T>().as_ptr();
            ptr::slice_from_raw_parts_mut(values, (*run.as_ptr()).length).drop_in_place();
        }
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

    /// Puts a value in. Where there is no memory, this ends the program, as do all of these methods but those that
    /// begin with `try_`.
    #[inline]
    pub fn alloc<T: 'd>(&self, value: T) -> &mut T {
        self.alloc_with(|| value)
    }

    /// As [`alloc`](Self::alloc), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; the error returns the value.
    #[inline]
    pub fn try_alloc<T: 'd>(&self, value: T) -> Result<&mut T, TryAllocError<T>> {
        if !needs_drop::<T>() {
            return Ok(PoolBox::leak(PoolBox::new_in(value, &self.memory)?));
        }
        match PoolBox::uninit_in(&self.memory) {
            Ok(place) => Ok(self.list(PoolBox::write(place, DropValue::new(value)))),
            Err(error) => Err(TryAllocError::new(error, value)),
        }
    }

    /// Makes a value in its place: see [`Pool::alloc_with`](crate::Pool::alloc_with).
    #[inline]
    pub fn alloc_with<T: 'd>(&self, make: impl FnOnce() -> T) -> &mut T {
        if !needs_drop::<T>() {
            return PoolBox::leak(PoolBox::write(PoolBox::uninit_or_oom(&self.memory), make()));
        }
        self.list(PoolBox::write(PoolBox::uninit_or_oom(&self.memory), DropValue::new(make())))
    }

    /// As [`alloc_with`](Self::alloc_with), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; `make` is not called then.
    #[inline]
    pub fn try_alloc_with<T: 'd>(&self, make: impl FnOnce() -> T) -> Result<&mut T, AllocError> {
        if !needs_drop::<T>() {
            return Ok(PoolBox::leak(PoolBox::write(PoolBox::uninit_in(&self.memory)?, make())));
        }
        Ok(self.list(PoolBox::write(PoolBox::uninit_in(&self.memory)?, DropValue::new(make()))))
    }

    /// Makes a slice of clones.
    pub fn alloc_slice<T: Clone + 'd>(&self, values: &[T]) -> &mut [T] {
        self.alloc_iter(values.iter().cloned())
    }

    /// As [`alloc_slice`](Self::alloc_slice), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; nothing is cloned then.
    pub fn try_alloc_slice<T: Clone + 'd>(&self, values: &[T]) -> Result<&mut [T], AllocError> {
        self.try_alloc_iter(values.iter().cloned())
    }

    /// Makes a slice of what an iterator yields: see [`Arena::alloc_iter`](crate::Arena::alloc_iter). If that panics, what it
    /// has yielded is dropped.
    pub fn alloc_iter<T: 'd>(&self, values: impl IntoIterator<Item = T>) -> &mut [T] {
        let values = values.into_iter();
        let least = values.size_hint().0;
        methods::or_oom::<_, T>(self.try_alloc_iter(values), least)
    }

    /// As [`alloc_iter`](Self::alloc_iter), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`Allocator::grow`], or [`AllocError::Unsupported`] for a slice beyond all memory; what was yielded is dropped.
    #[expect(clippy::mut_from_ref, reason = "every call lends another block")]
    pub fn try_alloc_iter<T: 'd>(&self, values: impl IntoIterator<Item = T>) -> Result<&mut [T], AllocError> {
        let values = values.into_iter();
        if !needs_drop::<T>() {
            return collect(values, &self.memory, |_: NonNull<[T; 0]>, _| ());
        }
        collect(values, &self.memory, |run: NonNull<DropSlice<T>>, length| {
            // Yielding the values may have listed others.
            let record = DropRecord { drop: DropSlice::<T>::drop, earlier: self.last.get() };
            // SAFETY: the place is that of a run, and in front of so many values.
            unsafe { run.write(DropSlice { record, length, values: [] }) };
            self.last.set(Some(run.cast()));
        })
    }

    /// Copies a string in.
    pub fn alloc_str(&self, text: &str) -> &mut str {
        methods::or_oom::<_, u8>(self.try_alloc_str(text), text.len())
    }

    /// As [`alloc_str`](Self::alloc_str), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`].
    pub fn try_alloc_str(&self, text: &str) -> Result<&mut str, AllocError> {
        Ok(PoolBox::leak(PoolBox::str_in(text, &self.memory)?))
    }

    /// Formats a string in its place: as [`Arena::alloc_fmt`](crate::Arena::alloc_fmt).
    ///
    /// # Panics
    ///
    /// If an implementation of a formatting trait returns an error.
    pub fn alloc_fmt(&self, text: fmt::Arguments<'_>) -> &mut str {
        methods::or_oom::<_, u8>(self.try_alloc_fmt(text), 0)
    }

    /// As [`alloc_fmt`](Self::alloc_fmt), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`Allocator::grow`], or [`AllocError::Unsupported`] for a string beyond all memory.
    ///
    /// # Panics
    ///
    /// As [`alloc_fmt`](Self::alloc_fmt).
    pub fn try_alloc_fmt(&self, text: fmt::Arguments<'_>) -> Result<&mut str, AllocError> {
        format(text, &self.memory)
    }

    #[inline]
    fn list<'a, T>(&'a self, listed: PoolBox<'a, DropValue<T>, M>) -> &'a mut T {
        let listed = PoolBox::leak(listed);
        listed.record.earlier = self.last.get();
        let listed = NonNull::from(listed);
        self.last.set(Some(listed.cast()));
        // SAFETY: the block is this value's until the arena is reset or dropped, which ends the borrow; the record is not
        // a part of what is lent.
        unsafe { &mut (*listed.as_ptr()).value }
    }

    inherent!(stats trim allocated_bytes: self.memory);

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
        struct ContinueOnPanic<'a>(&'a Cell<Option<NonNull<DropRecord>>>);

        impl ContinueOnPanic<'_> {
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

        impl Drop for ContinueOnPanic<'_> {
            fn drop(&mut self) {
                self.run();
            }
        }

        let all = ContinueOnPanic(&self.last);
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

impl<M: Allocator + Reclaim> Reclaim for DropArena<'_, M> {
    fn reset(&mut self) {
        DropArena::reset(self);
    }

    fn trim(&mut self) -> usize {
        self.memory.trim()
    }
}

impl<M: Allocator + Inspect> Inspect for DropArena<'_, M> {
    delegate!(self: self.memory; stats largest_free holes render metrics owns check report);
}
