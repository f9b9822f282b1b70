//! Converts what the recorder saw (addresses) into a trace (slots).

use std::{
    cell::RefCell,
    collections::HashMap,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::ExitStatus,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use anyhow::{Context, Result};
use foldhash::fast::FixedState;
use millpond_trace::{
    At, Call, Detail, Ending, Module, Outcome, Resources, Start, Summary, TraceError, Writer,
    raw::{Event, Kind, Note},
};

use super::{about::Outside, clock::Clock, image::Image, inspect, launch, merge::Merge, stacks::Stacks};
use crate::record::blocks::Blocks;

/// What is known at the start of a process image.
pub(super) fn start(image: &Image, clock: &Clock) -> Start {
    Start {
        program: image.program.clone(),
        arguments: image.arguments.clone(),
        process: image.header.process.load(Relaxed),
        parent: image.header.parent.load(Relaxed),
        unix_ns: clock.unix(image.header.started.load(Relaxed)),
    }
}

/// What a reader cannot determine from the events.
pub(super) struct Facts<'a> {
    pub(super) image: &'a Image,
    pub(super) clock: &'a Clock,
    pub(super) outside: &'a Outside,
    /// Why recording stopped before the process did.
    pub(super) stopped: Option<(Ending, String)>,
    /// Whether the trace has the addresses of blocks and their usable sizes.
    pub(super) addresses: bool,
    /// How the process ended, if it was waited for.
    pub(super) status: Option<ExitStatus>,
    pub(super) build_ids: &'a BuildIds,
    /// Is called with the number of events so far, at times.
    pub(super) progress: &'a dyn Fn(u64),
}

/// The build ids of files, by path, as far as they have been read: the processes of a recording share most files.
#[derive(Default)]
pub(super) struct BuildIds(RefCell<HashMap<String, Vec<u8>>>);

impl BuildIds {
    /// Returns the build id of a module, by which its symbols are found later, from the file that was mapped; empty if it
    /// has none. A file that was replaced while the program ran is called `… (deleted)`, so it is not found.
    pub(super) fn of(&self, path: &str) -> Vec<u8> {
        let read = || {
            let id = millpond_symbols::build_id(Path::new(path)).ok().flatten();
            id.map_or_else(Vec::new, |id| id.bytes().to_vec())
        };
        self.0.borrow_mut().entry(path.to_owned()).or_insert_with(read).clone()
    }
}

/// Writes the trace of a process image and returns its summary. If a signal arrives, the trace ends there.
pub(super) fn convert(facts: Facts<'_>, mut events: Merge, out: impl Write) -> Result<Summary> {
    let Facts { image, clock, outside, stopped: mut reason, addresses, status, build_ids, progress } = facts;
    progress(0);
    let header = &image.header;
    let (started, stopped) = (header.started.load(Relaxed), header.stopped.load(Relaxed));
    let what = "could not write the trace";
    let mut writer = Writer::new(out, &start(image, clock)).context(what)?;
    let mut modules = Modules { build_ids, mapped: Vec::new() };
    modules.change(&image.modules, 0, &mut writer).context(what)?;
    let mut changes = image.changes.iter().peekable();
    let mut converter = Converter { addresses, ..Converter::new(writer, image.stacks()?) };
    let mut last = started;
    let mut count = 0_u64;
    while let Some(event) = events.event()? {
        if stopped != 0 && event.ticks > stopped {
            break;
        }
        last = event.ticks;
        let time = clock.nanoseconds(event.ticks.saturating_sub(started));
        while let Some((_, after)) = changes.next_if(|(ticks, _)| *ticks <= event.ticks) {
            modules.change(after, time, &mut converter.writer).context(what)?;
            converter.stacks.forget();
        }
        converter.event(&event, time).context(what)?;
        count += 1;
        if count.is_multiple_of(1 << 16) {
            if launch::interrupted().is_some() {
                let signal = "a signal (Ctrl-C) ended the writing of the trace";
                reason = Some((Ending::Stopped, signal.into()));
                break;
            }
            progress(count);
        }
    }
    let time = |ticks: u64| Some(clock.nanoseconds(ticks.checked_sub(started)?));
    converter.about(outside, image.number, &events.take_notes(), time).context(what)?;
    let ended = header.ended.load(Relaxed);
    let cut = if ended == 0 { Ending::Cut } else { Ending::Exited };
    // A trace that stops early is only as long as its events.
    let end = if reason.is_some() { stopped } else { ended };
    let (ending, reason) = reason.unwrap_or((cut, String::new()));
    let outcome = Outcome {
        wall_ns: clock.nanoseconds(last.max(end).saturating_sub(started)),
        cpu_ns: image.cpu_ns(),
        ending,
        resources: Resources {
            exit_status: status.map(|status| status.into_raw() as u32 as u64),
            ..resources(image, clock, count)
        },
        stopped: reason,
        allocator: inspect::allocator(image, count).unwrap_or_default(),
        served_by: image.malloc.clone(),
        ..converter.counts()
    };
    converter.writer.finish(outcome).context(what)
}

