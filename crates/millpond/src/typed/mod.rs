//! Pools of values of one type, and the handles that own the values.

mod boxed;
mod builder;
#[cfg(doctest)]
mod compile_fail;
pub(crate) mod dealloc_on_drop;
mod debug;
mod forward;
mod pool;
mod rc;
mod slices;
mod thin;
mod try_alloc_error;
mod unsize;
mod unwind;

pub use crate::sync::{AtomicRefCount, LocalRefCount, RefCount};
pub use boxed::{CachedBox, PoolBox, SharedBox};
pub use builder::{Builder, Limited, Unlimited};
pub use pool::{CachedPool, Pool, SharedPool};
pub use rc::{ArcPool, PoolArc, PoolRc, PoolRef, PoolWeak, RcInner, RcPool};
pub use thin::{ThinBox, ThinPool};
pub use try_alloc_error::TryAllocError;
pub use unsize::CoerceUnsize;
pub use unsize::{Unsized, coerce};
