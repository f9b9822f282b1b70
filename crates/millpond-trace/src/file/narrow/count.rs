//! The second pass: the summary of the blocks that count.

use crate::file::{Shape, Summary, Verb, Visitor};

/// Counts events as a writer does.
#[derive(Default)]
pub(super) struct Counter {
    shapes: Vec<(Verb, u64)>,
    /// The sizes of the live blocks by slot.
    sizes: Vec<u64>,
    live_bytes: u64,
    counted: Summary,
}

impl Counter {
    /// Returns a summary with the counts replaced by those of the events so far.
    pub(super) fn finish(self, summary: &Summary) -> Summary {
        let Summary { events, allocations, frees, resizes, requested, peak_bytes, peak_blocks, .. } =
            self.counted;
        let (slots, live_at_end) = (self.sizes.len() as u32, allocations - resizes - frees);
        Summary {
            events,
            allocations,
            frees,
            resizes,
            requested,
            peak_bytes,
            peak_blocks,
            slots,
            live_at_end,
            ..summary.clone()
        }
    }

    fn grow(&mut self, size: u64) {
        let counted = &mut self.counted;
        counted.allocations += 1;
        counted.requested = counted.requested.saturating_add(size);
        self.live_bytes = self.live_bytes.saturating_add(size);
        if self.live_bytes > counted.peak_bytes {
            counted.peak_bytes = self.live_bytes;
            counted.peak_blocks = counted.allocations - counted.resizes - counted.frees;
        }
    }
}

impl Visitor for Counter {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes.clear();
        self.shapes.extend(shapes.iter().map(|shape| (shape.verb, shape.size)));
    }

    fn event(&mut self, _: u64, _: u32, shape: usize, slot: u32) {
        let ((verb, size), slot) = (self.shapes[shape], slot as usize);
        self.counted.events += 1;
        match verb {
            Verb::Allocate { .. } => {
                match self.sizes.get_mut(slot) {
                    Some(place) => *place = size,
                    None => self.sizes.push(size),
                }
                self.grow(size);
            }
            Verb::Resize => {
                let before = std::mem::replace(&mut self.sizes[slot], size);
                self.live_bytes = self.live_bytes.saturating_sub(before);
                self.counted.resizes += 1;
                self.grow(size);
            }
            Verb::Free => {
                self.live_bytes = self.live_bytes.saturating_sub(self.sizes[slot]);
                self.counted.frees += 1;
            }
        }
    }
}
