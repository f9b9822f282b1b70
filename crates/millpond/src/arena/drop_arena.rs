//! Arenas that drop their values.

use core::{
    cell::Cell,
    fmt,
    marker::PhantomData,
    mem::needs_drop,
    ptr::{self, NonNull},
};

use super::{
    arena_alloc::or_oom,
    collect::{collect, format},
};
use crate::{
    base::{AllocError, drop_each},
    pool::Linear,
    shell::Local,
    traits::{Allocator, Inspect, PoolStats, Reclaim, delegate_inspect},
    typed::{PoolBox, TryAllocError},
};

/// An arena that drops its values when it is reset or dropped: the newest first, and those of a slice in order.
///
/// A value with a destructor takes two more words, and a slice of such values three. References in values must
/// outlive the arena (`'d`), so the values cannot refer to one another. If they have to, use an
/// [`Arena`](crate::Arena).
///
/// If a destructor panics, all other values are still dropped, and the panic continues. If a second destructor panics
/// meanwhile, the program aborts, as it does for the elements of a `Vec`.
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
/// The values are dropped on the thread that created them:
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
/// * Following `earlier` from `last` visits one record for each value or slice that is to be dropped, newest first.
///   Each record is the first field of a `DropValue` or a `DropSlice` that is live in `memory` and whose values are
///   valid.
pub struct DropArena<'d, M: Allocator = Local<Linear>> {
    last: Cell<Option<NonNull<DropRecord>>>,
    memory: M,
    /// Makes the type invariant in `'d`, the lifetime of the references in values.
    exactly: PhantomData<Cell<&'d ()>>,
}

/// The destructor of a value or slice, and the next record.
struct DropRecord {
    drop: unsafe fn(NonNull<DropRecord>),
    earlier: Option<NonNull<DropRecord>>,
}

/// A single value with its record.
#[repr(C)]
struct DropValue<T> {
    record: DropRecord,
    value: T,
}

impl<T> DropValue<T> {
    /// Creates a value that is not on the list yet.
    fn new(value: T) -> Self {
        Self { record: DropRecord { drop: Self::drop, earlier: None }, value }
    }

    /// Drops the value of a record.
    ///
    /// # Safety
    ///
    /// The record must be that of a `DropValue<T>` with a valid value, which must not be used afterwards.
    unsafe fn drop(record: NonNull<DropRecord>) {
        // SAFETY: the caller guarantees that the value is valid, and `record` is the first field of `Self`.
        unsafe { (&raw mut (*record.cast::<Self>().as_ptr()).value).drop_in_place() };
    }
}

/// The header of a slice. It is aligned like the values, so they begin where it ends.
#[repr(C)]
struct DropSlice<T> {
    record: DropRecord,
    length: usize,
    values: [T; 0],
}

impl<T> DropSlice<T> {
    /// Drops the values of a slice.
    ///
    /// # Safety
    ///
    /// The record must be that of a `DropSlice<T>` in front of `length` valid values, which must not be used
    /// afterwards.
    unsafe fn drop(record: NonNull<DropRecord>) {
        // SAFETY: the caller guarantees that the values are valid, and `record` is the first field of `Self`.
        unsafe {
            let run = record.cast::<Self>();
            let values = run.add(1).cast::<T>().as_ptr();
            ptr::slice_from_raw_parts_mut(values, (*run.as_ptr()).length).drop_in_place();
        }
    }
}

impl DropArena<'_> {
    /// Creates an arena without chunks whose parent is the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_memory(Local::new(Linear::new()))
    }
}

impl<'d, M: Allocator> DropArena<'d, M> {
    /// Creates an arena on any allocator, usually a [`Linear`] one.
    #[must_use]
    pub const fn with_memory(memory: M) -> Self {
        Self { last: Cell::new(None), memory, exactly: PhantomData }
    }

