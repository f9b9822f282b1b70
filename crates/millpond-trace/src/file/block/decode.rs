//! Decodes columns to events. Nothing in the columns is trusted.

use super::{CALLERS, LONG, NAMES, SHAPES, SIZES, Shape, THREADS, TIMES, VERBS, Verb};
use crate::file::{
    Event, Op,
    bytes::{Bytes, unfold},
    slots::Slots,
};

/// Bounds for all events, from the summary.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) slots: u32,
    pub(crate) threads: u32,
}

/// A decoder of blocks to events. Keeps the time, the slots and the number of threads from one block to the next.
pub(crate) struct Decoder {
    bounds: Bounds,
    time: u64,
    threads: u32,
    slots: Slots,
    shapes: Vec<Shape>,
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
        Self { bounds, time: 0, threads: 0, slots: Slots::new(), shapes: Vec::new() }
    }

    /// Returns whether there were as many slots and threads as the summary says.
    pub(crate) fn reached_bounds(&self) -> bool {
        self.slots.used() == self.bounds.slots && self.threads == self.bounds.threads
    }

    /// Decodes the `count` events of the next block and appends them.
    pub(crate) fn decode(
        &mut self,
        columns: &[Vec<u8>],
        count: usize,
        events: &mut Vec<Event>,
    ) -> Result<(), &'static str> {
        if columns[VERBS].len() > count {
            return Err("there are more shapes than events");
        }
        self.take_shapes(columns).ok_or("the table of shapes is unreadable")?;
        let [mut shapes, mut times, mut names] =
            [SHAPES, TIMES, NAMES].map(|column| Numbers::new(columns, column));
        let mut threads = Bytes(&columns[THREADS]);
        let mut left = count as u64;
        events.reserve(count);
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
                let shape = shapes.next().and_then(|number| self.shapes.get(usize::try_from(number).ok()?));
                let Shape { caller, verb, size } = *shape.ok_or("an event has no shape")?;
                let op = self.op(verb, size, &mut names)?;
                events.push(Event { time: self.time, thread, caller, op });
            }
        }
        if threads.is_empty() && [shapes, times, names].iter().all(Numbers::is_empty) {
            Ok(())
        } else {
            Err("a column is longer than its events need")
        }
    }

    /// Decodes the operation of an event, with its slot.
    #[inline]
    fn op(&mut self, verb: Verb, size: u64, names: &mut Numbers<'_>) -> Result<Op, &'static str> {
        if let Verb::Allocate { align, zeroed } = verb {
            let slot =
                self.slots.allocate(self.bounds.slots).ok_or("more blocks are live than in the summary")?;
            return Ok(Op::Allocate { slot, size, align, zeroed });
        }
        let slot =
            names.next().and_then(|name| self.slots.find(name)).ok_or("an event names no live block")?;
        if verb == Verb::Resize {
            self.slots.touch(slot);
            Ok(Op::Resize { slot, size })
        } else {
            self.slots.free(slot);
            Ok(Op::Free { slot })
        }
    }

    /// Reads the table of shapes.
    fn take_shapes(&mut self, columns: &[Vec<u8>]) -> Option<()> {
        let [mut callers, mut sizes] = [CALLERS, SIZES].map(|column| Bytes(&columns[column]));
        let (mut caller, mut last) = (0_u64, 0_u64);
        self.shapes.clear();
        for &byte in &columns[VERBS] {
            let verb = Verb::from_byte(byte)?;
            caller = caller.wrapping_add(unfold(callers.number()?) as u64);
            let size = if verb == Verb::Free {
                0
            } else {
                last = last.wrapping_add(unfold(sizes.number()?) as u64);
                last
            };
            self.shapes.push(Shape { caller, verb, size });
        }
        (callers.is_empty() && sizes.is_empty()).then_some(())
    }
}
