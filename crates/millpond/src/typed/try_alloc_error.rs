//! The error that returns the value for which there was no memory.

use core::{
    error::Error,
    fmt::{self, Debug, Display},
};

use crate::base::AllocError;

/// The error of a failed allocation, together with the value that was to be stored.
///
/// `try_alloc`, `try_insert` and `new_in` return it, so that the value is not lost. [`into_value`](Self::into_value)
/// returns the value. The `?` operator drops the value if the caller returns an [`AllocError`].
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

    /// Returns the reason why the allocation failed.
    pub const fn error(&self) -> AllocError {
        self.error
    }

    /// Returns the value.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// Returns the reason why the allocation failed, and the value.
    #[must_use]
    pub fn into_parts(self) -> (AllocError, T) {
        (self.error, self.value)
    }
}

/// Drops the value and keeps the reason.
impl<T> From<TryAllocError<T>> for AllocError {
    fn from(refused: TryAllocError<T>) -> Self {
        refused.error
    }
}

/// Omits the value, so that `T` need not implement `Debug`.
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
