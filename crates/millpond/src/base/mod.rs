//! What every room needs: arithmetic on addresses, the way from an address back to a pointer, atomics, calling back,
//! locks, the error.

/// Implements [`RawMutex`](lock_api::RawMutex) for a type around a lock that can be made wrong, for models.
macro_rules! lock_inside {
    ($lock:ident) => {
        // SAFETY: the lock inside keeps the contract.
        unsafe impl lock_api::RawMutex for $lock {
            const INIT: Self = Self(lock_api::RawMutex::INIT);

            type GuardMarker = lock_api::GuardSend;

            #[inline]
            fn lock(&self) {
                self.0.lock()
            }

            #[inline]
            fn try_lock(&self) -> bool {
                self.0.try_lock()
            }

            #[inline]
            unsafe fn unlock(&self) {
                // SAFETY: the caller has locked it.
                unsafe { self.0.unlock() };
            }

            fn is_locked(&self) -> bool {
                self.0.is_locked()
            }
        }
    };
}
use lock_inside;

/// Implements `Debug` for types, whatever their parameters: the name alone. What is in a pool may be long, in use or behind a
/// lock, and its types need not implement `Debug`.
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

/// Says that types are safe to be seen after a panic. Nothing that a caller can make panic runs while one of them is changed.
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
mod error;
pub(crate) mod events;
mod fair;
mod mutex;
#[cfg(feature = "std")]
mod park;
mod spin;
pub(crate) mod uninit;
#[cfg(target_has_atomic = "64")]
mod unique;

pub(crate) use callback::without_unwinding;
pub use error::AllocError;
pub use fair::Fair;
#[cfg(all(test, loom))]
pub(crate) use fair::Tickets;
pub(crate) use mutex::{Mutex, MutexGuard, hold, let_go, renew};
#[cfg(all(test, loom))]
pub(crate) use park::Gate;
#[cfg(feature = "std")]
pub use park::Park;
pub use spin::Spin;
#[cfg(target_has_atomic = "64")]
pub(crate) use unique::unique_number;

/// The lock of a shell that names none: [`Park`] with the feature `std`, else [`Spin`].
#[cfg(feature = "std")]
pub type DefaultLock = Park;
/// The lock of a shell that names none: `Park` with the feature `std`, else [`Spin`].
#[cfg(not(feature = "std"))]
pub type DefaultLock = Spin;
