//! What every room needs: arithmetic on addresses, the way from an address back to a pointer, atomics, the error.

pub(crate) mod address;
pub(crate) mod atomic;
mod error;

pub use error::AllocError;
