//! How a person holds it: typed pools, handles and collections. The only room where `T` and the lifetimes of handles
//! appear; what is cut, and from where, is decided in the rooms on the left.

mod arena;
#[cfg(feature = "alloc")]
mod arenas;
mod boxed;
mod builder;
mod collected;
mod counted;
mod debug;
mod drawing;
mod drop_arena;
mod frames;
mod inherent;
pub mod interop;
mod lend;
mod pool;
#[cfg(doctest)]
mod refused;
mod release;
mod scoped;
mod sequences;
mod slots;
mod thin;
mod try_alloc_error;
mod unsize;
mod unwind;
mod value;
mod watching;

pub use arena::Arena;
#[cfg(feature = "alloc")]
pub use arenas::{ArenaPool, PooledArena};
pub use boxed::{CachedBox, PoolBox, SharedBox};
pub use builder::{Builder, Limited, Unlimited};
pub use counted::{ArcPool, PoolArc, PoolRc, PoolRef, PoolWeak, RcInner, RcPool};
pub use drop_arena::DropArena;
#[cfg(target_has_atomic = "64")]
pub use frames::FrameHandle;
pub use frames::Frames;
pub use pool::{CachedPool, Pool, SharedPool};
pub use slots::{Drain, Key, Slots, SlotsIntoIter, SlotsIter, SlotsIterMut, VacantEntry};
#[cfg(target_has_atomic = "64")]
pub use slots::{Entry, SharedSlots};
pub use thin::{ThinBox, ThinPool};
pub use try_alloc_error::TryAllocError;
pub use unsize::{CoerceUnsize, Unsized, coerce};
pub use watching::Intervals;
#[cfg(feature = "std")]
pub use watching::{DuplicateName, PrometheusText, Publisher, Registry};
