//! A finished trace, replayed.

use std::time::Instant;

use anyhow::{Context, Result};
use millpond_trace::{Event, Lack, Mark, Op, Reader, Tables};

use super::{
    model::Model,
    source::{About, Source, State},
};
use crate::{lacking, terminal::Progress, trace};

/// Events that are counted before the caller can do something else.
const SOME: usize = 1 << 20;

/// A trace.
pub(crate) struct Replay {
    about: About,
    reader: Reader,
    model: Model,
    events: Vec<Event>,
    /// The position in `events` of the next one.
    next: usize,
    stacks: Vec<u32>,
    clock: Clock,
    /// Number of marks that have been passed.
    marks: usize,
}

/// The moment that is replayed.
struct Clock {
    /// The moment at which it was started last, and when that was; `None` if it is held.
    from: u64,
    since: Option<Instant>,
    /// Nanoseconds of the recording in one nanosecond; infinite: all at once.
    speed: f64,
    end: u64,
}

impl Clock {
    fn now(&self) -> u64 {
        let passed = self.since.map_or(0.0, |since| since.elapsed().as_nanos() as f64 * self.speed);
        // The cast ends at the largest number.
        self.from.saturating_add(if passed.is_nan() { 0 } else { passed as u64 }).min(self.end)
    }

    fn hold(&mut self, held: bool) {
        if held != self.since.is_none() {
            self.from = self.now();
            self.since = (!held).then(Instant::now);
        }
    }
}

impl Replay {
    /// Reads the tables of a trace, and starts its replay. `until` is the moment at which it ends; by default, its end.
    pub(crate) fn new(mut reader: Reader, speed: f64, until: Option<u64>) -> Result<Self> {
        lacking::require(&reader, "top", &[Lack::Times, Lack::Lifetimes, Lack::Order])?;
        let summary = reader.summary();
        let (all, wall_ns) = (summary.events, summary.wall_ns);
        let progress = Progress::new("reading the trace");
        let (mut events, mut done) = (Vec::new(), 0);
        while reader.read(&mut events).context("cannot read the trace")? {
            done += events.len() as u64;
            progress.at(done, all);
        }
        reader.rewind()?;
        let about = About {
            command_line: trace::command_line(&reader),
            process: reader.start().process,
            is_live: false,
            wall_ns: Some(wall_ns),
        };
        let stacks = (0..reader.tables().stacks.len() as u32).collect();
        let end = until.unwrap_or(wall_ns).min(wall_ns);
        let clock = Clock { from: 0, since: Some(Instant::now()), speed, end };
        events.clear();
        Ok(Self { about, reader, model: Model::default(), events, next: 0, stacks, clock, marks: 0 })
    }

    fn count(&mut self, event: &Event) {
        let (time, model) = (event.time, &mut self.model);
        match event.op {
            Op::Allocate { slot, size, .. } => model.allocate(time, slot.into(), size, event.stack),
            Op::Free { slot } => model.free(time, slot.into()),
            Op::Resize { slot, size } => {
                model.start_resize(time, event.thread, slot.into());
                model.end_resize(time, event.thread, slot.into(), size, event.stack);
            }
        }
    }

    /// Returns the next event up to a moment.
    fn event(&mut self, until: u64) -> Result<Option<Event>> {
        while self.next == self.events.len() {
            self.next = 0;
            if !self.reader.read(&mut self.events)? {
                return Ok(None);
            }
        }
        let event = self.events[self.next];
        let is_due = event.time <= until;
        self.next += usize::from(is_due);
        Ok(is_due.then_some(event))
    }
}

impl Source for Replay {
    fn about(&self) -> &About {
        &self.about
    }

    fn model(&self) -> &Model {
        &self.model
    }

    fn advance(&mut self) -> Result<State> {
        let until = self.clock.now();
        for _ in 0..SOME {
            let Some(event) = self.event(until)? else {
                self.model.pass(until);
                let marks = &self.reader.tables().marks;
                self.marks = marks.partition_point(|mark| mark.time <= until);
                return Ok(match until >= self.clock.end {
                    true => State::Ended("end of the replay".into()),
                    false => State::Current,
                });
            };
            self.count(&event);
        }
        Ok(State::Behind(self.model.now() as f64 / until.max(1) as f64))
    }

    fn has_caught_up(&self) -> bool {
        self.model.now() >= self.clock.end
    }

    fn hold(&mut self, held: bool) {
        self.clock.hold(held);
    }

    fn tables(&mut self) -> Result<&Tables> {
        Ok(self.reader.tables())
    }

    fn stacks(&self) -> &[u32] {
        &self.stacks
    }

    fn marks(&self) -> &[Mark] {
        &self.reader.tables().marks[..self.marks]
    }
}
