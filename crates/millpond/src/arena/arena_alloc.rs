//! The methods of arenas and scopes that allocate values without destructors.

use core::{alloc::Layout, fmt, ptr::NonNull};

use super::collect::{collect, format};
use crate::{
    base::AllocError,
    shell::out_of_memory,
    traits::Allocator,
    typed::{PoolBox, TryAllocError},
};

/// A value that an arena accepts: one without a destructor, because an arena runs none.
///
/// A type with a destructor matches several implementations, so the compiler cannot infer `Why` and reports an error,
/// which `cargo check` shows. The compiler can only be asked whether a type itself implements `Drop`. So this rejects
/// `Vec`, `Box`, `Rc`, `File` and all other types with an `impl Drop`, and, by name, some types of the standard
/// library that contain such types. Any other type that only *contains* a type with a destructor is rejected when the
/// program is built, by a constant evaluated at that time.
pub trait WithoutDestructor<Why> {}

/// Reason for rejecting a value: its type implements `Drop`.
#[derive(Debug)]
pub struct ItsDestructorWouldNeverRun;

/// Reason for rejecting a value: something that it contains has a destructor.
#[derive(Debug)]
pub struct ADestructorInItWouldNeverRun;

impl<T> WithoutDestructor<()> for T {}
#[expect(
    drop_bounds,
    reason = "whether a type implements `Drop` is the question; what it contains is found out later"
)]
impl<T: Drop> WithoutDestructor<ItsDestructorWouldNeverRun> for T {}
#[cfg(feature = "alloc")]
impl WithoutDestructor<ADestructorInItWouldNeverRun> for alloc::string::String {}
#[cfg(feature = "std")]
impl WithoutDestructor<ADestructorInItWouldNeverRun> for std::path::PathBuf {}
#[cfg(feature = "std")]
impl WithoutDestructor<ADestructorInItWouldNeverRun> for std::ffi::OsString {}
#[cfg(feature = "std")]
impl<K, V, S> WithoutDestructor<ADestructorInItWouldNeverRun> for std::collections::HashMap<K, V, S> {}
#[expect(drop_bounds, reason = "as above")]
impl<T: Drop> WithoutDestructor<ADestructorInItWouldNeverRun> for Option<T> {}

/// Rejects types with a destructor at compile time.
pub(crate) const fn without_destructor<T>() {
    const {
        assert!(
            !core::mem::needs_drop::<T>(),
            "an `Arena` runs no destructors: use a `DropArena`, or wrap the value in `ManuallyDrop`"
        );
    }
}

/// Returns the block, or ends the program if there is no memory.
#[inline]
pub(crate) fn or_oom<R: ?Sized, T>(block: Result<&mut R, AllocError>, values: usize) -> &mut R {
    match block {
        Ok(block) => block,
        Err(error) => out_of_memory(Layout::array::<T>(values).unwrap_or(Layout::new::<T>()), error),
    }
}

/// The allocator of an arena or scope, which only the methods of [`ArenaAlloc`] use. If a caller could use that of a
/// scope, it could allocate for the lifetime of the scope while an inner scope is open.
#[derive(Debug)]
pub struct ArenaMemory<'a, M: ?Sized>(&'a M);

impl<'a, M: ?Sized> ArenaMemory<'a, M> {
    #[inline]
    pub(super) fn new(memory: &'a M) -> Self {
        Self(memory)
    }
}