/// The modules of a process, as far as it has been converted.
struct Modules<'a> {
    build_ids: &'a BuildIds,
    /// Those that are mapped, with their numbers in the trace.
    mapped: Vec<(Module, u32)>,
}

impl Modules<'_> {
    /// Notes that these are mapped now.
    fn change<W: Write>(
        &mut self,
        now: &[Module],
        time: u64,
        writer: &mut Writer<W>,
    ) -> Result<(), TraceError> {
        for (_, number) in self.mapped.extract_if(.., |(module, _)| !now.contains(module)) {
            writer.unload(number, time)?;
        }
        for module in now {
            if !self.mapped.iter().any(|(other, _)| other == module) {
                let number = writer.module(Module {
                    build_id: self.build_ids.of(&module.path),
                    loaded: time,
                    ..module.clone()
                })?;
                self.mapped.push((module.clone(), number));
            }
        }
        Ok(())
    }
}

/// Returns what the process used, and the CPU time that recording took in it: the cost of an event when many follow
/// each other, as measured at its start, for each event that was `logged`, plus what was measured around everything
/// else.
fn resources(image: &Image, clock: &Clock, logged: u64) -> Resources {
    let header = &image.header;
    let since = |last: &AtomicU64, first: &AtomicU64| last.load(Relaxed).saturating_sub(first.load(Relaxed));
    let known = |bytes: u64| (header.anonymous_first.load(Relaxed) > 0).then_some(bytes);
    let each = image.ticks_per_1024;
    let ticks = u128::from(logged) * u128::from(each) / 1024 + u128::from(header.stack_ticks.load(Relaxed));
    Resources {
        recording_ns: (each != 0).then(|| clock.nanoseconds(ticks as u64) + header.spent.load(Relaxed)),
        anonymous_first: known(header.anonymous_first.load(Relaxed)),
        anonymous_most: known(header.anonymous_most.load(Relaxed)),
        page_faults: Some(since(&header.faults_last, &header.faults_first)),
        system_ns: Some(since(&header.system_last, &header.system_first)),
        exit_status: None,
        origin: None,
    }
}

struct Converter<W: Write> {
    writer: Writer<W>,
    /// Whether addresses and usable sizes are written.
    addresses: bool,
    /// The slots of the live blocks.
    live: Blocks<u32>,
    /// The number of each of the recorder's threads in the trace.
    threads: HashMap<u32, u32, FixedState>,
    stacks: Stacks,
    /// What the writer cannot count.
    outcome: Outcome,
}

impl<W: Write> Converter<W> {
    fn new(writer: Writer<W>, stacks: Stacks) -> Self {
        Self {
            writer,
            addresses: false,
            live: Blocks::default(),
            threads: HashMap::default(),
            stacks,
            outcome: Outcome::default(),
        }
    }

    /// Returns what the writer cannot count.
    fn counts(&self) -> Outcome {
        let (unknown_frees, overlaps) = (self.live.unknown, self.live.overlaps);
        Outcome { unknown_frees, overlaps, ..self.outcome.clone() }
    }

