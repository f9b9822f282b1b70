//! The events of a trace one by one, with what is known about their blocks.

use anyhow::Result;
use millpond_trace::{Lack, Origin, Reader, Shape, Verb, Visitor};

use crate::terminal::Progress;

/// A block of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// Counts the blocks of the trace from 1.
    pub(super) number: u64,
    /// When it was allocated, and when it got its size, in nanoseconds since recording began.
    pub(super) born: u64,
    pub(super) sized: u64,
    pub(super) size: u64,
    /// The call stack that gave it its size.
    pub(super) stack: u32,
}

/// An event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) time: u64,
    pub(super) thread: u32,
    pub(super) shape: Shape,
    /// The block before a resize or free, and after an allocation.
    pub(super) block: Block,
    /// Where the trace comes from.
    origin: Origin,
}

/// What tables of events have in common. `None` if it does not apply, or if the trace does not say it.
impl Event {
    pub(super) fn time_ns(&self) -> Option<u64> {
        (!self.origin.has_no(Lack::Times)).then_some(self.time)
    }

    pub(super) fn thread(&self) -> Option<u32> {
        (!self.origin.has_no(Lack::Threads)).then_some(self.thread)
    }

    /// Returns the name of the operation.
    pub(super) fn operation(&self) -> &'static str {
        match self.shape.verb {
            Verb::Allocate { .. } => "allocate",
            Verb::Resize => "resize",
            Verb::Free => "free",
        }
    }

    /// Returns the size of the block: after a resize, and before a free.
    pub(super) fn size(&self) -> u64 {
        if self.shape.verb == Verb::Free { self.block.size } else { self.shape.size }
    }

    /// Returns the size before a resize.
    pub(super) fn old_size(&self) -> Option<u64> {
        (self.shape.verb == Verb::Resize).then_some(self.block.size)
    }

    /// Returns the alignment that was requested, if one was.
    pub(super) fn alignment(&self) -> Option<u32> {
        match self.shape.verb {
            Verb::Allocate { align, .. } => Some(align).filter(|&align| align > 0),
            Verb::Resize | Verb::Free => None,
        }
    }

    /// Returns how long a block lived that is freed.
    pub(super) fn lifetime_ns(&self) -> Option<u64> {
        let is_known = ![Lack::Times, Lack::Lifetimes].iter().any(|&lack| self.origin.has_no(lack));
        (is_known && self.shape.verb == Verb::Free).then(|| self.time - self.block.born)
    }
}

/// Passes all events to `visit`, in the second of two passes over a trace.
pub(super) fn each(reader: &mut Reader, visit: impl FnMut(&Event) -> Result<()>) -> Result<()> {
    reader.rewind()?;
    let (progress, all) = (Progress::new("writing events"), reader.summary().events);
    let mut events = Events {
        visit,
        origin: reader.summary().resources.origin(),
        shapes: Vec::new(),
        blocks: Vec::new(),
        born: 0,
        done: 0,
        error: None,
    };
    while reader.visit_block(&mut events)? {
        if let Some(error) = events.error {
            return Err(error);
        }
        progress.at(events.done, all);
    }
    Ok(())
}

struct Events<F> {
    visit: F,
    origin: Origin,
    shapes: Vec<Shape>,
    /// The block in each slot.
    blocks: Vec<Block>,
    /// Number of blocks and of events so far.
    born: u64,
    done: u64,
    /// The first error.
    error: Option<anyhow::Error>,
}

impl<F: FnMut(&Event) -> Result<()>> Visitor for Events<F> {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes.clear();
        self.shapes.extend_from_slice(shapes);
    }

    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        if self.error.is_some() {
            return;
        }
        let (shape, slot) = (self.shapes[shape], slot as usize);
        if let Verb::Allocate { .. } = shape.verb {
            self.born += 1;
            let (size, stack) = (shape.size, shape.stack);
            let block = Block { number: self.born, born: time, sized: time, size, stack };
            match self.blocks.get_mut(slot) {
                Some(place) => *place = block,
                None => self.blocks.push(block),
            }
        }
        let place = &mut self.blocks[slot];
        let block = *place;
        if shape.verb == Verb::Resize {
            (place.sized, place.size, place.stack) = (time, shape.size, shape.stack);
        }
        self.done += 1;
        let origin = self.origin;
        self.error = (self.visit)(&Event { time, thread, shape, block, origin }).err();
    }
}
