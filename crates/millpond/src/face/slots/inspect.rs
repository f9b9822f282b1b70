//! What a collection is used for, in figures and in pictures.

use core::ops::Range;

use super::{RETIRED, Slots};
use crate::{
    share::Place,
    traits::{Allocator, HeapMapBuilder, Inspect, InvariantError, PoolStats, Report},
};

/// A slot, as far as a picture shows it.
pub(super) enum Use {
    /// It holds a value.
    Filled,
    /// It was filled before, and is vacant.
    Vacated,
    /// It was never filled, or not since all were removed.
    Fresh,
    /// It is never filled again.
    Retired,
}

/// Paints a segment whose slots lie at `slots`, `size` bytes each, in a chunk of `memory`.
pub(super) fn paint_segment(
    builder: &mut HeapMapBuilder<'_>,
    segment: usize,
    (memory, slots, size, count): (Range<usize>, Range<usize>, usize, usize),
    used: impl Fn(Place) -> Use,
) {
    let first = slots.start;
    builder.chunk(memory, slots, Some(size));
    if !builder.has_room() {
        return;
    }
    for offset in 0..count {
        let start = first + offset * size;
        let bytes = start..start + size;
        match used(Place::start(segment).ahead(offset as u32)) {
            Use::Filled => builder.live(bytes),
            Use::Vacated => {
                builder.live(bytes.clone());
                builder.free(bytes);
            }
            Use::Fresh => builder.fresh(bytes),
            Use::Retired => {}
        }
    }
}

/// Paints a chunk in which there are no slots.
pub(super) fn outline(builder: &mut HeapMapBuilder<'_>, memory: Range<usize>) {
    builder.chunks_only(|builder| builder.chunk(memory.clone(), memory, None));
}

/// As of a pool of blocks that are as large as a value. What lies beside the values is nobody's block.
impl<T, A: Allocator> Inspect for Slots<T, A> {
    /// O(segments), of which there are 23 at most.
    fn stats(&self) -> PoolStats {
        let vacated = self.vacated.memory();
        let spans =
            self.table.spans().map(|(memory, _)| memory).chain(self.table.completions()).chain(vacated);
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
        spans.chain(self.vacated.memory()).any(|memory| memory.contains(&address.addr()))
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
            let chunk = (memory, values, size_of::<T>(), self.table.length(segment));
            paint_segment(builder, segment, chunk, |place| {
                if place >= self.fresh {
                    return Use::Fresh;
                }
                // SAFETY: the slots below `fresh` have come, and have a generation.
                match unsafe { *self.table.generation(place) } {
                    RETIRED => Use::Retired,
                    odd if odd % 2 == 1 => Use::Filled,
                    _ => Use::Vacated,
                }
            });
        }
        let beside = self.table.completions().chain(self.vacated.memory());
        beside.for_each(|memory| outline(builder, memory));
    }
}
