//! Statistics and heap maps of collections.

use core::ops::Range;

use super::{RETIRED, Slots};
use crate::{
    sync::SlotIndex,
    traits::{Allocator, HeapMapBuilder, Inspect, InvariantError, PoolStats, Report},
};

/// What a slot is used for, as shown in a heap map.
pub(super) enum SlotUse {
    /// Holds a value.
    Occupied,
    /// Is vacant and has held a value before.
    Vacated,
    /// Has never held a value, or not since all values were removed.
    Fresh,
    /// Will never hold a value again.
    Retired,
}

/// Draws a segment whose slots lie at `slots`, `size` bytes each, in a chunk of `memory`.
pub(super) fn paint_segment(
    builder: &mut HeapMapBuilder<'_>,
    segment: usize,
    (memory, slots, size, count): (Range<usize>, Range<usize>, usize, usize),
    used: impl Fn(SlotIndex) -> SlotUse,
) {
    let first = slots.start;
    builder.chunk(memory, slots, Some(size));
    if !builder.has_room() {
        return;
    }
    for offset in 0..count {
        let start = first + offset * size;
        let bytes = start..start + size;
        match used(SlotIndex::start(segment).skip(offset as u32)) {
            SlotUse::Occupied => builder.live(bytes),
            SlotUse::Vacated => {
                builder.live(bytes.clone());
                builder.free(bytes);
            }
            SlotUse::Fresh => builder.fresh(bytes),
            SlotUse::Retired => {}
        }
    }
}

/// Draws a chunk that contains no slots.
pub(super) fn outline(builder: &mut HeapMapBuilder<'_>, memory: Range<usize>) {
    builder.chunks_only(|builder| builder.chunk(memory.clone(), memory, None));
}

/// Reports the collection as a pool of blocks of the size of a value. Memory besides the values is not part of any
/// block.
impl<T, A: Allocator> Inspect for Slots<T, A> {
    /// O(segments), of which there are at most 23.
    fn stats(&self) -> PoolStats {
        let vacated_keys = self.vacated_keys.memory();
        let spans =
            self.table.spans().map(|(memory, _)| memory).chain(self.table.completions()).chain(vacated_keys);
        let live = self.len();
        PoolStats {
            chunks: spans.clone().count(),
            held: spans.map(|memory| memory.len()).sum(),
            live: live * size_of::<T>(),
            free: self.vacant() * size_of::<T>(),
        }
    }

    fn owns(&self, address: *const u8) -> bool {
        let spans = self.table.spans().map(|(memory, _)| memory).chain(self.table.completions());
        spans.chain(self.vacated_keys.memory()).any(|memory| memory.contains(&address.addr()))
    }

    fn check(&self) -> Result<(), InvariantError> {
        Slots::check(self)
    }

    fn largest_free(&self) -> Option<usize> {
        Some(if self.stats().free == 0 { 0 } else { size_of::<T>() })
    }

    fn report(&self) -> Report {
        Report { live_blocks: Some(self.len()), ..Report::default() }
    }

    /// O(slots).
    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        for (segment, (memory, values)) in self.table.spans().enumerate() {
            let chunk = (memory, values, size_of::<T>(), self.table.segment_len(segment));
            paint_segment(builder, segment, chunk, |slot_index| {
                if slot_index >= self.fresh {
                    return SlotUse::Fresh;
                }
                // SAFETY: the segments of all slots below `fresh` exist, and these slots have a generation.
                match unsafe { *self.table.generation(slot_index) } {
                    RETIRED => SlotUse::Retired,
                    odd if odd % 2 == 1 => SlotUse::Occupied,
                    _ => SlotUse::Vacated,
                }
            });
        }
        let beside = self.table.completions().chain(self.vacated_keys.memory());
        beside.for_each(|memory| outline(builder, memory));
    }
}