    /// Writes what is known besides the events.
    fn about(
        &mut self,
        outside: &Outside,
        image: u32,
        notes: &[Note],
        time: impl Fn(u64) -> Option<u64>,
    ) -> Result<(), TraceError> {
        for mut thread in outside.threads(image, notes, &time) {
            let fresh = self.threads.len() as u32;
            thread.number = *self.threads.entry(thread.number).or_insert(fresh);
            self.writer.thread(thread);
        }
        for mark in outside.marks(notes, &time) {
            self.writer.mark(&mark)?;
        }
        outside.samples(image, &time).into_iter().try_for_each(|sample| self.writer.sample(sample))
    }

    fn event(&mut self, event: &Event, time: u64) -> Result<(), TraceError> {
        let next = self.threads.len() as u32;
        let thread = *self.threads.entry(event.thread).or_insert(next);
        let call = Call::from_byte(event.call).unwrap_or_default();
        let at = At { time, thread, stack: self.stacks.of(event.caller, &mut self.writer)?, call };
        match event.kind {
            Kind::Allocate | Kind::AllocateZeroed => self.allocate(event, at),
            Kind::Free => self.free(event, at),
            Kind::ResizeStart => {
                self.live.start_move(thread, event.address, time);
                Ok(())
            }
            Kind::ResizeEnd => self.resized(event, at),
            Kind::Failed => {
                self.outcome.failed += 1;
                Ok(())
            }
            // These are no events: the reader does not pass them on.
            Kind::Mark | Kind::Caller | Kind::Extra | Kind::Note | Kind::Text | Kind::Usable => Ok(()),
        }
    }

    fn allocate(&mut self, event: &Event, at: At) -> Result<(), TraceError> {
        self.make_way(event, at)?;
        let zeroed = event.kind == Kind::AllocateZeroed;
        let slot = self.writer.allocate(at, event.size, event.align, zeroed)?;
        self.live.insert(event.address, slot);
        self.detail(event)
    }

    /// Writes the address and the usable size of the block that the last event of the trace allocated or resized.
    fn detail(&mut self, event: &Event) -> Result<(), TraceError> {
        if !self.addresses {
            return Ok(());
        }
        self.writer.detail(Detail { address: Some(event.address), usable: event.usable, weight: None })
    }

    fn free(&mut self, event: &Event, at: At) -> Result<(), TraceError> {
        match self.live.take(event.address, at.time) {
            Some(slot) => self.writer.free(at, slot),
            None => Ok(()),
        }
    }

    fn resized(&mut self, event: &Event, at: At) -> Result<(), TraceError> {
        let Some(before) = self.live.end_move(at.thread) else { return Ok(()) };
        let failed = event.address == 0 && event.size != 0;
        match before.block {
            _ if failed => {
                self.outcome.failed += 1;
                if let Some(slot) = before.block {
                    self.live.insert(before.address, slot);
                }
            }
            Some(slot) if event.address == 0 => self.writer.free(at, slot)?,
            Some(slot) => {
                self.make_way(event, at)?;
                self.writer.resize(at, slot, event.size)?;
                self.live.insert(event.address, slot);
                self.detail(event)?;
            }
            None if event.address == 0 => {}
            None => self.allocate(event, at)?,
        }
        Ok(())
    }