/// Allocation of values without destructors, which live for `'a`: in an [`Arena`](crate::Arena) for as long as it is
/// borrowed, in a [`Scope`](crate::shell::Scope) until the scope ends.
///
/// [`Frames`](crate::Frames) and `PooledArena` dereference to an arena, so they have these methods, too. A type with a
/// destructor is rejected at compile time: see [`Arena`](crate::Arena). The trait is implemented for references, which
/// are `Copy`, so a function can take any of them by value:
///
/// ```
/// use millpond::{Arena, ArenaAlloc, Local, Stack};
///
/// fn squares<'a>(memory: impl ArenaAlloc<'a>, count: u64) -> &'a [u64] {
///     memory.alloc_iter((0..count).map(|number| number * number))
/// }
///
/// let arena = Arena::new();
/// assert_eq!(squares(&arena, 4), [0, 1, 4, 9]);
/// let mut stack = Local::new(Stack::new());
/// assert_eq!(stack.scope(|scope| squares(&*scope, 3).len()), 3);
/// ```
///
/// Only this crate implements the trait.
pub trait ArenaAlloc<'a>: Copy {
    /// The allocator that the memory comes from.
    type Memory: Allocator + ?Sized + 'a;

    /// Returns the memory for the other methods of this trait.
    #[doc(hidden)]
    fn arena_memory(self) -> ArenaMemory<'a, Self::Memory>;

    /// Puts a value into the arena. If there is no memory, this method ends the program, and so do the others
    /// whose names do not begin with `try_`.
    #[inline]
    fn alloc<T: WithoutDestructor<Why>, Why>(self, value: T) -> &'a mut T {
        without_destructor::<T>();
        PoolBox::leak(PoolBox::write(PoolBox::uninit_or_oom(self.arena_memory().0), value))
    }

    /// Puts a value into the arena, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`]. The error contains the value.
    #[inline]
    fn try_alloc<T: WithoutDestructor<Why>, Why>(self, value: T) -> Result<&'a mut T, TryAllocError<T>> {
        without_destructor::<T>();
        Ok(PoolBox::leak(PoolBox::new_in(value, self.arena_memory().0)?))
    }

    /// Makes a value in place: see [`Pool::alloc_with`](crate::Pool::alloc_with).
    #[inline]
    fn alloc_with<T: WithoutDestructor<Why>, Why>(self, make: impl FnOnce() -> T) -> &'a mut T {
        without_destructor::<T>();
        PoolBox::leak(PoolBox::write(PoolBox::uninit_or_oom(self.arena_memory().0), make()))
    }

    /// Makes a value as [`alloc_with`](Self::alloc_with) does, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`]. `make` is not called if there is an error.
    #[inline]
    fn try_alloc_with<T: WithoutDestructor<Why>, Why>(
        self,
        make: impl FnOnce() -> T,
    ) -> Result<&'a mut T, AllocError> {
        without_destructor::<T>();
        Ok(PoolBox::leak(PoolBox::write(PoolBox::uninit_in(self.arena_memory().0)?, make())))
    }

    /// Copies a slice into the arena.
    #[inline]
    fn alloc_slice<T: Copy>(self, values: &[T]) -> &'a mut [T] {
        or_oom::<_, T>(self.try_alloc_slice(values), values.len())
    }

    /// Copies a slice into the arena, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`].
    #[inline]
    fn try_alloc_slice<T: Copy>(self, values: &[T]) -> Result<&'a mut [T], AllocError> {
        Ok(PoolBox::leak(PoolBox::copy_in(values, self.arena_memory().0)?))
    }

    /// Collects the values of an iterator into a slice, in place if the iterator knows how many values it has.
    /// Otherwise the slice grows; in a bump arena it grows in place unless something else is allocated meanwhile.
    ///
    /// ```
    /// use millpond::{Arena, ArenaAlloc};
    ///
    /// let arena = Arena::new();
    /// let squares = arena.alloc_iter((0..4).map(|index| index * index));
    /// let odd = arena.alloc_iter(squares.iter().filter(|square| **square % 2 == 1));
    /// assert_eq!(odd, [&1, &9]);
    /// ```
    fn alloc_iter<T: WithoutDestructor<Why>, Why>(self, values: impl IntoIterator<Item = T>) -> &'a mut [T] {
        let values = values.into_iter();
        let least = values.size_hint().0;
        or_oom::<_, T>(self.try_alloc_iter(values), least)
    }

    /// Collects the values of an iterator as [`alloc_iter`](Self::alloc_iter) does, or returns an error if there
    /// is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::grow`], or [`AllocError::Unsupported`] if the size of the slice overflows.
    fn try_alloc_iter<T: WithoutDestructor<Why>, Why>(
        self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<&'a mut [T], AllocError> {
        without_destructor::<T>();
        collect(values.into_iter(), self.arena_memory().0, |_: NonNull<[T; 0]>, _| ())
    }

    /// Copies a string into the arena.
    #[inline]
    fn alloc_str(self, text: &str) -> &'a mut str {
        or_oom::<_, u8>(self.try_alloc_str(text), text.len())
    }

    /// Copies a string into the arena, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`].
    #[inline]
    fn try_alloc_str(self, text: &str) -> Result<&'a mut str, AllocError> {
        Ok(PoolBox::leak(PoolBox::str_in(text, self.arena_memory().0)?))
    }

    /// Formats a string in place, as `format!` does for a `String`.
    ///
    /// ```
    /// use millpond::{Arena, ArenaAlloc};
    ///
    /// let arena = Arena::new();
    /// let text: &mut str = arena.alloc_fmt(format_args!("{} and {:?}", 1, "two"));
    /// assert_eq!(text, r#"1 and "two""#);
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if an implementation of a formatting trait returns an error.
    fn alloc_fmt(self, text: fmt::Arguments<'_>) -> &'a mut str {
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
    fn try_alloc_fmt(self, text: fmt::Arguments<'_>) -> Result<&'a mut str, AllocError> {
        format(text, self.arena_memory().0)
    }
}
