//! What arenas and scopes lend: values without destructors.

use core::alloc::Layout;

use crate::{base::AllocError, shell::out_of_memory};

/// A value that an arena takes: one without a destructor, because none would run.
///
/// What has one matches several implementations, so that the compiler cannot infer `Why`: that is an error which `cargo check`
/// shows. The compiler can be asked only whether a type itself implements `Drop`. So this refuses `Vec`, `Box`, `Rc`, `File`
/// and all types with an `impl Drop`, and, by name, some of the standard library that have these inside. A type that only
/// *contains* such a one is refused when the program is built, by a constant that is evaluated then.
pub trait WithoutDestructor<Why> {}

/// Why a value is refused.
#[derive(Debug)]
pub struct ItsDestructorWouldNeverRun;

/// Why a value is refused: something in it has a destructor.
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

/// Refuses, at compile time, what has a destructor.
pub(crate) const fn without_destructor<T>() {
    const {
        assert!(
            !core::mem::needs_drop::<T>(),
            "an `Arena` runs no destructors: use a `DropArena`, or wrap the value in `ManuallyDrop`"
        );
    }
}

/// What was lent, or the end of the program.
#[inline]
pub(crate) fn or_oom<R: ?Sized, T>(block: Result<&mut R, AllocError>, values: usize) -> &mut R {
    match block {
        Ok(block) => block,
        Err(error) => out_of_memory(Layout::array::<T>(values).unwrap_or(Layout::new::<T>()), error),
    }
}

/// Implements the methods that lend values without destructors, given how long, and from which allocator.
macro_rules! arena_methods {
    ($life:lifetime, |$self:ident| $memory:expr) => {
        /// Puts a value in. Where there is no memory, this ends the program, as do all of these methods but those that
        /// begin with `try_`.
        #[inline]
        pub fn alloc<T: WithoutDestructor<Why>, Why>(&$self, value: T) -> &$life mut T {
            methods::without_destructor::<T>();
            PoolBox::leak(PoolBox::write(PoolBox::uninit_or_oom($memory), value))
        }

        /// As [`alloc`](Self::alloc), or says why there is no room.
        ///
        /// # Errors
        ///
        /// As [`Allocator::allocate`]; the error returns the value.
        #[inline]
        pub fn try_alloc<T: WithoutDestructor<Why>, Why>(&$self, value: T) -> Result<&$life mut T, TryAllocError<T>> {
            methods::without_destructor::<T>();
            Ok(PoolBox::leak(PoolBox::new_in(value, $memory)?))
        }

        /// Makes a value in its place: see [`Pool::alloc_with`](crate::Pool::alloc_with).
        #[inline]
        pub fn alloc_with<T: WithoutDestructor<Why>, Why>(&$self, make: impl FnOnce() -> T) -> &$life mut T {
            methods::without_destructor::<T>();
            PoolBox::leak(PoolBox::write(PoolBox::uninit_or_oom($memory), make()))
        }

        /// As [`alloc_with`](Self::alloc_with), or says why there is no room.
        ///
        /// # Errors
        ///
        /// As [`Allocator::allocate`]; `make` is not called then.
        #[inline]
        pub fn try_alloc_with<T: WithoutDestructor<Why>, Why>(&$self, make: impl FnOnce() -> T) -> Result<&$life mut T, AllocError> {
            methods::without_destructor::<T>();
            Ok(PoolBox::leak(PoolBox::write(PoolBox::uninit_in($memory)?, make())))
        }

        /// Copies a slice in.
        #[inline]
        pub fn alloc_slice<T: Copy>(&$self, values: &[T]) -> &$life mut [T] {
            methods::or_oom::<_, T>($self.try_alloc_slice(values), values.len())
        }

        /// As [`alloc_slice`](Self::alloc_slice), or says why there is no room.
        ///
        /// # Errors
        ///
        /// As [`Allocator::allocate`].
        #[inline]
        pub fn try_alloc_slice<T: Copy>(&$self, values: &[T]) -> Result<&$life mut [T], AllocError> {
            Ok(PoolBox::leak(PoolBox::copy_in(values, $memory)?))
        }

        /// Makes a slice of what an iterator yields: in its place, if that knows how many values it has. If not, the slice
        /// grows with them, in a bump arena where it is, unless something else is put in meanwhile.
        ///
        /// ```
        /// let arena = millpond::Arena::new();
        /// let squares = arena.alloc_iter((0..4).map(|index| index * index));
        /// let odd = arena.alloc_iter(squares.iter().filter(|square| **square % 2 == 1));
        /// assert_eq!(odd, [&1, &9]);
        /// ```
        pub fn alloc_iter<T: WithoutDestructor<Why>, Why>(&$self, values: impl IntoIterator<Item = T>) -> &$life mut [T] {
            let values = values.into_iter();
            let least = values.size_hint().0;
            methods::or_oom::<_, T>($self.try_alloc_iter(values), least)
        }

        /// As [`alloc_iter`](Self::alloc_iter), or says why there is no room.
        ///
        /// # Errors
        ///
        /// As [`Allocator::grow`], or [`AllocError::Unsupported`] for a slice beyond all memory.
        pub fn try_alloc_iter<T: WithoutDestructor<Why>, Why>(
            &$self,
            values: impl IntoIterator<Item = T>,
        ) -> Result<&$life mut [T], AllocError> {
            methods::without_destructor::<T>();
            collect(values.into_iter(), $memory, |_: NonNull<[T; 0]>, _| ())
        }

        /// Copies a string in.
        #[inline]
        pub fn alloc_str(&$self, text: &str) -> &$life mut str {
            methods::or_oom::<_, u8>($self.try_alloc_str(text), text.len())
        }

        /// As [`alloc_str`](Self::alloc_str), or says why there is no room.
        ///
        /// # Errors
        ///
        /// As [`Allocator::allocate`].
        #[inline]
        pub fn try_alloc_str(&$self, text: &str) -> Result<&$life mut str, AllocError> {
            Ok(PoolBox::leak(PoolBox::str_in(text, $memory)?))
        }

        /// Formats a string in its place: what `format!` is for a `String`.
        ///
        /// ```
        /// let arena = millpond::Arena::new();
        /// let text: &mut str = arena.alloc_fmt(format_args!("{} and {:?}", 1, "two"));
        /// assert_eq!(text, r#"1 and "two""#);
        /// ```
        ///
        /// # Panics
        ///
        /// If an implementation of a formatting trait returns an error.
        pub fn alloc_fmt(&$self, text: core::fmt::Arguments<'_>) -> &$life mut str {
            methods::or_oom::<_, u8>($self.try_alloc_fmt(text), 0)
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
        pub fn try_alloc_fmt(&$self, text: core::fmt::Arguments<'_>) -> Result<&$life mut str, AllocError> {
            format(text, $memory)
        }
    };
}

pub(crate) use arena_methods;