    /// Puts a value into the arena. If there is no memory, this method ends the program, and so do the others whose
    /// names do not begin with `try_`.
    #[inline]
    pub fn alloc<T: 'd>(&self, value: T) -> &mut T {
        self.alloc_with(|| value)
    }

    /// Puts a value into the arena, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`]. The error contains the value.
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

    /// Makes a value in place: see [`Pool::alloc_with`](crate::Pool::alloc_with).
    #[inline]
    pub fn alloc_with<T: 'd>(&self, make: impl FnOnce() -> T) -> &mut T {
        if !needs_drop::<T>() {
            return PoolBox::leak(PoolBox::write(PoolBox::uninit_or_oom(&self.memory), make()));
        }
        self.list(PoolBox::write(PoolBox::uninit_or_oom(&self.memory), DropValue::new(make())))
    }

    /// Makes a value as [`alloc_with`](Self::alloc_with) does, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`]. `make` is not called if there is an error.
    #[inline]
    pub fn try_alloc_with<T: 'd>(&self, make: impl FnOnce() -> T) -> Result<&mut T, AllocError> {
        if !needs_drop::<T>() {
            return Ok(PoolBox::leak(PoolBox::write(PoolBox::uninit_in(&self.memory)?, make())));
        }
        Ok(self.list(PoolBox::write(PoolBox::uninit_in(&self.memory)?, DropValue::new(make()))))
    }

    /// Clones a slice into the arena.
    pub fn alloc_slice<T: Clone + 'd>(&self, values: &[T]) -> &mut [T] {
        self.alloc_iter(values.iter().cloned())
    }

    /// Clones a slice into the arena, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`]. Nothing is cloned if there is an error.
    pub fn try_alloc_slice<T: Clone + 'd>(&self, values: &[T]) -> Result<&mut [T], AllocError> {
        self.try_alloc_iter(values.iter().cloned())
    }

    /// Collects the values of an iterator into a slice: see
    /// [`ArenaAlloc::alloc_iter`](crate::ArenaAlloc::alloc_iter). If the iterator panics, the values that it has yielded
    /// are dropped.
    pub fn alloc_iter<T: 'd>(&self, values: impl IntoIterator<Item = T>) -> &mut [T] {
        let values = values.into_iter();
        let least = values.size_hint().0;
        or_oom::<_, T>(self.try_alloc_iter(values), least)
    }

    /// Collects the values of an iterator as [`alloc_iter`](Self::alloc_iter) does, or returns an error if there is
    /// no memory.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::grow`], or [`AllocError::Unsupported`] if the size of the slice overflows. The values
    /// that the iterator has yielded are dropped if there is an error.
    #[expect(clippy::mut_from_ref, reason = "every call lends another block")]
    pub fn try_alloc_iter<T: 'd>(&self, values: impl IntoIterator<Item = T>) -> Result<&mut [T], AllocError> {
        let values = values.into_iter();
        if !needs_drop::<T>() {
            return collect(values, &self.memory, |_: NonNull<[T; 0]>, _| ());
        }
        collect(values, &self.memory, |run: NonNull<DropSlice<T>>, length| {
            // Read now, because the iterator may have put other values into the arena.
            let record = DropRecord { drop: DropSlice::<T>::drop, earlier: self.last.get() };
            // SAFETY: `run` points to room for a `DropSlice` in front of `length` values.
            unsafe { run.write(DropSlice { record, length, values: [] }) };
            self.last.set(Some(run.cast()));
        })
    }

    /// Copies a string into the arena.
    pub fn alloc_str(&self, text: &str) -> &mut str {
        or_oom::<_, u8>(self.try_alloc_str(text), text.len())
    }

    /// Copies a string into the arena, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`].
    pub fn try_alloc_str(&self, text: &str) -> Result<&mut str, AllocError> {
        Ok(PoolBox::leak(PoolBox::str_in(text, &self.memory)?))
    }

    /// Formats a string in place. Same as [`ArenaAlloc::alloc_fmt`](crate::ArenaAlloc::alloc_fmt).
    ///
    /// # Panics
    ///
    /// Panics if an implementation of a formatting trait returns an error.
    pub fn alloc_fmt(&self, text: fmt::Arguments<'_>) -> &mut str {
        or_oom::<_, u8>(self.try_alloc_fmt(text), 0)
    }

    /// Formats a string as [`alloc_fmt`](Self::alloc_fmt) does, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::grow`], or [`AllocError::Unsupported`] if the size of the string overflows.
    ///
    /// # Panics
    ///
    /// Same as [`alloc_fmt`](Self::alloc_fmt).
    pub fn try_alloc_fmt(&self, text: fmt::Arguments<'_>) -> Result<&mut str, AllocError> {
        format(text, &self.memory)
    }

    #[inline]
    fn list<'a, T>(&'a self, listed: PoolBox<'a, DropValue<T>, M>) -> &'a mut T {
        let listed = PoolBox::leak(listed);
        listed.record.earlier = self.last.get();
        let listed = NonNull::from(listed);
        self.last.set(Some(listed.cast()));
        // SAFETY: the block belongs to this value until the arena is reset or dropped, which ends the borrow. The
        // returned reference does not cover the record.
        unsafe { &mut (*listed.as_ptr()).value }
    }

    /// Returns the bytes held, live and free. Same as [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats
    where
        M: Inspect,
    {
        self.memory.stats()
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
    /// use millpond::DropArena;
    ///
    /// let arena = DropArena::new();
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

    /// Drops every value and keeps every chunk for new ones.
    pub fn reset(&mut self)
    where
        M: Reclaim,
    {
        self.drop_values();
        self.memory.reset();
    }

    /// Drops every value, newest first. If a destructor panics, drops the remaining values as well.
    fn drop_values(&mut self) {
        let last = &self.last;
        drop_each(|| {
            let Some(record) = last.get() else { return false };
            // SAFETY: the record is live and its value valid. It is taken off the list before the value is dropped.
            unsafe {
                last.set((*record.as_ptr()).earlier);
                ((*record.as_ptr()).drop)(record);
            }
            true
        });
    }

    /// Returns the allocator that the memory comes from.
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

delegate_inspect!([M: Allocator + Inspect] DropArena<'_, M>: |this| this.memory);
