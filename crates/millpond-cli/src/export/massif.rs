//! The format of valgrind's massif: live bytes at points in time, at some of them by call stack, the innermost frame
//! first. As there, a block belongs to the call stack that resized it last.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
};

use anyhow::Result;
use foldhash::fast::FixedState;
use millpond_trace::{Reader, Verb};

use super::{
    events,
    recording::{Recording, UNKNOWN, labelled},
};
use crate::trace;

/// Number of points in time, except the peak; each of this many shows call stacks.
const SNAPSHOTS: u64 = 100;
const DETAILED: u64 = 10;
/// Nodes with less than this share of the live bytes are shown together.
const THRESHOLD: f64 = 0.01;
/// Max number of frames of a call stack.
const DEPTH: usize = 30;

/// A point in time.
struct Snapshot {
    time: u64,
    bytes: u64,
    tree: Tree,
}

/// How the live bytes of a snapshot are shown, with those of each call stack.
enum Tree {
    Empty,
    Detailed(Vec<(u32, u64)>),
    Peak(Vec<(u32, u64)>),
}

/// The live bytes while events are read.
struct Live {
    /// Of each call stack, and in all.
    stacks: HashMap<u32, u64, FixedState>,
    bytes: u64,
    peak: u64,
    found: bool,
    /// Nanoseconds between snapshots.
    step: u64,
    snapshots: Vec<Snapshot>,
    /// Number of snapshots apart from that of the peak.
    regular: u64,
}

impl Live {
    /// Takes all regular snapshots up to `time`.
    fn advance(&mut self, time: u64) {
        while self.regular < SNAPSHOTS && self.regular * self.step <= time {
            let is_detailed = self.regular % DETAILED == DETAILED - 1;
            let tree = if is_detailed { Tree::Detailed(self.by_stack()) } else { Tree::Empty };
            self.take(self.regular * self.step, tree);
            self.regular += 1;
        }
    }

    fn take(&mut self, time: u64, tree: Tree) {
        self.snapshots.push(Snapshot { time, bytes: self.bytes, tree });
    }

    /// Returns the live bytes of each call stack that has some.
    fn by_stack(&self) -> Vec<(u32, u64)> {
        let mut live: Vec<_> = self
            .stacks
            .iter()
            .map(|(&stack, &bytes)| (stack, bytes))
            .filter(|&(_, bytes)| bytes > 0)
            .collect();
        live.sort_unstable();
        live
    }

    fn see(&mut self, event: &events::Event) {
        self.advance(event.time.saturating_sub(1));
        if event.shape.verb == Verb::Free || event.shape.verb == Verb::Resize {
            let size = event.block.size;
            self.bytes = self.bytes.saturating_sub(size);
            let live = self.stacks.entry(event.block.stack).or_default();
            *live = live.saturating_sub(size);
        }
        if event.shape.verb != Verb::Free {
            let size = event.shape.size;
            self.bytes = self.bytes.saturating_add(size);
            let live = self.stacks.entry(event.shape.stack).or_default();
            *live = live.saturating_add(size);
            if !self.found && self.bytes >= self.peak {
                self.found = true;
                self.take(event.time, Tree::Peak(self.by_stack()));
            }
        }
    }
}

