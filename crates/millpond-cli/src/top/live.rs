//! A program that is being recorded.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use foldhash::fast::FixedState;
use millpond_trace::{
    Mark, Tables,
    raw::{CALLERS, Event, Kind, caller_index},
};

use super::{
    Limits, cpu_time,
    model::Model,
    source::{About, Source, State},
};
use crate::record::Follower;

/// Units of events that are read before those of all threads are put in order.
const UNITS: usize = 16;
/// For how long old events are read before the caller can do something else.
const TURN: Duration = Duration::from_millis(200);
/// The interval at which the CPU time is compared with its limit.
const WATCH: Duration = Duration::from_secs(1);
/// The sample is not made smaller than one block in this many to save time: reading the events then takes the most, which
/// fewer blocks would not change.
const FEWEST: u64 = 64;
/// Events older than this, in nanoseconds, are of the past.
const DELAY: u64 = 1_000_000_000;
/// The share of the CPU time that reading events may take; the rest is for names and the screen.
const READING: f64 = 0.75;

/// A program that is being recorded.
pub(crate) struct Live {
    about: About,
    follower: Follower,
    model: Model,
    inbox: Inbox,
    /// The stacks in the tables, for those of the model.
    stacks: Vec<u32>,
    marks: Vec<Mark>,
    /// The time when this was opened, and when events were looked for last.
    opened: Option<u64>,
    looked: u64,
    limits: Limits,
    watch: Watch,
    ended: Option<&'static str>,
}

/// Events that are not counted yet, because those of other threads may come before them.
#[derive(Default)]
struct Inbox {
    waiting: Vec<Waiting>,
    /// Times and addresses of frees that matter only if another thread has an event that was not read yet.
    frees: Vec<(u64, u64)>,
    /// The number in the model of each stack, and the other way round.
    numbers: HashMap<u64, u32, FixedState>,
    callers: Vec<u64>,
    /// The stacks that were used last, by stream and index.
    recent: Vec<Vec<(u64, u32)>>,
}

struct Waiting {
    time: u64,
    address: u64,
    size: u64,
    stack: u32,
    thread: u32,
    kind: Kind,
}

/// CPU time since a moment.
struct Watch {
    since: Instant,
    spent: Duration,
}

impl Inbox {
    /// Takes an event. If it matters for no block that is followed, it is counted at once. `is_alone`: there is one stream.
    #[inline]
    fn take(&mut self, model: &mut Model, stream: usize, event: &Event, time: u64, is_alone: bool) {
        let &Event { address, size, thread, kind, caller, .. } = event;
        let mut stack = 0;
        match kind {
            Kind::Allocate | Kind::AllocateZeroed => {
                stack = self.stack(stream, caller);
                if !model.sample.notices(address, size) && time < model.next_beat() {
                    return model.count(stack, size);
                }
            }
            Kind::Free if !model.sample.may_have(address) => {
                // Another thread may have allocated it, and that event may not have been read yet.
                if !is_alone {
                    self.frees.push((time, address));
                }
                return;
            }
            Kind::Free | Kind::ResizeStart => {}
            Kind::ResizeEnd => {
                stack = self.stack(stream, caller);
                if !model.sample.is_everything() {
                    model.sample.expect(address);
                }
            }
            _ => return,
        }
        self.waiting.push(Waiting { time, address, size, stack, thread, kind });
    }

    /// Returns the number of a stack.
    #[inline]
    fn stack(&mut self, stream: usize, caller: u64) -> u32 {
        if stream >= self.recent.len() {
            self.recent.resize_with(stream + 1, || vec![(u64::MAX, 0); CALLERS]);
        }
        let recent = &mut self.recent[stream][caller_index(caller)];
        if recent.0 != caller {
            let fresh = self.callers.len() as u32;
            let number = *self.numbers.entry(caller).or_insert_with(|| {
                self.callers.push(caller);
                fresh
            });
            *recent = (caller, number);
        }
        recent.1
    }

    /// Makes the sample expect what the waiting events bring.
    fn expect(&self, model: &mut Model) {
        for event in &self.waiting {
            match event.kind {
                Kind::Allocate | Kind::AllocateZeroed => {
                    // Only what it notes is needed.
                    let _ = model.sample.notices(event.address, event.size);
                }
                Kind::ResizeEnd => model.sample.expect(event.address),
                _ => {}
            }
        }
    }

