//! Encodes events to columns.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{CALLERS, COLUMNS, LONG, NAMES, SHAPES, SHORT_SHAPES, SIZES, Shape, THREADS, TIMES, VERBS, Verb};
use crate::file::{
    bytes::{fold, put},
    format::EVENTS_PER_BLOCK,
};

/// Collects events until they fill a block.
pub(crate) struct Encoder {
    columns: [Vec<u8>; COLUMNS],
    /// The number of each shape in this block, in order of appearance.
    known: HashMap<Shape, u32, FixedState>,
    /// The shapes by number, each with the number of its events.
    shapes: Vec<(Shape, u32)>,
    /// The shape number of each event.
    events: Vec<u32>,
    /// The time of the last event.
    time: u64,
    /// The thread of the last `run` events.
    thread: u32,
    run: u64,
}

impl Encoder {
    /// Creates an encoder without events.
    pub(crate) fn new() -> Self {
        Self {
            columns: Default::default(),
            known: HashMap::default(),
            shapes: Vec::new(),
            events: Vec::with_capacity(EVENTS_PER_BLOCK),
            time: 0,
            thread: 0,
            run: 0,
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
        let fresh = self.shapes.len() as u32;
        let number = *self.known.entry(shape).or_insert(fresh);
        if number == fresh {
            self.shapes.push((shape, 0));
        }
        self.shapes[number as usize].1 += 1;
        self.events.push(number);
    }

    /// Returns the columns of the block, and begins the next block in the buffers of `spare`.
    pub(crate) fn take_columns(&mut self, mut spare: [Vec<u8>; COLUMNS]) -> [Vec<u8>; COLUMNS] {
        self.end_run();
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
        std::mem::replace(&mut self.columns, spare)
    }

    /// Returns the order in which shapes are stored: the most frequent ones first, because they get numbers of one
    /// byte. Within both groups, shapes are sorted by caller, so that neighbours are similar.
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
        let (mut caller, mut size) = (0, 0);
        for &number in order {
            let shape = self.shapes[number].0;
            self.columns[VERBS].push(shape.verb.to_byte());
            put(&mut self.columns[CALLERS], fold(shape.caller.wrapping_sub(caller) as i64));
            caller = shape.caller;
            if shape.verb != Verb::Free {
                put(&mut self.columns[SIZES], fold(shape.size.wrapping_sub(size) as i64));
                size = shape.size;
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
    fn put_number(&mut self, column: usize, number: u64) {
        if number < u64::from(LONG) {
            self.columns[column].push(number as u8);
        } else {
            self.columns[column].push(LONG);
            put(&mut self.columns[column + 1], number - u64::from(LONG));
        }
    }
}
