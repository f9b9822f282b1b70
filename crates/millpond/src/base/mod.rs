//! What every room needs: arithmetic on addresses, the way from an address back to a pointer, atomics, calling back,
//! the error.

pub(crate) mod address;
pub(crate) mod atomic;
mod callback;
mod error;

pub(crate) use callback::without_unwinding;
pub use error::AllocError;
