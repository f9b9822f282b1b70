//! What every layer needs: address arithmetic, conversion from addresses to pointers, atomics, callbacks, the
//! mutex, the error type.

/// Implements `Debug` for types, whatever their parameters, by printing only the name. The contents of a pool may be
/// long, in use or behind a lock, and its type parameters need not implement `Debug`.
macro_rules! opaque_debug {
    ($($name:ident [$($parameters:tt)*] $type:ty;)+) => {$(
        impl<$($parameters)*> core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )+};
}
pub(crate) use opaque_debug;

/// Implements the unwind safety traits for types. No code that a caller can make panic runs while a value of these
/// types is being changed.
macro_rules! unwind_safe {
    ($([$($parameters:tt)*] $type:ty;)+) => {$(
        impl<$($parameters)*> core::panic::UnwindSafe for $type {}
        impl<$($parameters)*> core::panic::RefUnwindSafe for $type {}
    )+};
}
pub(crate) use unwind_safe;

pub(crate) mod address;
pub(crate) mod atomic;
mod callback;
pub(crate) mod entropy;
mod error;
pub(crate) mod events;
mod mutex;
pub(crate) mod uninit;
#[cfg(target_has_atomic = "64")]
mod unique_id;

pub(crate) use callback::{abort_on_unwind, drop_each};
pub use error::AllocError;
pub(crate) use mutex::{Mutex, MutexGuard, lock_for_fork, reset_after_fork, unlock_after_fork};
#[cfg(target_has_atomic = "64")]
pub(crate) use unique_id::unique_id;
