//! A block of events as columns of bytes, and back.

use std::collections::HashMap;

use crate::{
    Event, Op,
    bytes::{Bytes, fold, put, unfold},
    format::{EVENTS_PER_BLOCK, TICK},
    slots::Slots,
};

/// Columns of a block: callers, shapes, shape of each event, times, threads, slots.
pub(crate) const COLUMNS: usize = 6;

/// What events have in common: everything but time, thread and slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    verb: Verb,
    caller: u64,
    size: u64,
}

/// The operation of a shape. As a byte: free, resize, then allocate and allocate zeroed for each alignment.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Verb {
    Free,
    Resize,
    Allocate { align: u32, zeroed: bool },
}

impl Verb {
    fn to_byte(self) -> u8 {
        match self {
            Self::Free => 0,
            Self::Resize => 1,
            Self::Allocate { align, zeroed } => {
                let power = if align == 0 { 0 } else { align.trailing_zeros() as u8 + 1 };
                2 + 2 * power + u8::from(zeroed)
            }
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Free,
            1 => Self::Resize,
            _ => {
                let power = (byte - 2) / 2;
                let align = if power == 0 { 0 } else { 1_u32.checked_shl(u32::from(power) - 1)? };
                Self::Allocate { align, zeroed: byte % 2 == 1 }
            }
        })
    }
}

/// What carries over from one block to the next, on both sides.
#[derive(Default)]
pub(crate) struct Carry {
    tick: u64,
    slot: u32,
}

/// Collects events until they fill a block.
pub(crate) struct Encoder {
    carry: Carry,
    known: HashMap<Shape, u32>,
    /// Every shape of the block and how many events have it.
    shapes: Vec<(Shape, u32)>,
    /// The shape of each event.
    events: Vec<u32>,
    thread: u32,
    run: u64,
    columns: Vec<Vec<u8>>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self {
            carry: Carry::default(),
            known: HashMap::new(),
            shapes: Vec::new(),
            events: Vec::with_capacity(EVENTS_PER_BLOCK),
            thread: 0,
            run: 0,
            columns: vec![Vec::new(); COLUMNS],
        }
    }

    /// Events collected.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Adds an event. A time before that of the last event is taken as that.
    pub(crate) fn push(&mut self, event: &Event) {
        let tick = (event.time / TICK).max(self.carry.tick);
        put(&mut self.columns[3], tick - self.carry.tick);
        self.carry.tick = tick;

        if event.thread != self.thread || self.run == 0 {
            self.end_run();
            self.thread = event.thread;
        }
        self.run += 1;

        let (verb, size, slot) = match event.op {
            Op::Allocate { size, align, zeroed, slot } => {
                self.carry.slot = slot;
                (Verb::Allocate { align, zeroed }, size, None)
            }
            Op::Free { slot } => (Verb::Free, 0, Some(slot)),
            Op::Resize { slot, size } => (Verb::Resize, size, Some(slot)),
        };
        if let Some(slot) = slot {
            put(&mut self.columns[5], fold(i64::from(slot) - i64::from(self.carry.slot)));
            self.carry.slot = slot;
        }
        let shape = Shape { verb, caller: event.caller, size };
        let fresh = self.shapes.len() as u32;
        let index = *self.known.entry(shape).or_insert(fresh);
        if index == fresh {
            self.shapes.push((shape, 0));
        }
        self.shapes[index as usize].1 += 1;
        self.events.push(index);
    }

    /// Writes down the run of events of one thread that has ended.
    fn end_run(&mut self) {
        if self.run > 0 {
            put(&mut self.columns[4], u64::from(self.thread));
            put(&mut self.columns[4], self.run);
            self.run = 0;
        }
    }

    /// The columns of the block.
    pub(crate) fn columns(&mut self) -> &[Vec<u8>] {
        self.end_run();
        let mut callers: Vec<u64> = self.shapes.iter().map(|(shape, _)| shape.caller).collect();
        callers.sort_unstable();
        callers.dedup();
        let mut before = 0;
        for &caller in &callers {
            put(&mut self.columns[0], caller - before);
            before = caller;
        }
        let mut order: Vec<u32> = (0..self.shapes.len() as u32).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(self.shapes[index as usize].1));
        let mut rank = vec![0; order.len()];
        for (place, &index) in order.iter().enumerate() {
            rank[index as usize] = place as u64;
            let shape = self.shapes[index as usize].0;
            self.columns[1].push(shape.verb.to_byte());
            put(&mut self.columns[1], callers.binary_search(&shape.caller).unwrap_or_default() as u64);
            if shape.verb != Verb::Free {
                put(&mut self.columns[1], shape.size);
            }
        }
        for &index in &self.events {
            put(&mut self.columns[2], rank[index as usize]);
        }
        &self.columns
    }

    /// Begins the next block.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.shapes.clear();
        self.events.clear();
        for column in &mut self.columns {
            column.clear();
        }
    }
}

