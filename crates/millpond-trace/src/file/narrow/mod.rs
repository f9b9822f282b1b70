//! A trace narrowed to some of its blocks. A first pass decides about each allocation, because the lifetime of a block is
//! known when it is freed; a second one counts what is left. From then on, each block of events is collected, and what
//! is left of it is passed on with the slots that the blocks would have if there were no others.
//!
//! This costs a bit for each allocation of the trace, and nothing if a trace is not narrowed.

mod choose;
mod count;
mod filter;

pub use self::filter::{Filter, Lifetimes};

use self::{
    choose::{Chooser, Chosen},
    count::Counter,
};
use crate::file::{Detail, Reader, Shape, Summary, TraceError, Verb, Visitor};

/// No slot: the block is left out.
const NONE: u32 = u32::MAX;

/// An event in a block of events. Its slot is `NONE` if it is left out.
#[derive(Clone, Copy)]
struct Kept {
    time: u64,
    thread: u32,
    shape: u32,
    slot: u32,
}

/// What a trace is narrowed to, and how far it has been read.
#[derive(Default)]
pub(crate) struct Narrowed {
    chosen: Chosen,
    /// The summary of what is left.
    pub(crate) summary: Summary,
    /// Number of allocations so far, those that are left out included.
    allocations: usize,
    /// For each slot of the whole trace, that of its block in the narrowed one, or `NONE`.
    slots: Vec<u32>,
    /// Slots of the narrowed trace that are free, the one freed last at the end; and the number of all of them.
    free: Vec<u32>,
    used: u32,
    /// The current block of events: its shapes, and those of the events that are left; for each of the former, its place
    /// among the latter, or `NONE`.
    shapes: Vec<Shape>,
    kept_shapes: Vec<Shape>,
    places: Vec<u32>,
    details: Vec<Detail>,
    /// Number of its allocations and resizes so far.
    detailed: usize,
    /// The details of the events that are left.
    kept_details: Vec<Detail>,
    events: Vec<Kept>,
}

impl Narrowed {
    /// Goes back to the first event.
    pub(crate) fn rewind(&mut self) {
        (self.allocations, self.used) = (0, 0);
        self.slots.clear();
        self.free.clear();
    }

    /// Passes on what is left of the current block of events.
    pub(crate) fn pass_on(&mut self, visitor: &mut impl Visitor) {
        visitor.shapes(&self.kept_shapes);
        if !self.details.is_empty() {
            visitor.details(&self.kept_details);
        }
        for event in &self.events {
            match event.slot {
                NONE => visitor.left_out(event.thread),
                slot => visitor.event(event.time, event.thread, event.shape as usize, slot),
            }
        }
    }

    /// Returns the slot of a new block, if it counts.
    fn allocate(&mut self, slot: u32) -> u32 {
        let counts = self.chosen.has(self.allocations);
        self.allocations += 1;
        let narrow = match counts {
            false => NONE,
            true => self.free.pop().unwrap_or_else(|| {
                self.used += 1;
                self.used - 1
            }),
        };
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = narrow,
            None => self.slots.push(narrow),
        }
        narrow
    }

    /// Returns the place of a shape among those that are left.
    fn place(&mut self, shape: usize) -> u32 {
        if self.places[shape] == NONE {
            self.places[shape] = self.kept_shapes.len() as u32;
            self.kept_shapes.push(self.shapes[shape]);
        }
        self.places[shape]
    }
}

impl Visitor for Narrowed {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes.clear();
        self.shapes.extend_from_slice(shapes);
        self.kept_shapes.clear();
        self.places.clear();
        self.places.resize(shapes.len(), NONE);
        self.events.clear();
        self.details.clear();
        self.kept_details.clear();
        self.detailed = 0;
    }

    fn details(&mut self, details: &[Detail]) {
        self.details.extend_from_slice(details);
    }

    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        let verb = self.shapes[shape].verb;
        let slot = match verb {
            Verb::Allocate { .. } => self.allocate(slot),
            Verb::Resize => self.slots[slot as usize],
            Verb::Free => {
                let narrow = self.slots[slot as usize];
                if narrow != NONE {
                    self.free.push(narrow);
                }
                narrow
            }
        };
        if verb != Verb::Free {
            if slot != NONE {
                self.kept_details.extend(self.details.get(self.detailed));
            }
            self.detailed += 1;
        }
        let place = if slot == NONE { 0 } else { self.place(shape) };
        self.events.push(Kept { time, thread, shape: place, slot });
    }
}

impl Reader {
    /// Narrows the trace to the blocks that a filter selects. This reads it twice; `progress` is called after each block
    /// of events with the number of events read so far. Afterwards, the tables are complete, and the next event to be read
    /// is the first.
    ///
    /// The events of other blocks are left out ([`Visitor::left_out`]), blocks have the slots that they would have if there
    /// were no others, and the counts in [`summary`](Self::summary) are those of what is left. Threads and stacks keep
    /// their numbers. A block of events may be left empty. Narrowing again starts from the whole trace.
    pub fn narrow(&mut self, filter: &Filter, mut progress: impl FnMut(u64)) -> Result<(), TraceError> {
        self.set_narrowed(None);
        let whole = self.summary().clone();
        let mut chooser = Chooser::new(filter);
        self.pass(&mut chooser, 0, &mut progress)?;
        let chosen = chooser.finish();
        let narrowed = Narrowed { chosen, summary: whole.clone(), ..Narrowed::default() };
        self.set_narrowed(Some(Box::new(narrowed)));
        let mut counter = Counter::default();
        self.pass(&mut counter, whole.events, &mut progress)?;
        if let Some(narrowed) = self.narrowed_mut() {
            narrowed.summary = counter.finish(&whole);
        }
        self.rewind()
    }

    /// Passes all events to `visitor`, and to `progress` how many there were, plus those `before`.
    fn pass<V: Visitor>(
        &mut self,
        visitor: &mut V,
        before: u64,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), TraceError> {
        self.rewind()?;
        while self.visit_block(visitor)? {
            progress(before + self.events_read());
        }
        Ok(())
    }
}
