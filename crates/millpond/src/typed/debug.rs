//! `Debug` for the types of this room: see [`opaque_debug`].

use lock_api::RawMutex;

use super::*;
#[cfg(feature = "alloc")]
use crate::traits::{Inspect, Reclaim};
use crate::{base::opaque_debug, traits::Allocator};

opaque_debug! {
    Arena [M: Allocator] Arena<M>;
    Builder [T, A, C, L] Builder<T, A, C, L>;
    RcInner [C, T: ?Sized] RcInner<C, T>;
    Drain [T, A: Allocator] Drain<'_, T, A>;
    DropArena [M: Allocator] DropArena<'_, M>;
    Frames [const N: usize, M: Allocator] Frames<N, M>;
    Pool [T, M: Allocator] Pool<T, M>;
    SharedPool [T, M: Allocator] SharedPool<T, M>;
    SlotsIntoIter [T, A: Allocator] SlotsIntoIter<T, A>;
    SlotsIter [T, A: Allocator] SlotsIter<'_, T, A>;
    SlotsIterMut [T, A: Allocator] SlotsIterMut<'_, T, A>;
    ThinPool [T, A: Allocator] ThinPool<T, A>;
    VacantEntry [T, A: Allocator] VacantEntry<'_, T, A>;
}

#[cfg(feature = "alloc")]
opaque_debug! {
    ArenaPool [M: Allocator, F] ArenaPool<M, F>;
    PooledArena [M: Allocator + Reclaim + Inspect, F: Fn() -> M] PooledArena<'_, M, F>;
}

#[cfg(target_has_atomic = "64")]
opaque_debug! {
    SharedSlots [T, A: Allocator, L: RawMutex] SharedSlots<T, A, L>;
}

/// How many values there are.
impl<T, A: Allocator> core::fmt::Debug for Slots<T, A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Slots").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The value.
#[cfg(target_has_atomic = "64")]
impl<T: core::fmt::Debug, A: Allocator, L: RawMutex> core::fmt::Debug for SlotRef<'_, T, A, L> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}