    /// Handles a block that appears where another is considered live: that one must have been freed.
    fn make_way(&mut self, event: &Event, at: At) -> Result<(), TraceError> {
        match self.live.make_way(event.address, at.time) {
            Some(slot) => self.writer.free(at, slot),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millpond_trace::{Op, Reader};

    /// One event: thread, kind, address, size.
    type Step = (u32, Kind, u64, u64);

    /// Writes a trace of these events, one microsecond apart; returns it with what the writer cannot count.
    fn trace(steps: &[Step]) -> (Vec<Op>, Outcome) {
        let mut file = Vec::new();
        let mut converter =
            Converter::new(Writer::new(&mut file, &Start::default()).unwrap(), Stacks::default());
        for (at, &(thread, kind, address, size)) in steps.iter().enumerate() {
            let event =
                Event { ticks: 0, thread, caller: 7, call: 0, kind, address, usable: None, size, align: 0 };
            converter.event(&event, at as u64 * 1000).unwrap();
        }
        let outcome = converter.counts();
        converter.writer.finish(outcome.clone()).unwrap();
        let mut reader = Reader::from_bytes(file).unwrap();
        let (mut ops, mut events) = (Vec::new(), Vec::new());
        while reader.read(&mut events).unwrap() {
            ops.extend(events.iter().map(|event| event.op));
        }
        (ops, outcome)
    }

    const fn allocate(slot: u32, size: u64) -> Op {
        Op::Allocate { slot, size, align: 0, zeroed: false }
    }

    #[test]
    fn a_moved_block_keeps_its_slot_though_another_takes_its_address() {
        let (ops, outcome) = trace(&[
            (1, Kind::Allocate, 0x10, 8),
            (1, Kind::ResizeStart, 0x10, 0),
            (2, Kind::Allocate, 0x10, 9),
            (1, Kind::ResizeEnd, 0x20, 80),
            (1, Kind::Free, 0x20, 0),
            (2, Kind::Free, 0x10, 0),
        ]);
        let resized = Op::Resize { slot: 0, size: 80 };
        let expected = [allocate(0, 8), allocate(1, 9), resized, Op::Free { slot: 0 }, Op::Free { slot: 1 }];
        assert_eq!(ops, expected);
        assert_eq!(outcome, Outcome::default());
    }

    #[test]
    fn a_resize_that_fails_leaves_the_block_and_one_to_nothing_frees_it() {
        let (ops, outcome) = trace(&[
            (0, Kind::Allocate, 0x10, 8),
            (0, Kind::ResizeStart, 0x10, 0),
            (0, Kind::ResizeEnd, 0, 1 << 60),
            (0, Kind::ResizeStart, 0x10, 0),
            (0, Kind::ResizeEnd, 0, 0),
            (0, Kind::Failed, 0, 5),
        ]);
        assert_eq!(ops, [allocate(0, 8), Op::Free { slot: 0 }]);
        assert_eq!((outcome.failed, outcome.unknown_frees), (2, 0));
    }

    #[test]
    fn what_was_never_seen_allocated_is_counted() {
        let (ops, outcome) = trace(&[
            (0, Kind::Free, 0x10, 0),
            (0, Kind::ResizeStart, 0x20, 0),
            (0, Kind::ResizeEnd, 0x30, 8),
            (0, Kind::Free, 0x30, 0),
        ]);
        assert_eq!(ops, [allocate(0, 8), Op::Free { slot: 0 }]);
        assert_eq!(outcome.unknown_frees, 2);
    }

    #[test]
    fn a_free_that_comes_a_little_late_is_put_in_its_place() {
        let early = [(0, Kind::Allocate, 0x10, 8), (1, Kind::Allocate, 0x10, 9), (0, Kind::Free, 0x10, 0)];
        let (ops, outcome) = trace(&[&early[..], &[(1, Kind::Free, 0x10, 0)]].concat());
        assert_eq!(ops, [allocate(0, 8), Op::Free { slot: 0 }, allocate(0, 9), Op::Free { slot: 0 }]);
        assert_eq!(outcome, Outcome::default());
    }

    #[test]
    fn a_free_that_never_came_is_counted() {
        let wait = [(2, Kind::Failed, 0, 0); 20];
        let overlap = [(0, Kind::Allocate, 0x10, 8), (1, Kind::Allocate, 0x10, 9)];
        let (ops, outcome) = trace(&[&overlap[..], &wait, &[(1, Kind::Free, 0x10, 0)]].concat());
        assert_eq!(ops, [allocate(0, 8), Op::Free { slot: 0 }, allocate(0, 9), Op::Free { slot: 0 }]);
        assert_eq!((outcome.overlaps, outcome.unknown_frees), (1, 0));
    }

    #[test]
    fn threads_are_numbered_as_they_appear() {
        let mut converter =
            Converter::new(Writer::new(Vec::new(), &Start::default()).unwrap(), Stacks::default());
        for thread in [7, 3, 7, 0] {
            let event = Event {
                ticks: 0,
                thread,
                caller: 0,
                call: 0,
                kind: Kind::Failed,
                address: 0,
                usable: None,
                size: 0,
                align: 0,
            };
            converter.event(&event, 0).unwrap();
        }
        assert_eq!([7, 3, 0].map(|thread| converter.threads[&thread]), [0, 1, 2]);
    }
}
