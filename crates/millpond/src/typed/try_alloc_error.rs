//! The error that returns the value for which there was no room.

use core::{
    error::Error,
    fmt::{self, Debug, Display},
};

use crate::base::AllocError;

/// Why there was no room for a value, and the value.
///
/// What a failed `try_alloc`, `try_insert` or `new_in` returns, so that the value is not lost.
/// [`into_value`](Self::into_value) takes it out; `?` drops it where the caller returns an [`AllocError`].
///
/// ```
/// use millpond::{AllocError, Buffer, Pool};
///
/// let pool = Pool::builder().parent(Buffer::new(&mut [])).build();
/// let job = String::from("a job that must not be lost");
/// let error = pool.try_alloc(job).expect_err("a buffer without bytes");
/// assert_eq!(error.error(), AllocError::Exhausted);
/// assert_eq!(error.into_value(), "a job that must not be lost");
///
/// fn add(pool: &Pool<u32>) -> Result<u32, AllocError> {
///     Ok(*pool.try_alloc(7)?)
/// }
/// # assert_eq!(add(&Pool::new()), Ok(7));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TryAllocError<T> {
    error: AllocError,
    value: T,
}

impl<T> TryAllocError<T> {
    #[inline]
    pub(crate) const fn new(error: AllocError, value: T) -> Self {
        Self { error, value }
    }

    /// Returns why there was no room.
    pub const fn error(&self) -> AllocError {
        self.error
    }

    /// Returns the value.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// Returns why there was no room, and the value.
    #[must_use]
    pub fn into_parts(self) -> (AllocError, T) {
        (self.error, self.value)
    }
}

/// Drops the value.
impl<T> From<TryAllocError<T>> for AllocError {
    fn from(refused: TryAllocError<T>) -> Self {
        refused.error
    }
}

/// Does not show the value, so that `T` need not implement `Debug`.
impl<T> Debug for TryAllocError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryAllocError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T> Display for TryAllocError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.error, f)
    }
}

impl<T> Error for TryAllocError<T> {}