    /// Counts the events up to a moment, before which all events are there.
    fn count(&mut self, model: &mut Model, until: u64, is_alone: bool) {
        if !is_alone {
            let Self { waiting, frees, .. } = self;
            frees.retain(|&(time, address)| {
                let matters = model.sample.may_have(address);
                if matters {
                    let (size, stack, thread) = (0, 0, 0);
                    waiting.push(Waiting { time, address, size, stack, thread, kind: Kind::Free });
                }
                !matters && time > until
            });
            // At the same time, frees come first.
            self.waiting
                .sort_by_key(|event| (event.time, !matches!(event.kind, Kind::Free | Kind::ResizeStart)));
        }
        // What was noticed of one thread is counted at once: its later events are judged by that.
        let is_due = |event: &Waiting| is_alone || event.time <= until;
        let due = self.waiting.partition_point(is_due);
        for event in self.waiting.drain(..due) {
            let Waiting { time, address, size, stack, thread, kind } = event;
            match kind {
                Kind::Free => model.free(time, address),
                Kind::ResizeStart => model.start_resize(time, thread, address),
                Kind::ResizeEnd => model.end_resize(time, thread, address, size, stack),
                _ if model.sample.notices(address, size) => model.allocate(time, address, size, stack),
                _ => {
                    model.pass(time);
                    model.count(stack, size);
                }
            }
        }
        model.pass(until);
    }
}

impl Live {
    /// Attaches to a recording.
    pub(crate) fn attach(target: &Path, limits: Limits) -> Result<Self> {
        let follower = Follower::attach(target)?;
        let about = About {
            command_line: follower.command_line(),
            process: follower.process(),
            is_live: true,
            wall_ns: None,
        };
        Ok(Self {
            about,
            follower,
            model: Model::default(),
            inbox: Inbox::default(),
            stacks: Vec::new(),
            marks: Vec::new(),
            opened: None,
            looked: 0,
            limits,
            watch: Watch { since: Instant::now(), spent: Duration::ZERO },
            ended: None,
        })
    }

    /// Reads events for a while; returns whether all were read.
    fn read(&mut self) -> Result<bool> {
        let begin = Instant::now();
        let Self { follower, model, inbox, .. } = self;
        self.looked = follower.look()?;
        self.opened.get_or_insert(self.looked);
        loop {
            let is_alone = follower.streams() == 1;
            let (until, is_all) = follower.read(UNITS, |stream, event, time| {
                inbox.take(model, stream, event, time, is_alone);
            })?;
            inbox.count(model, until, is_alone);
            if model.followed() > self.limits.blocks {
                model.thin();
                inbox.expect(model);
            } else if model.sample.is_crowded() {
                model.expect();
                inbox.expect(model);
            }
            if is_all || begin.elapsed() > TURN {
                return Ok(is_all);
            }
        }
    }

    /// Follows fewer blocks if reading takes too much of the time. While old events are read, it may take all.
    fn watch(&mut self, spent: Duration, is_behind: bool) {
        self.watch.spent += spent;
        let passed = self.watch.since.elapsed();
        if passed < WATCH && !is_behind {
            return;
        }
        let share = self.watch.spent.as_secs_f64() / passed.as_secs_f64().max(1e-9);
        if !is_behind && share > self.limits.cpu * READING && self.model.sample.factor() < FEWEST {
            self.model.thin();
            self.inbox.expect(&mut self.model);
        }
        self.watch = Watch { since: Instant::now(), spent: Duration::ZERO };
    }
}

impl Source for Live {
    fn about(&self) -> &About {
        &self.about
    }

    fn model(&self) -> &Model {
        &self.model
    }

    fn advance(&mut self) -> Result<State> {
        if let Some(why) = self.ended {
            return Ok(State::Ended(why.into()));
        }
        // Before the events: those that come before the end are there by now.
        let end = self.follower.end();
        let before = cpu_time();
        let is_all = self.read()?;
        let spent = cpu_time().saturating_sub(before);
        let is_behind = !is_all && (end.is_some() || self.model.now() + DELAY < self.looked);
        self.watch(spent, is_behind);
        self.marks = self.follower.marks();
        if is_behind {
            return Ok(State::Behind(self.model.now() as f64 / self.looked.max(1) as f64));
        }
        self.ended = end;
        Ok(end.map_or(State::Current, |why| State::Ended(why.into())))
    }

