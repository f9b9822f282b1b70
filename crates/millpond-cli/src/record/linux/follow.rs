//! Reads a recording that is in progress.

use std::{
    collections::HashMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::Ordering::Relaxed,
};

use anyhow::{Context, Result};
use foldhash::fast::FixedState;
use millpond_trace::{
    Frame, FrameKind, Mark, Module, Tables, TraceError,
    raw::{Control, Event, FromBytes, Header, MAGIC, Note, NoteKind, OuterMark, Reserve, Tail},
};

use super::{
    about, clock::Clock, convert::BuildIds, image::Image, mark, scratch::Scratch, stacks::Nodes,
    stacks::Stacks,
};
use crate::trace;

/// A process image that is being recorded.
pub(crate) struct Follower {
    scratch: Scratch,
    /// Open, because it is deleted when the recording has ended.
    control: File,
    number: u32,
    process: u32,
    /// Later images before this one were looked at: none of them is of the same process.
    checked: u32,
    /// Whether `process` is its number here, and not only in a container.
    is_here: bool,
    started: u64,
    image: Image,
    tail: Tail,
    clock: Clock,
    /// The head of the process image.
    head: Option<File>,
    /// Ticks when events were looked for last.
    looked: u64,
    /// Ticks when the process ended, or this was seen, and why there will be no more events.
    ended: Option<(u64, &'static str)>,
    stacks: Stacks,
    found: Found,
    /// The program's own marks.
    notes: Vec<Note>,
}

/// The tables as far as they are needed.
#[derive(Default)]
struct Found {
    tables: Tables,
    frames: HashMap<Frame, u32, FixedState>,
    build_ids: BuildIds,
    /// The modules that are mapped, with their numbers in the tables.
    mapped: Vec<(Module, u32)>,
}

impl Nodes for Found {
    fn node(&mut self, caller: u32, address: u64, kind: FrameKind) -> Result<u32, TraceError> {
        let mut frame = Frame { address, module: None, kind };
        let at = frame.instruction();
        let module = self.mapped.iter().find(|(module, _)| (module.start..module.end).contains(&at));
        frame.module = module.filter(|_| kind != FrameKind::Cut).map(|&(_, number)| number);
        let fresh = self.frames.len() as u32;
        let number = *self.frames.entry(frame).or_insert(fresh);
        // There is always such a caller.
        Ok(self.tables.stacks.add(caller, number, frame).unwrap_or(0))
    }
}

impl Found {
    /// Notes which modules are mapped now; returns whether one of those before is not any more.
    fn change(&mut self, now: &[Module]) -> bool {
        let before = self.mapped.len();
        self.mapped.retain(|(module, _)| now.contains(module));
        let is_unloaded = self.mapped.len() < before;
        for module in now {
            if !self.mapped.iter().any(|(other, _)| other == module) {
                let number = self.tables.modules.len() as u32;
                let build_id = self.build_ids.of(&module.path);
                self.tables.modules.push(Module { build_id, ..module.clone() });
                self.mapped.push((module.clone(), number));
            }
        }
        is_unloaded
    }
}

impl Follower {
    /// Attaches to the recording of a process, or in a directory: to the last program that the process became.
    pub(crate) fn attach(target: &Path) -> Result<Self> {
        let (directory, process) = mark::find(target)?;
        let scratch = Scratch::open(&directory)?;
        let control = scratch.control_page()?;
        let is_here = process.is_some();
        let process = process.unwrap_or_else(|| control.first.load(Relaxed));
        let mut reserve = Reserve::open(&scratch.reserve()).context("could not read the reserve")?;
        let mut images = (0..control.processes.load(Relaxed)).rev();
        let image = images.find_map(|number| {
            Image::open(scratch.path(), number, &mut reserve).filter(|image| image.process() == process)
        });
        let image = image.with_context(|| {
            format!("process {process} has not allocated anything yet, or cannot be recorded: try again")
        })?;
        let path = scratch.path().join("live/control");
        let file = File::open(&path).with_context(|| format!("could not open {}", path.display()))?;
        let started = image.header.started.load(Relaxed);
        Ok(Self {
            head: File::open(scratch.path().join(format!("live/{}", image.number))).ok(),
            ended: None,
            control: file,
            number: image.number,
            checked: image.number + 1,
            process,
            is_here,
            started,
            tail: Tail::new(scratch.path(), image.number),
            clock: Clock::of(&control),
            looked: started,
            stacks: Stacks::default(),
            found: Found::default(),
            notes: Vec::new(),
            image,
            scratch,
        })
    }

