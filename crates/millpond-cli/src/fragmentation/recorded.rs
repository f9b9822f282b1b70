//! The heap of the recorded program, in a trace with addresses.

use anyhow::Result;
use millpond_trace::{Detail, Reader, Shape, Verb, Visitor};

use super::Moment;
use crate::{replay::Located, terminal::Progress};

/// Reads where the blocks of a trace are.
pub(super) struct Recorded<'a, F> {
    moments: &'a [Moment],
    take: F,
    /// The block in each slot, if it is live; blocks of unknown address lie at 0 and have no usable bytes.
    slots: Vec<Option<Located>>,
    shapes: Vec<Shape>,
    /// The details of the current block of events, and the number of allocations and resizes in it so far.
    details: Vec<Detail>,
    detail: usize,
    events: u64,
}

impl<'a, F: FnMut(&[Located])> Recorded<'a, F> {
    /// Passes the live blocks at each moment to `take`.
    pub(super) fn read(reader: &mut Reader, moments: &'a [Moment], take: F) -> Result<()> {
        let (progress, all) = (Progress::new("reading addresses"), reader.summary().events);
        let slots = vec![None; reader.summary().slots as usize];
        let (shapes, details) = (Vec::new(), Vec::new());
        let mut recorded = Self { moments, take, slots, shapes, details, detail: 0, events: 0 };
        reader.rewind()?;
        while reader.visit_block(&mut recorded)? {
            progress.at(recorded.events, all);
        }
        recorded.pass(u64::MAX);
        Ok(())
    }

    /// Passes on what is live at the moments up to this number of events.
    fn pass(&mut self, events: u64) {
        while let Some((moment, rest)) = self.moments.split_first()
            && moment.events <= events
        {
            self.moments = rest;
            let blocks: Vec<Located> = self.slots.iter().copied().flatten().collect();
            (self.take)(&blocks);
        }
    }

    fn place(&mut self, slot: u32, stack: u32, requested: u64) {
        let Detail { address, usable, .. } = self.details.get(self.detail).copied().unwrap_or_default();
        self.detail += 1;
        let usable = address.map_or(0, |_| usable.unwrap_or(requested));
        let located = Located { stack, requested, address: address.unwrap_or(0), usable };
        self.slots[slot as usize] = Some(located);
    }
}

impl<F: FnMut(&[Located])> Visitor for Recorded<'_, F> {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes.clear();
        self.shapes.extend_from_slice(shapes);
        self.details.clear();
        self.detail = 0;
    }

    fn details(&mut self, details: &[Detail]) {
        self.details.extend_from_slice(details);
    }

    fn event(&mut self, _: u64, _: u32, shape: usize, slot: u32) {
        self.pass(self.events);
        self.events += 1;
        let Shape { verb, stack, size, .. } = self.shapes[shape];
        match verb {
            Verb::Allocate { .. } => self.place(slot, stack, size),
            Verb::Resize => {
                let stack = self.slots[slot as usize].map_or(stack, |block| block.stack);
                self.place(slot, stack, size);
            }
            Verb::Free => self.slots[slot as usize] = None,
        }
    }
}
