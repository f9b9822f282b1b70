//! Decodes columns to events. Nothing in the columns is trusted.

use super::{CALLS, LONG, NAMES, SHAPES, SIZES, STACKS, Shape, THREADS, TIMES, VERBS, Verb, details};
use crate::file::{
    Call, Detail, Visitor,
    bytes::{Bytes, unfold},
    slots::Slots,
};

/// Bounds for all events, from the summary.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) slots: u32,
    pub(crate) threads: u32,
}

/// Finds the stack that a number in the table of shapes means.
pub(crate) trait StackNumbers {
    /// Returns the stack; `None` if there is none.
    fn stack(&mut self, number: u64) -> Option<u32>;
}

/// A decoder of blocks to events. Keeps the time, the slots and the number of threads from one block to the next.
pub(crate) struct Decoder {
    bounds: Bounds,
    time: u64,
    threads: u32,
    slots: Slots,
    shapes: Vec<Shape>,
    details: Vec<Detail>,
}

/// A column of bytes, and the next column with the numbers that do not fit into a byte.
struct Numbers<'a> {
    short: Bytes<'a>,
    long: Bytes<'a>,
}

impl<'a> Numbers<'a> {
    fn new(columns: &'a [Vec<u8>], column: usize) -> Self {
        Self { short: Bytes(&columns[column]), long: Bytes(&columns[column + 1]) }
    }

    #[inline]
    fn next(&mut self) -> Option<u64> {
        match self.short.byte()? {
            LONG => self.long.number()?.checked_add(u64::from(LONG)),
            byte => Some(u64::from(byte)),
        }
    }

    fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty()
    }
}

impl Decoder {
    /// Creates a decoder for the beginning of a trace.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, time: 0, threads: 0, slots: Slots::new(), shapes: Vec::new(), details: Vec::new() }
    }

    /// Returns whether there were as many slots and threads as the summary says.
    pub(crate) fn reached_bounds(&self) -> bool {
        self.slots.used() == self.bounds.slots && self.threads == self.bounds.threads
    }

    /// Decodes the `count` events of the next block and passes them on.
    pub(crate) fn decode(
        &mut self,
        columns: &[Vec<u8>],
        count: usize,
        stacks: &mut impl StackNumbers,
        visitor: &mut impl Visitor,
    ) -> Result<(), &'static str> {
        if columns[VERBS].len() > count {
            return Err("there are more shapes than events");
        }
        self.take_shapes(columns, stacks).ok_or("the table of shapes is unreadable")?;
        visitor.shapes(&self.shapes);
        details::take(columns, count, &mut self.details).ok_or("the details are unreadable")?;
        if !self.details.is_empty() {
            self.check_details(columns)?;
            visitor.details(&self.details);
        }
        self.take_events(columns, count, visitor)
    }

    /// Decodes the events themselves.
    fn take_events(
        &mut self,
        columns: &[Vec<u8>],
        count: usize,
        visitor: &mut impl Visitor,
    ) -> Result<(), &'static str> {
        let [mut shapes, mut times, mut names] =
            [SHAPES, TIMES, NAMES].map(|column| Numbers::new(columns, column));
        let mut threads = Bytes(&columns[THREADS]);
        let mut left = count as u64;
        while left > 0 {
            let known = self.bounds.threads.min(self.threads.saturating_add(1));
            let thread = threads.small().filter(|&thread| thread < known);
            let thread = thread.ok_or("a thread is out of turn or beyond those of the summary")?;
            self.threads = self.threads.max(thread + 1);
            let run =
                threads.number().filter(|&run| 0 < run && run <= left).ok_or("a thread's run is too long")?;
            left -= run;
            for _ in 0..run {
                let gap = times.next().ok_or("a time is missing")?;
                self.time = self.time.checked_add(gap).ok_or("a time is too late")?;
                let number = shapes.next().and_then(|number| usize::try_from(number).ok());
                let shape = number.and_then(|number| Some((number, self.shapes.get(number)?.verb)));
                let (number, verb) = shape.ok_or("an event has no shape")?;
                let slot = self.slot(verb, &mut names)?;
                visitor.event(self.time, thread, number, slot);
            }
        }
        if threads.is_empty() && [shapes, times, names].iter().all(Numbers::is_empty) {
            Ok(())
        } else {
            Err("a column is longer than its events need")
        }
    }

    /// Performs the operation of an event on the slots and returns its slot.
    #[inline]
    fn slot(&mut self, verb: Verb, names: &mut Numbers<'_>) -> Result<u32, &'static str> {
        if let Verb::Allocate { .. } = verb {
            return self.slots.allocate(self.bounds.slots).ok_or("more blocks are live than in the summary");
        }
        let slot =
            names.next().and_then(|name| self.slots.find(name)).ok_or("an event names no live block")?;
        if verb == Verb::Resize {
            self.slots.touch(slot);
        } else {
            self.slots.free(slot);
        }
        Ok(slot)
    }

    /// Reads the table of shapes.
    fn take_shapes(&mut self, columns: &[Vec<u8>], stacks: &mut impl StackNumbers) -> Option<()> {
        let [mut numbers, mut sizes] = [STACKS, SIZES].map(|column| Bytes(&columns[column]));
        let calls = columns.get(CALLS).filter(|calls| !calls.is_empty());
        if calls.is_some_and(|calls| calls.len() != columns[VERBS].len()) {
            return None;
        }
        let (mut number, mut last) = (0_u64, 0_u64);
        self.shapes.clear();
        for (at, &byte) in columns[VERBS].iter().enumerate() {
            let verb = Verb::from_byte(byte)?;
            number = number.wrapping_add(unfold(numbers.number()?) as u64);
            let size = if verb == Verb::Free {
                0
            } else {
                last = last.wrapping_add(unfold(sizes.number()?) as u64);
                last
            };
            let call = calls.map_or(Some(Call::default()), |calls| Call::from_byte(calls[at]))?;
            self.shapes.push(Shape { stack: stacks.stack(number)?, verb, call, size });
        }
        (numbers.is_empty() && sizes.is_empty()).then_some(())
    }

    /// Adds the sizes requested to the usable bytes, and checks that there is a detail for each allocation and resize.
    fn check_details(&mut self, columns: &[Vec<u8>]) -> Result<(), &'static str> {
        let what = "the details do not fit the events";
        let mut numbers = Numbers::new(columns, SHAPES);
        let mut details = self.details.iter_mut();
        while let Some(number) = numbers.next() {
            let shape = usize::try_from(number).ok().and_then(|number| self.shapes.get(number));
            let shape = shape.ok_or("an event has no shape")?;
            if shape.verb != Verb::Free {
                let detail = details.next().ok_or(what)?;
                detail.usable =
                    detail.usable.map(|more| shape.size.checked_add(more).ok_or(what)).transpose()?;
            }
        }
        if details.next().is_none() { Ok(()) } else { Err(what) }
    }
}
