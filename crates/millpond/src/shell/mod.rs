//! Who may hold a pool: the shells. Each owns a pool and its parent.

mod allocator;
mod atomic_linear;
mod cached;
mod count;
mod debug;
mod entry;
#[cfg(feature = "std")]
pub mod fork;
mod growth_barrier;
mod line;
mod local;
mod lock_free;
mod locked;
mod many;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
mod numbers;
#[cfg(target_has_atomic = "64")]
mod occupancy;
mod one_size;
mod owned;
mod places;
mod policy;
mod reclaim;
mod remote_free;
mod returned;
mod scope;
#[cfg(target_has_atomic = "64")]
mod segments;
mod shell;
mod unwind;
#[cfg(target_has_atomic = "64")]
mod vacancies;

#[cfg(feature = "std")]
pub use crate::base::ParkingLock;
pub use crate::base::{DefaultLock, SpinLock, TicketLock};
pub use atomic_linear::AtomicLinear;
pub use cached::{Cached, Handle};
pub use count::{AtomicRefCount, Count, LocalRefCount};
pub use local::Local;
pub use lock_free::LockFree;
pub use locked::Locked;
#[cfg(target_has_atomic = "64")]
pub(crate) use occupancy::Occupancy;
pub(crate) use one_size::SingleSize;
pub use owned::Owned;
pub(crate) use places::{MOST_SEGMENTS, Place, length};
pub(crate) use policy::out_of_memory;
pub use policy::{Abort, Fail, OomPolicy, Retry};
pub use remote_free::{OwnerHandle, RemoteFree};
pub use scope::Scope;
pub(crate) use scope::ScopeShell;
#[cfg(target_has_atomic = "64")]
pub(crate) use segments::Segments;
#[cfg(target_has_atomic = "64")]
pub(crate) use vacancies::{FULL, Link, Linked, Vacancies};
