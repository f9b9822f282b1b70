//! `Debug` for the types of this layer: see [`opaque_debug`].

use super::*;
#[cfg(feature = "alloc")]
use crate::traits::{Inspect, Reclaim};
use crate::{base::opaque_debug, traits::Allocator};

opaque_debug! {
    Arena [M: Allocator] Arena<M>;
    DropArena [M: Allocator] DropArena<'_, M>;
    Frames [const N: usize, M: Allocator] Frames<N, M>;
}

#[cfg(feature = "alloc")]
opaque_debug! {
    ArenaPool [M: Allocator, F] ArenaPool<M, F>;
    PooledArena [M: Allocator + Reclaim + Inspect, F: Fn() -> M] PooledArena<'_, M, F>;
}
