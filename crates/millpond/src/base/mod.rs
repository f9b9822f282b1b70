//! What every room needs: arithmetic on addresses, the way from an address back to a pointer, atomics, calling back,
//! locks, the error.

pub(crate) mod address;
pub(crate) mod atomic;
mod callback;
mod error;
pub(crate) mod events;
mod fair;
mod spin;
#[cfg(target_has_atomic = "64")]
mod unique;

pub(crate) use callback::without_unwinding;
pub use error::AllocError;
pub use fair::Fair;
#[cfg(all(test, loom))]
pub(crate) use fair::Tickets;
pub use spin::Spin;
#[cfg(target_has_atomic = "64")]
pub(crate) use unique::unique_number;
