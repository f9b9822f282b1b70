//! Encodes events to columns.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{
    CALLS, COLUMNS, LONG, NAMES, SHAPES, SHORT_SHAPES, SIZES, STACKS, Shape, THREADS, TIMES, VERBS, Verb,
    details::DetailWriter,
};
use crate::file::{
    Call, Detail,
    bytes::{fold, put},
    format::EVENTS_PER_BLOCK,
};

/// A shape in two words, which are hashed faster: the size, and everything else.
type Key = (u64, u64);

fn key(shape: &Shape) -> Key {
    let [verb, call] = [shape.verb.to_byte(), shape.call.to_byte()];
    (shape.size, u64::from(shape.stack) << 16 | u64::from(verb) << 8 | u64::from(call))
}

/// Collects events until they fill a block.
pub(crate) struct Encoder {
    columns: Vec<Vec<u8>>,
    /// The number of each shape in this block, in order of appearance.
    known: HashMap<Key, u32, FixedState>,
    /// The shapes by number, each with the number of its events.
    shapes: Vec<(Shape, u32)>,
    /// The shape number of each event.
    events: Vec<u32>,
    /// The time of the last event.
    time: u64,
    /// The thread of the last `run` events.
    thread: u32,
    run: u64,
    /// Number of allocations and resizes in this block.
    allocations: usize,
    details: DetailWriter,
}

impl Encoder {
    /// Creates an encoder without events.
    pub(crate) fn new() -> Self {
        Self {
            columns: vec![Vec::new(); COLUMNS],
            known: HashMap::default(),
            shapes: Vec::new(),
            events: Vec::with_capacity(EVENTS_PER_BLOCK),
            time: 0,
            thread: 0,
            run: 0,
            allocations: 0,
            details: DetailWriter::default(),
        }
    }

    /// Returns the number of events.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Adds an event; a free or resize has the name of its block. A time before that of the last event is replaced by
    /// it.
    pub(crate) fn push(&mut self, time: u64, thread: u32, shape: Shape, name: Option<u64>) {
        self.put_number(TIMES, time.saturating_sub(self.time));
        self.time = self.time.max(time);
        if thread != self.thread {
            self.end_run();
            self.thread = thread;
        }
        self.run += 1;
        if let Some(name) = name {
            self.put_number(NAMES, name);
        }
        self.allocations += usize::from(shape.verb != Verb::Free);
        let fresh = self.shapes.len() as u32;
        let number = *self.known.entry(key(&shape)).or_insert(fresh);
        if number == fresh {
            self.shapes.push((shape, 0));
        }
        self.shapes[number as usize].1 += 1;
        self.events.push(number);
    }

    /// Adds facts about the last event; returns `false` if that is neither an allocation nor a resize.
    pub(crate) fn detail(&mut self, detail: Detail) -> bool {
        let Some(&number) = self.events.last() else { return false };
        let shape = self.shapes[number as usize].0;
        if shape.verb == Verb::Free {
            return false;
        }
        self.details.push(&mut self.columns, self.allocations - 1, shape.size, detail);
        true
    }

    /// Returns the columns of the block, and begins the next block in the buffers of `spare`.
    pub(crate) fn take_columns(&mut self, mut spare: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        self.end_run();
        self.details.end(&mut self.columns, self.allocations);
        self.allocations = 0;
        let order = self.order();
        let mut places = vec![0; order.len()];
        for (place, &number) in order.iter().enumerate() {
            places[number] = place as u64;
        }
        self.put_shapes(&order);
        for at in 0..self.events.len() {
            self.put_number(SHAPES, places[self.events[at] as usize]);
        }
        self.known.clear();
        self.shapes.clear();
        self.events.clear();
        spare.iter_mut().for_each(Vec::clear);
        spare.resize(COLUMNS, Vec::new());
        std::mem::replace(&mut self.columns, spare)
    }

    /// Returns the order in which shapes are stored: the most frequent ones first, because they get numbers of one
    /// byte. Within both groups, shapes are sorted by stack, so that neighbours are similar.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.shapes.len()).collect();
        order.sort_by_key(|&number| std::cmp::Reverse(self.shapes[number].1));
        let (frequent, others) = order.split_at_mut(SHORT_SHAPES.min(self.shapes.len()));
        for part in [frequent, others] {
            part.sort_by_key(|&number| self.shapes[number].0);
        }
        order
    }

    /// Appends the table of shapes.
    fn put_shapes(&mut self, order: &[usize]) {
        let (mut stack, mut size) = (0, 0);
        let are_plain = self.shapes.iter().all(|(shape, _)| shape.call == Call::default());
        for &number in order {
            let shape = self.shapes[number].0;
            self.columns[VERBS].push(shape.verb.to_byte());
            put(&mut self.columns[STACKS], fold(i64::from(shape.stack) - stack));
            stack = i64::from(shape.stack);
            if shape.verb != Verb::Free {
                put(&mut self.columns[SIZES], fold(shape.size.wrapping_sub(size) as i64));
                size = shape.size;
            }
            if !are_plain {
                self.columns[CALLS].push(shape.call.to_byte());
            }
        }
    }

    /// Appends the run of events of one thread that has ended.
    fn end_run(&mut self) {
        if self.run > 0 {
            put(&mut self.columns[THREADS], u64::from(self.thread));
            put(&mut self.columns[THREADS], self.run);
            self.run = 0;
        }
    }

    /// Appends a number to a column of bytes, or to the one after it.
    #[inline]
    fn put_number(&mut self, column: usize, number: u64) {
        if number < u64::from(LONG) {
            self.columns[column].push(number as u8);
        } else {
            self.columns[column].push(LONG);
            put(&mut self.columns[column + 1], number - u64::from(LONG));
        }
    }
}