    /// Returns program and arguments, on one line.
    pub(crate) fn command_line(&self) -> String {
        let arguments = self.image.arguments.iter().skip(1).map(|argument| trace::printable(argument));
        [self.image.name()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
    }

    /// Returns the process number.
    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    /// Returns the nanoseconds from the start of the recording to a time in ticks.
    #[inline]
    pub(crate) fn time(&self, ticks: u64) -> u64 {
        self.clock.nanoseconds(ticks.saturating_sub(self.started))
    }

    /// Looks for what was recorded since the last call; returns the time of this one.
    pub(crate) fn look(&mut self) -> Result<u64> {
        // Before anything is read: what happened until now is visible by then.
        self.looked = self.ended.map_or_else(millpond_record::ticks, |(ticks, _)| ticks);
        if self.time(self.looked) < CALIBRATED
            && let Some(control) = self.control()
        {
            self.clock = Clock::of(&control);
        }
        self.tail.look().context("could not read the recorder's files")?;
        Ok(self.time(self.looked))
    }

    /// Passes events of at most `units` units to `visit`, with their streams and their times. Returns the time up to which
    /// events are complete, and whether these are all.
    pub(crate) fn read(
        &mut self,
        units: usize,
        mut visit: impl FnMut(usize, &Event, u64),
    ) -> Result<(u64, bool)> {
        let (clock, started) = (&self.clock, self.started);
        let time = |ticks: u64| clock.nanoseconds(ticks.saturating_sub(started));
        let left = self.tail.read(units, |stream, event| visit(stream, event, time(event.ticks)));
        let left = left.context("could not read the recorder's files, or the program damaged them")?;
        self.notes.extend(self.tail.take_notes().into_iter().filter(|note| note.kind == NoteKind::Mark));
        Ok((self.time(left.unwrap_or(self.looked).min(self.looked)), left.is_none()))
    }

    /// Returns the number of streams so far.
    pub(crate) fn streams(&self) -> usize {
        self.tail.streams()
    }

    fn control(&self) -> Option<Control> {
        let mut page = [0; size_of::<Control>()];
        self.control.read_exact_at(&mut page, 0).ok()?;
        Control::from_bytes(&page)
    }

    /// Returns why there will be no more events; `None` if there may be.
    pub(crate) fn end(&mut self) -> Option<&'static str> {
        if let Some((_, why)) = self.ended {
            return Some(why);
        }
        let why = self.why_ended()?;
        let exit = self.head.as_ref().and_then(head_in).map_or(0, |head| head.ended.load(Relaxed));
        let ticks = if exit == 0 { millpond_record::ticks() } else { exit };
        self.ended = Some((ticks, why));
        Some(why)
    }

    fn why_ended(&mut self) -> Option<&'static str> {
        let control = self.control()?;
        let mut newer = false;
        for number in self.checked..control.processes.load(Relaxed) {
            if let Some(process) = self.process_of(number) {
                self.checked = number + 1;
                newer |= process == self.process;
            }
        }
        let is_gone = || {
            let status = fs::read_to_string(format!("/proc/{}/stat", self.process)).unwrap_or_default();
            let state = status.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
            state.is_none_or(|state| matches!(state, 'Z' | 'X'))
        };
        match () {
            () if newer => Some("the process has become another program: start top again to watch that"),
            () if control.stop.load(Relaxed) != 0 => Some("the recording has ended"),
            () if self.is_here && is_gone() => Some("the process has ended"),
            () => None,
        }
    }

    /// Returns the process of an image.
    fn process_of(&self, number: u32) -> Option<u32> {
        let file = File::open(self.scratch.path().join(format!("live/{number}"))).ok()?;
        head_in(&file).map(|head| head.process.load(Relaxed))
    }

    /// Returns the marks so far, in time order.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let bytes = fs::read(self.scratch.path().join("marks")).unwrap_or_default();
        let outer = OuterMark::all(&bytes).filter(|mark| mark.ticks >= self.started);
        let outer = outer.map(|mark| (mark.ticks, about::text(&mark.name)));
        let own = self.notes.iter().map(|note| (note.ticks, about::text(&note.text)));
        let marks = own.chain(outer).map(|(ticks, name)| Mark { time: self.time(ticks), name });
        let mut marks: Vec<_> = marks.collect();
        marks.sort_by_key(|mark| mark.time);
        marks
    }

    /// Appends to `known` the numbers in the tables of the stacks for the callers of events that it lacks.
    pub(crate) fn stacks(&mut self, callers: &[u64], known: &mut Vec<u32>) -> Result<()> {
        // When the recording has ended, its files are deleted: then stacks that are new have no names.
        let reserve = Reserve::open(&self.scratch.reserve());
        let image =
            reserve.ok().and_then(|mut reserve| Image::open(self.scratch.path(), self.number, &mut reserve));
        if let Some(image) = image {
            let now = image.changes.last().map_or(&image.modules, |(_, modules)| modules);
            if self.found.change(now) {
                self.stacks.forget();
            }
            self.stacks.extend(image.nodes()?);
        }
        for &caller in &callers[known.len()..] {
            known.push(self.stacks.of(caller, &mut self.found)?);
        }
        Ok(())
    }

    /// Returns the tables, with the stacks that were asked for.
    pub(crate) fn tables(&self) -> &Tables {
        &self.found.tables
    }
}

/// From this age of a recording on, the length of a tick is known well enough, in nanoseconds.
const CALIBRATED: u64 = 2_000_000_000;

/// Returns the head of a process image in its file, if it is complete.
fn head_in(file: &File) -> Option<Header> {
    let mut bytes = [0; size_of::<Header>()];
    file.read_exact_at(&mut bytes, 0).ok()?;
    Header::from_bytes(&bytes).filter(|header| header.magic.load(Relaxed) == MAGIC)
}