/// What a block must keep to besides its own form.
pub(crate) struct Bounds {
    pub(crate) slots: u32,
    pub(crate) threads: u32,
}

/// Turns the columns of a block into its events.
pub(crate) fn decode(
    columns: &[Vec<u8>],
    count: usize,
    bounds: &Bounds,
    carry: &mut Carry,
    slots: &mut Slots,
    events: &mut Vec<Event>,
) -> Result<(), &'static str> {
    let shapes = decode_shapes(Bytes(&columns[0]), Bytes(&columns[1])).ok_or("a shape is unreadable")?;
    let [mut ids, mut times, mut threads, mut references] =
        [2, 3, 4, 5].map(|column| Bytes(&columns[column]));
    let (mut thread, mut run) = (0, 0);
    for _ in 0..count {
        if run == 0 {
            thread =
                threads.small().filter(|&thread| thread < bounds.threads).ok_or("a thread is unknown")?;
            run = threads.number().filter(|&run| run > 0).ok_or("a thread's run is missing")?;
        }
        run -= 1;
        let delta = times.number().ok_or("a time is missing")?;
        carry.tick = carry
            .tick
            .checked_add(delta)
            .filter(|&tick| tick <= u64::MAX / TICK)
            .ok_or("a time is too late")?;
        let id = ids.number().ok_or("an event is missing")?;
        let shape =
            usize::try_from(id).ok().and_then(|id| shapes.get(id)).ok_or("an event's shape is unknown")?;
        let op = match shape.verb {
            Verb::Allocate { align, zeroed } => {
                let slot =
                    slots.allocate(bounds.slots).ok_or("more blocks are live than the summary says")?;
                carry.slot = slot;
                Op::Allocate { slot, size: shape.size, align, zeroed }
            }
            verb => {
                let delta = references.number().ok_or("a slot is missing")?;
                let slot =
                    (carry.slot as i64).checked_add(unfold(delta)).and_then(|slot| u32::try_from(slot).ok());
                let slot = slot.filter(|&slot| slots.is_live(slot)).ok_or("a slot is not live")?;
                carry.slot = slot;
                if verb == Verb::Free {
                    slots.free(slot);
                    Op::Free { slot }
                } else {
                    Op::Resize { slot, size: shape.size }
                }
            }
        };
        events.push(Event { time: carry.tick * TICK, thread, caller: shape.caller, op });
    }
    let whole = [ids, times, threads, references].into_iter().all(Bytes::is_empty) && run == 0;
    if whole { Ok(()) } else { Err("a column has more than the events need") }
}

/// Reads the table of shapes.
fn decode_shapes(mut callers: Bytes<'_>, mut bytes: Bytes<'_>) -> Option<Vec<Shape>> {
    let mut table = Vec::new();
    let mut caller = 0_u64;
    while !callers.is_empty() {
        caller = caller.checked_add(callers.number()?)?;
        table.push(caller);
    }
    let mut shapes = Vec::new();
    while !bytes.is_empty() {
        let verb = Verb::from_byte(bytes.byte()?)?;
        let caller = *table.get(usize::try_from(bytes.number()?).ok()?)?;
        let size = if verb == Verb::Free { 0 } else { bytes.number()? };
        shapes.push(Shape { verb, caller, size });
    }
    Some(shapes)
}
