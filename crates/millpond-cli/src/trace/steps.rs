//! Passes the steps of a trace on, one block of events at a time.

use anyhow::Result;
use millpond_trace::{Reader, Shape, Visitor};

use super::{Step, step::TooLarge};
use crate::terminal::Progress;

/// Where a step was called.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) thread: u32,
    /// The call stack, by its number.
    pub(crate) stack: u32,
}

/// Passes each step to a function, with its caller.
pub(crate) struct Steps<F> {
    take: F,
    /// The stacks and steps of the current block of events, without their slots.
    shapes: Vec<(u32, Step)>,
    /// Number of steps passed on.
    done: u64,
    error: Option<TooLarge>,
}

impl<F: FnMut(Caller, Step)> Steps<F> {
    /// Passes steps to `take`.
    pub(crate) fn new(take: F) -> Self {
        Self { take, shapes: Vec::new(), done: 0, error: None }
    }

    /// Passes on the steps of the next block of events. Returns `false` after the last.
    pub(crate) fn block(&mut self, reader: &mut Reader) -> Result<bool> {
        let is_block = reader.visit_block(self)?;
        match self.error.take() {
            Some(error) => Err(error.into()),
            None => Ok(is_block),
        }
    }

    /// Returns the number of steps passed on.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Passes on all steps of a trace, and shows the progress of `what`.
    pub(crate) fn all(reader: &mut Reader, what: &'static str, take: F) -> Result<()> {
        let (progress, all) = (Progress::new(what), reader.summary().events);
        let mut steps = Self::new(take);
        reader.rewind()?;
        while steps.block(reader)? {
            progress.at(steps.done, all);
        }
        Ok(())
    }
}

impl<F: FnMut(Caller, Step)> Visitor for Steps<F> {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes.clear();
        let step = |shape: &Shape| Ok((shape.stack, Step::new(shape.op(0))?));
        match shapes.iter().map(step).collect() {
            Ok(shapes) => self.shapes = shapes,
            Err(error) => self.error = Some(error),
        }
    }

    #[inline]
    fn event(&mut self, _: u64, thread: u32, shape: usize, slot: u32) {
        // There are no shapes after an error.
        if let Some(&(stack, step)) = self.shapes.get(shape) {
            self.done += 1;
            (self.take)(Caller { thread, stack }, Step { slot, ..step });
        }
    }
}