pub(super) fn write(reader: &mut Reader, recording: &Recording, out: &mut dyn Write) -> Result<()> {
    let timeline = &recording.analysis.timeline;
    let wall = reader.summary().wall_ns.max((timeline.bins.len() as u64 - 1).saturating_mul(timeline.width));
    let mut live = Live {
        stacks: HashMap::default(),
        bytes: 0,
        peak: reader.summary().peak_bytes,
        found: false,
        step: wall / SNAPSHOTS + 1,
        snapshots: Vec::new(),
        regular: 0,
    };
    let mut end = wall;
    events::each(reader, |event| {
        end = end.max(event.time);
        live.see(event);
        Ok(())
    })?;
    live.advance(end);
    live.take(end, Tree::Detailed(live.by_stack()));
    writeln!(out, "desc: recorded by millpond {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "cmd: {}", plain(&trace::command_line(reader)))?;
    writeln!(out, "time_unit: ms")?;
    for (number, snapshot) in live.snapshots.iter().enumerate() {
        writeln!(out, "#-----------\nsnapshot={number}\n#-----------")?;
        writeln!(out, "time={:.6}", snapshot.time as f64 / 1e6)?;
        writeln!(out, "mem_heap_B={}\nmem_heap_extra_B=0\nmem_stacks_B=0", snapshot.bytes)?;
        let (word, live) = match &snapshot.tree {
            Tree::Empty => ("empty", None),
            Tree::Detailed(live) => ("detailed", Some(live)),
            Tree::Peak(live) => ("peak", Some(live)),
        };
        writeln!(out, "heap_tree={word}")?;
        if let Some(live) = live {
            let stacks: Vec<_> =
                live.iter().map(|&(stack, bytes)| (frames(reader, recording, stack), bytes)).collect();
            let title = "(heap allocation functions) malloc/new/new[], --alloc-fns, etc.".to_owned();
            let all: Vec<_> = stacks.iter().map(|(frames, bytes)| (frames.as_slice(), *bytes)).collect();
            let least = (snapshot.bytes as f64 * THRESHOLD) as u64;
            let writer = TreeWriter { reader, recording, least };
            writer.node(out, 0, snapshot.bytes, &title, &all)?;
        }
    }
    Ok(())
}

/// A function of a frame: the frame, and the function's position in it.
type Place = (u32, u32);
/// Functions from some depth on, with live bytes.
type Rest<'a> = (&'a [Place], u64);

/// Returns the functions in a stack, innermost first.
fn frames(reader: &Reader, recording: &Recording, stack: u32) -> Vec<Place> {
    let frames = recording.names.frames_in(&reader.tables().stacks, stack);
    let places =
        frames.flat_map(|frame| (0..recording.names.of(frame).len() as u32).map(move |at| (frame, at)));
    places.take(DEPTH).collect()
}

/// Returns a text without the character at which comments begin.
fn plain(text: &str) -> String {
    text.replace('#', " ")
}

struct TreeWriter<'a> {
    reader: &'a Reader,
    recording: &'a Recording,
    /// The least bytes of a node that is shown by itself.
    least: u64,
}

impl TreeWriter<'_> {
    /// Writes a node and those below it: its callers.
    fn node(
        &self,
        out: &mut dyn Write,
        depth: usize,
        bytes: u64,
        title: &str,
        stacks: &[Rest<'_>],
    ) -> Result<()> {
        let mut callers: BTreeMap<Option<Place>, (u64, Vec<Rest<'_>>)> = BTreeMap::new();
        for &(frames, bytes) in stacks {
            let Some((&first, rest)) = frames.split_first() else {
                // A stack that ends here needs no line, unless nothing is known about it.
                if depth == 0 {
                    let unknown = callers.entry(None).or_default();
                    unknown.0 += bytes;
                }
                continue;
            };
            let caller = callers.entry(Some(first)).or_default();
            caller.0 += bytes;
            caller.1.push((rest, bytes));
        }
        let mut callers: Vec<_> = callers.into_iter().collect();
        callers.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
        let shown = callers.iter().take_while(|(_, (bytes, _))| *bytes >= self.least).count();
        let others: u64 = callers[shown..].iter().map(|(_, (bytes, _))| bytes).sum();
        let hidden = callers.len() - shown;
        let children = shown + usize::from(hidden > 0);
        writeln!(out, "{:depth$}n{children}: {bytes} {title}", "")?;
        for (place, (bytes, stacks)) in &callers[..shown] {
            self.node(out, depth + 1, *bytes, &self.title(*place), stacks)?;
        }
        if hidden > 0 {
            let places = if hidden == 1 { "place" } else { "places" };
            let below = "below massif's threshold (1.00%)";
            writeln!(out, "{:1$}n0: {others} in {hidden} {places}, all {below}", "", depth + 1)?;
        }
        Ok(())
    }

    fn title(&self, place: Option<Place>) -> String {
        let Some((frame, at)) = place else { return format!("0x0: {UNKNOWN}") };
        let address = self.reader.tables().stacks.frames()[frame as usize].instruction();
        let function = self.recording.names.function(self.recording.names.of(frame)[at as usize]);
        plain(&format!("0x{address:X}: {}", labelled(function)))
    }
}
