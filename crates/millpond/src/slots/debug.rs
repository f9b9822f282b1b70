//! `Debug` for the types of this layer: see [`opaque_debug`].

#[cfg(target_has_atomic = "64")]
use lock_api::RawMutex;

use super::*;
use crate::{base::opaque_debug, traits::Allocator};

opaque_debug! {
    Drain [T, A: Allocator] Drain<'_, T, A>;
    SlotsIntoIter [T, A: Allocator] SlotsIntoIter<T, A>;
    SlotsIter [T, A: Allocator] SlotsIter<'_, T, A>;
    SlotsIterMut [T, A: Allocator] SlotsIterMut<'_, T, A>;
    VacantEntry [T, A: Allocator] VacantEntry<'_, T, A>;
}

#[cfg(target_has_atomic = "64")]
opaque_debug! {
    SharedSlots [T, A: Allocator, L: RawMutex] SharedSlots<T, A, L>;
}

/// Shows the number of values.
impl<T, A: Allocator> core::fmt::Debug for Slots<T, A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Slots").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Shows the value.
#[cfg(target_has_atomic = "64")]
impl<T: core::fmt::Debug, A: Allocator, L: RawMutex> core::fmt::Debug for SlotRef<'_, T, A, L> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}