    fn has_caught_up(&self) -> bool {
        self.opened.is_some_and(|opened| self.model.now() >= opened)
    }

    /// The program goes on.
    fn hold(&mut self, _held: bool) {}

    fn tables(&mut self) -> Result<&Tables> {
        if self.stacks.len() < self.inbox.callers.len() {
            self.follower.stacks(&self.inbox.callers, &mut self.stacks)?;
        }
        Ok(self.follower.tables())
    }

    fn stacks(&self) -> &[u32] {
        &self.stacks
    }

    fn marks(&self) -> &[Mark] {
        &self.marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Program {
        random: u64,
        time: u64,
        /// The live blocks: by address now, the address and the size at first, and the size now.
        live: BTreeMap<u64, (u64, u64, u64)>,
        /// Events of two threads that have not been read.
        unread: [Vec<Event>; 2],
    }

    impl Program {
        fn below(&mut self, bound: u64) -> u64 {
            self.random =
                self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.random >> 33) % bound
        }

        fn log(&mut self, kind: Kind, address: u64, size: u64) {
            self.time += 1;
            let thread = self.below(2) as u32;
            self.log_in(thread, kind, address, size);
        }

        fn log_in(&mut self, thread: u32, kind: Kind, address: u64, size: u64) {
            let ticks = self.time;
            let event =
                Event { ticks, thread, caller: 7, call: 0, kind, address, usable: None, size, align: 0 };
            self.unread[thread as usize].push(event);
        }

        fn size(&mut self) -> u64 {
            let large = self.below(20) == 0;
            1 + self.below(if large { 1 << 20 } else { 1000 })
        }

        /// Allocates, frees or moves a block.
        fn step(&mut self) {
            let address = 64 * (1 + self.below(5000));
            let size = self.size();
            let Some((first, asked, _)) = self.live.remove(&address) else {
                self.log(Kind::Allocate, address, size);
                self.live.insert(address, (address, size, size));
                return;
            };
            let to = 64 * (1 + self.below(5000));
            if self.below(3) == 0 && !self.live.contains_key(&to) {
                let thread = self.below(2) as u32;
                self.time += 1;
                self.log_in(thread, Kind::ResizeStart, address, 0);
                self.time += 1;
                self.log_in(thread, Kind::ResizeEnd, to, size);
                self.live.insert(to, (first, asked, size));
            } else {
                self.log(Kind::Free, address, 0);
            }
        }
    }

    #[test]
    fn a_sample_of_several_threads_has_every_block_that_it_should_have() {
        let mut program = Program { random: 1, time: 0, live: BTreeMap::new(), unread: Default::default() };
        let (mut inbox, mut model) = (Inbox::default(), Model::default());
        for round in 0..400 {
            (0..500).for_each(|_| program.step());
            // Of one thread, all events are read; of the other, some.
            let keep = program.below(program.unread[1].len() as u64 + 1) as usize;
            let later = program.unread[1].split_off(keep);
            let until = later.first().map_or(program.time, |event| event.ticks - 1);
            for stream in [0, 1] {
                for event in std::mem::take(&mut program.unread[stream]) {
                    inbox.take(&mut model, stream, &event, event.ticks, false);
                }
            }
            program.unread[1] = later;
            inbox.count(&mut model, until, false);
            if round % 100 == 50 {
                model.thin();
                inbox.expect(&mut model);
            } else if model.sample.is_crowded() {
                model.expect();
                inbox.expect(&mut model);
            }
        }
        for event in std::mem::take(&mut program.unread[1]) {
            inbox.take(&mut model, 1, &event, event.ticks, false);
        }
        inbox.count(&mut model, program.time, false);
        assert_eq!(model.sample.factor(), 16);
        let sample = &model.sample;
        let expected: u64 = program
            .live
            .values()
            .filter(|&&(first, asked, _)| sample.block(first, 0, asked, 0).is_some())
            .map(|&(.., size)| size)
            .sum();
        let followed: u64 = model.followed_blocks().map(|block| block.size).sum();
        assert_eq!(followed, expected);
        assert!(model.followed() * 4 < program.live.len() && model.followed() > 50, "{}", model.followed());
    }
}
