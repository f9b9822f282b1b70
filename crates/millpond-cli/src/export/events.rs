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
    /// The call stack and the thread that allocated it.
    pub(super) origin: u32,
    pub(super) thread: u32,
}

/// An event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) time: u64,
    pub(super) thread: u32,
    pub(super) shape: Shape,
    /// The block before a resize or free, and after an allocation.
    pub(super) block: Block,
    /// Whether the event before it of the same thread allocated the block.
    is_next: bool,
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

    /// Returns the thread that allocated the block.
    pub(super) fn block_thread(&self) -> Option<u32> {
        self.thread().map(|_| self.block.thread)
    }

    /// Returns whether a block that is freed is temporary: the event before it of the same thread allocated it.
    pub(super) fn is_temporary(&self) -> Option<bool> {
        self.thread().filter(|_| self.shape.verb == Verb::Free).map(|_| self.is_next)
    }
}

/// Passes all events to `visit`, in the second of two passes over a trace.
pub(super) fn each(reader: &mut Reader, visit: impl FnMut(&Event) -> Result<()>) -> Result<()> {
    let (progress, all) = (Progress::new("writing events"), reader.summary().events);
    each_with(reader, |done| progress.at(done, all), visit)
}

/// Does the same, and calls `progress` after each block of events with the number of events so far.
pub(super) fn each_with(
    reader: &mut Reader,
    progress: impl Fn(u64),
    visit: impl FnMut(&Event) -> Result<()>,
) -> Result<()> {
    reader.rewind()?;
    let mut events = Events {
        visit,
        origin: reader.summary().resources.origin(),
        shapes: Vec::new(),
        blocks: Vec::new(),
        latest: Vec::new(),
        born: 0,
        done: 0,
        error: None,
    };
    while reader.visit_block(&mut events)? {
        if let Some(error) = events.error {
            return Err(error);
        }
        progress(events.done);
    }
    Ok(())
}

struct Events<F> {
    visit: F,
    origin: Origin,
    shapes: Vec<Shape>,
    /// The block in each slot.
    blocks: Vec<Block>,
    /// The number of the block that each thread allocated with its last event; 0 if that did something else.
    latest: Vec<u64>,
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

    fn left_out(&mut self, thread: u32) {
        if let Some(latest) = self.latest.get_mut(thread as usize) {
            *latest = 0;
        }
    }

    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        if self.error.is_some() {
            return;
        }
        let (shape, slot) = (self.shapes[shape], slot as usize);
        if let Verb::Allocate { .. } = shape.verb {
            self.born += 1;
            let (size, stack) = (shape.size, shape.stack);
            let block =
                Block { number: self.born, born: time, sized: time, size, stack, origin: stack, thread };
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
        if self.latest.len() <= thread as usize {
            self.latest.resize(thread as usize + 1, 0);
        }
        let allocated = if let Verb::Allocate { .. } = shape.verb { block.number } else { 0 };
        let is_next = std::mem::replace(&mut self.latest[thread as usize], allocated) == block.number;
        self.done += 1;
        let origin = self.origin;
        self.error = (self.visit)(&Event { time, thread, shape, block, is_next, origin }).err();
    }
}
