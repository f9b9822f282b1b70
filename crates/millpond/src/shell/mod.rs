//! Shells: each owns a pool and its parent, and decides who may access them.

mod atomic_linear;
mod bulk;
mod cached;
mod debug;
#[cfg(feature = "std")]
pub mod fork;
mod generic;
mod local;
mod lock_free;
mod locked;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
pub mod oom;
mod ops;
mod owned;
mod remote_free;
mod scope;
#[cfg(all(feature = "std", any(unix, windows)))]
pub mod secure;
mod single_size;
mod unwind;

pub use atomic_linear::AtomicLinear;
pub use cached::{CacheConfig, CacheOptions, Cached, Handle};
pub use local::Local;
pub use lock_free::LockFree;
pub use locked::Locked;
pub(crate) use oom::out_of_memory;
pub use owned::Owned;
pub use remote_free::{OwnerHandle, RemoteFree};
pub use scope::Scope;
pub(crate) use scope::ScopeShell;
pub(crate) use single_size::SingleSize;
