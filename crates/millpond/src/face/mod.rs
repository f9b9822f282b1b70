//! How a person holds it: typed pools, handles and collections. The only room where `T` and the lifetimes of handles
//! appear; what is cut, and from where, is decided in the rooms on the left.

mod arena;
mod boxed;
mod builder;
mod counted;
mod drawing;
pub mod interop;
mod pool;
mod release;
mod sequences;
mod slots;
mod value;
mod watching;

pub use arena::{Arena, DropArena};
pub use boxed::PoolBox;
pub use builder::{Builder, Ceiling, Limited, Unlimited};
pub use counted::{ArcPool, Countable, PoolArc, PoolRc, PoolRef, PoolWeak, RcPool};
pub use pool::{Pool, SharedPool};
pub use slots::{Drain, Key, Slots};
#[cfg(target_has_atomic = "64")]
pub use slots::{Entry, SharedSlots};
pub use watching::Intervals;
