//! What every room needs: arithmetic on addresses, the way from an address back to a pointer, atomics, calling back,
//! locks, the error.

/// Implements [`RawMutex`](lock_api::RawMutex) for a type around a lock that can be made wrong, for models.
macro_rules! delegate_raw_mutex {
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
use delegate_raw_mutex;

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
mod mutex;
#[cfg(feature = "std")]
mod parking_lock;
mod spin_lock;
mod ticket_lock;
pub(crate) mod uninit;
#[cfg(target_has_atomic = "64")]
mod unique_id;

pub(crate) use callback::abort_on_unwind;
pub use error::AllocError;
pub(crate) use mutex::{Mutex, MutexGuard, lock_for_fork, reset_after_fork, unlock_after_fork};
#[cfg(feature = "std")]
pub use parking_lock::ParkingLock;
#[cfg(all(test, loom))]
pub(crate) use parking_lock::RawParkingLock;
pub use spin_lock::SpinLock;
#[cfg(all(test, loom))]
pub(crate) use ticket_lock::RawTicketLock;
pub use ticket_lock::TicketLock;
#[cfg(target_has_atomic = "64")]
pub(crate) use unique_id::unique_id;

/// The lock of a shell that names none: [`ParkingLock`] with the feature `std`, else [`SpinLock`].
#[cfg(feature = "std")]
pub type DefaultLock = ParkingLock;
/// The lock of a shell that names none: `ParkingLock` with the feature `std`, else [`SpinLock`].
#[cfg(not(feature = "std"))]
pub type DefaultLock = SpinLock;
