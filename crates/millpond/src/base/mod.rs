//! What every layer needs: address arithmetic, conversion from addresses to pointers, atomics, callbacks, locks, the
//! error type.

/// Implements [`RawMutex`](lock_api::RawMutex) for a type around a lock that has broken variants for models.
macro_rules! delegate_raw_mutex {
    ($lock:ident) => {
        // SAFETY: the inner lock upholds the contract.
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

/// The default lock of shells: [`ParkingLock`] with the feature `std`, otherwise [`SpinLock`].
#[cfg(feature = "std")]
pub type DefaultLock = ParkingLock;
/// The default lock of shells: `ParkingLock` with the feature `std`, otherwise [`SpinLock`].
#[cfg(not(feature = "std"))]
pub type DefaultLock = SpinLock;
