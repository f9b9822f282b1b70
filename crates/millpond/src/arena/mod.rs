//! Arenas: values that are released all at once.

mod arena_alloc;
mod collect;
mod debug;
mod drop_arena;
mod frames;
mod plain;
#[cfg(feature = "alloc")]
mod pool;
mod scoped;
mod unwind;

pub use arena_alloc::ArenaAlloc;
pub use drop_arena::DropArena;
#[cfg(target_has_atomic = "64")]
pub use frames::FrameHandle;
pub use frames::Frames;
pub use plain::Arena;
#[cfg(feature = "alloc")]
pub use pool::{ArenaPool, PooledArena};
