//! The methods of arenas and scopes: allocation of values without destructors.

use core::alloc::Layout;

use crate::{base::AllocError, shell::out_of_memory};

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

/// Implements the methods that allocate values without destructors, given the lifetime of the references and the
/// allocator.
macro_rules! arena_methods {
    ($life:lifetime, |$self:ident| $memory:expr) => {
        /// Puts a value into the arena. If there is no memory, this method ends the program, and so do the others
        /// whose names do not begin with `try_`.
        #[inline]
        pub fn alloc<T: WithoutDestructor<Why>, Why>(&$self, value: T) -> &$life mut T {
            methods::without_destructor::<T>();
            PoolBox::leak(PoolBox::write(PoolBox::uninit_or_oom($memory), value))
        }

        /// Puts a value into the arena, or returns an error if there is no memory.
        ///
        /// # Errors
        ///
        /// Same as [`Allocator::allocate`]. The error contains the value.
        #[inline]
        pub fn try_alloc<T: WithoutDestructor<Why>, Why>(&$self, value: T) -> Result<&$life mut T, TryAllocError<T>> {
            methods::without_destructor::<T>();
            Ok(PoolBox::leak(PoolBox::new_in(value, $memory)?))
        }

        /// Makes a value in place: see [`Pool::alloc_with`](crate::Pool::alloc_with).
        #[inline]
        pub fn alloc_with<T: WithoutDestructor<Why>, Why>(&$self, make: impl FnOnce() -> T) -> &$life mut T {
            methods::without_destructor::<T>();
            PoolBox::leak(PoolBox::write(PoolBox::uninit_or_oom($memory), make()))
        }

        /// Makes a value as [`alloc_with`](Self::alloc_with) does, or returns an error if there is no memory.
        ///
        /// # Errors
        ///
        /// Same as [`Allocator::allocate`]. `make` is not called if there is an error.
        #[inline]
        pub fn try_alloc_with<T: WithoutDestructor<Why>, Why>(&$self, make: impl FnOnce() -> T) -> Result<&$life mut T, AllocError> {
            methods::without_destructor::<T>();
            Ok(PoolBox::leak(PoolBox::write(PoolBox::uninit_in($memory)?, make())))
        }

        /// Copies a slice into the arena.
        #[inline]
        pub fn alloc_slice<T: Copy>(&$self, values: &[T]) -> &$life mut [T] {
            methods::or_oom::<_, T>($self.try_alloc_slice(values), values.len())
        }

        /// Copies a slice into the arena, or returns an error if there is no memory.
        ///
        /// # Errors
        ///
        /// Same as [`Allocator::allocate`].
        #[inline]
        pub fn try_alloc_slice<T: Copy>(&$self, values: &[T]) -> Result<&$life mut [T], AllocError> {
            Ok(PoolBox::leak(PoolBox::copy_in(values, $memory)?))
        }

        /// Collects the values of an iterator into a slice, in place if the iterator knows how many values it has.
        /// Otherwise the slice grows; in a bump arena it grows in place unless something else is allocated meanwhile.
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

        /// Collects the values of an iterator as [`alloc_iter`](Self::alloc_iter) does, or returns an error if there
        /// is no memory.
        ///
        /// # Errors
        ///
        /// Same as [`Allocator::grow`], or [`AllocError::Unsupported`] if the size of the slice overflows.
        pub fn try_alloc_iter<T: WithoutDestructor<Why>, Why>(
            &$self,
            values: impl IntoIterator<Item = T>,
        ) -> Result<&$life mut [T], AllocError> {
            methods::without_destructor::<T>();
            collect(values.into_iter(), $memory, |_: NonNull<[T; 0]>, _| ())
        }

        /// Copies a string into the arena.
        #[inline]
        pub fn alloc_str(&$self, text: &str) -> &$life mut str {
            methods::or_oom::<_, u8>($self.try_alloc_str(text), text.len())
        }

        /// Copies a string into the arena, or returns an error if there is no memory.
        ///
        /// # Errors
        ///
        /// Same as [`Allocator::allocate`].
        #[inline]
        pub fn try_alloc_str(&$self, text: &str) -> Result<&$life mut str, AllocError> {
            Ok(PoolBox::leak(PoolBox::str_in(text, $memory)?))
        }

        /// Formats a string in place, as `format!` does for a `String`.
        ///
        /// ```
        /// let arena = millpond::Arena::new();
        /// let text: &mut str = arena.alloc_fmt(format_args!("{} and {:?}", 1, "two"));
        /// assert_eq!(text, r#"1 and "two""#);
        /// ```
        ///
        /// # Panics
        ///
        /// Panics if an implementation of a formatting trait returns an error.
        pub fn alloc_fmt(&$self, text: core::fmt::Arguments<'_>) -> &$life mut str {
            methods::or_oom::<_, u8>($self.try_alloc_fmt(text), 0)
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
        pub fn try_alloc_fmt(&$self, text: core::fmt::Arguments<'_>) -> Result<&$life mut str, AllocError> {
            format(text, $memory)
        }
    };
}

pub(crate) use arena_methods;
