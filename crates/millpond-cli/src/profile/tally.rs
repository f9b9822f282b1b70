//! One pass over a trace that counts by size, thread and time, which the analysis of stacks does not.

use std::collections::HashMap;

use anyhow::Result;
use foldhash::fast::FixedState;
use millpond_trace::{Detail, Mark, Reader, Shape, Verb, Visitor};

use super::heap::{Extent, Heap};

/// How many phases a recording without marks is divided into.
const PARTS: u64 = 10;

/// Allocations of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SizeUse {
    /// The size in bytes.
    pub(crate) size: u64,
    /// Allocations, counting resizes.
    pub(crate) allocations: u64,
    /// Blocks of this size that are live at the end of the recording.
    pub(crate) live_blocks: u64,
    /// Blocks of this size live now, and the most of them at once.
    now: u64,
    pub(crate) most_live: u64,
}

impl SizeUse {
    /// Adds the use of the same size in another process. The most that is live at once is that of one of them.
    pub(super) fn add(&mut self, other: &Self) {
        self.allocations += other.allocations;
        self.live_blocks += other.live_blocks;
        self.most_live = self.most_live.max(other.most_live);
    }
}

/// What a thread did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ThreadUse {
    /// Allocations, counting resizes, and bytes requested by them.
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    /// Blocks freed.
    pub(crate) frees: u64,
    /// Frees and resizes of blocks that another thread had allocated, or resized last.
    pub(crate) foreign: u64,
}

/// A part of the recording: from one mark to the next, or a tenth of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Phase {
    /// The mark at its start; empty if there is none.
    pub(crate) name: String,
    /// Nanoseconds since recording began.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Allocations, counting resizes, and bytes requested by them.
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    /// Blocks freed.
    pub(crate) frees: u64,
    /// Max bytes live in it, and bytes live at its end.
    pub(crate) peak_bytes: u64,
    pub(crate) live_bytes: u64,
}

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// In no order.
    pub(super) sizes: Vec<SizeUse>,
    /// By the number of the thread.
    pub(super) threads: Vec<ThreadUse>,
    /// In order of time.
    pub(super) phases: Vec<Phase>,
    /// What live blocks took at the peak, if the trace says so.
    pub(super) heap: Option<Heap>,
}

impl Tally {
    /// Reads a whole trace, whose tables must be complete: marks say where phases begin. Calls `progress` after each block
    /// of events with the number of events read so far.
    pub(super) fn read(reader: &mut Reader, progress: impl Fn(u64)) -> Result<Self> {
        let summary = reader.summary();
        let tally = Self {
            sizes: Vec::new(),
            threads: vec![ThreadUse::default(); summary.threads as usize],
            phases: divide(&reader.tables().marks, summary.wall_ns),
            heap: None,
        };
        let mut counter = Counter {
            tally,
            places: HashMap::default(),
            shapes: Vec::new(),
            blocks: vec![Block::default(); summary.slots as usize],
            phase: 0,
            live: 0,
            has_details: false,
            details: Vec::new(),
            detail: 0,
            extents: Vec::new(),
            peak: summary.peak_bytes,
        };
        reader.rewind()?;
        while reader.visit_block(&mut counter)? {
            progress(counter.tally.phases.iter().map(|phase| phase.allocations + phase.frees).sum());
        }
        counter.advance(u64::MAX);
        let mut tally = counter.tally;
        tally.sizes.iter_mut().for_each(|size| size.live_blocks = size.now);
        Ok(tally)
    }
}

/// Returns the phases with nothing counted.
fn divide(marks: &[Mark], end: u64) -> Vec<Phase> {
    let mut starts: Vec<_> = marks.iter().map(|mark| (mark.time.min(end), mark.name.clone())).collect();
    if starts.is_empty() {
        let start = |part: u64| (u128::from(end) * u128::from(part) / u128::from(PARTS)) as u64;
        starts = (0..PARTS).map(|part| (start(part), String::new())).collect();
    }
    starts.sort_by_key(|start| start.0);
    if starts[0].0 > 0 {
        starts.insert(0, (0, String::new()));
    }
    let ends: Vec<_> = starts.iter().skip(1).map(|start| start.0).chain([end]).collect();
    let phase = |((from, name), to)| Phase { name, from, to, ..Phase::default() };
    starts.into_iter().zip(ends).map(phase).collect()
}

/// The block in a slot.
#[derive(Clone, Copy, Default)]
struct Block {
    /// The place of its size.
    size: u32,
    thread: u32,
}

struct Counter {
    tally: Tally,
    /// The place of each size in the tally.
    places: HashMap<u64, u32, FixedState>,
    /// The shapes of the current block of events: what they do, and the place of the size.
    shapes: Vec<(Verb, u32)>,
    blocks: Vec<Block>,
    /// The current phase.
    phase: usize,
    /// Bytes live now.
    live: u64,
    /// Whether the trace has details; those of the current block of events, and the number of allocations and resizes in it so far.
    has_details: bool,
    details: Vec<Detail>,
    detail: usize,
    /// In a trace with details, from the first of them to the peak: what each block takes, by slot.
    extents: Vec<Option<Extent>>,
    /// Bytes live at the peak, whose first time is still to come; then 0.
    peak: u64,
}

impl Counter {
    /// Notes a block, or the end of one, in a trace with details.
    fn extend(&mut self, verb: Verb, place: u32, slot: u32) {
        let at = slot as usize;
        if self.extents.len() <= at {
            self.extents.resize(at + 1, None);
        }
        if verb == Verb::Free {
            self.extents[at] = None;
            return;
        }
        let Detail { address, usable, .. } = self.details.get(self.detail).copied().unwrap_or_default();
        self.detail += 1;
        let requested = self.tally.sizes[place as usize].size;
        self.extents[at] = Some(Extent { requested, usable, address });
        if self.live >= self.peak {
            self.tally.heap = Some(Heap::of(self.extents.iter().copied().flatten()));
            (self.peak, self.extents) = (0, Vec::new());
        }
    }

    /// Ends all phases that are over at this time, except the last.
    #[cold]
    fn advance(&mut self, time: u64) {
        let phases = &mut self.tally.phases;
        loop {
            phases[self.phase].live_bytes = self.live;
            if self.phase + 1 == phases.len() || time < phases[self.phase].to {
                return;
            }
            self.phase += 1;
            phases[self.phase].peak_bytes = self.live;
        }
    }

    /// Ends the block in a slot, or its time with one size.
    #[inline]
    fn end(&mut self, thread: u32, slot: u32) {
        let block = self.blocks[slot as usize];
        let size = &mut self.tally.sizes[block.size as usize];
        size.now -= 1;
        self.live = self.live.saturating_sub(size.size);
        self.tally.threads[thread as usize].foreign += u64::from(block.thread != thread);
    }

    /// Begins a block in a slot, or its time with another size.
    #[inline]
    fn begin(&mut self, thread: u32, place: u32, slot: u32) {
        self.blocks[slot as usize] = Block { size: place, thread };
        let SizeUse { size, allocations, now, most_live, .. } = &mut self.tally.sizes[place as usize];
        *allocations += 1;
        *now += 1;
        *most_live = (*most_live).max(*now);
        self.live = self.live.saturating_add(*size);
        let by = &mut self.tally.threads[thread as usize];
        by.allocations += 1;
        by.bytes = by.bytes.saturating_add(*size);
        let phase = &mut self.tally.phases[self.phase];
        phase.allocations += 1;
        phase.bytes = phase.bytes.saturating_add(*size);
        phase.peak_bytes = phase.peak_bytes.max(self.live);
    }
}

impl Visitor for Counter {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes.clear();
        self.details.clear();
        self.detail = 0;
        for shape in shapes {
            let place = match shape.verb {
                Verb::Free => 0,
                _ => *self.places.entry(shape.size).or_insert_with(|| {
                    self.tally.sizes.push(SizeUse { size: shape.size, ..SizeUse::default() });
                    self.tally.sizes.len() as u32 - 1
                }),
            };
            self.shapes.push((shape.verb, place));
        }
    }

    #[inline]
    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        if time >= self.tally.phases[self.phase].to {
            self.advance(time);
        }
        let (verb, place) = self.shapes[shape];
        if !matches!(verb, Verb::Allocate { .. }) {
            self.end(thread, slot);
        }
        if verb == Verb::Free {
            self.tally.threads[thread as usize].frees += 1;
            self.tally.phases[self.phase].frees += 1;
        } else {
            self.begin(thread, place, slot);
        }
        if self.has_details && self.peak > 0 {
            self.extend(verb, place, slot);
        }
    }

    fn details(&mut self, details: &[Detail]) {
        self.has_details = true;
        self.details.extend_from_slice(details);
    }
}

#[cfg(test)]
mod tests {
    use millpond_trace::{At, Outcome, Start, Writer};

    use super::*;

    fn read(marks: &[(u64, &str)]) -> Tally {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
        for &(time, name) in marks {
            writer.mark(&Mark { time, name: name.into() }).unwrap();
        }
        let at = |time, thread| At { time, thread, ..At::default() };
        let a = writer.allocate(at(0, 0), 10, 0, false).unwrap();
        let b = writer.allocate(at(50, 1), 5, 0, false).unwrap();
        writer.resize(at(60, 0), b, 100).unwrap();
        writer.free(at(70, 0), a).unwrap();
        writer.free(at(100, 1), b).unwrap();
        writer.allocate(at(100, 1), 10, 0, false).unwrap();
        writer.finish(Outcome { wall_ns: 100, ..Outcome::default() }).unwrap();
        let mut reader = Reader::from_bytes(file).unwrap();
        while reader.read(&mut Vec::new()).unwrap() {}
        Tally::read(&mut reader, |_| ()).unwrap()
    }

    #[test]
    fn marks_begin_phases() {
        let phase = |name: &str, from, to, [allocations, bytes, frees, peak_bytes, live_bytes]: [u64; 5]| {
            Phase { name: name.into(), from, to, allocations, bytes, frees, peak_bytes, live_bytes }
        };
        let expected = [
            phase("", 0, 50, [1, 10, 0, 10, 10]),
            phase("load", 50, 65, [2, 105, 0, 110, 110]),
            phase("run", 65, 100, [1, 10, 2, 110, 10]),
        ];
        assert_eq!(read(&[(65, "run"), (50, "load")]).phases, expected);
        assert_eq!(read(&[(0, "all")]).phases, [phase("all", 0, 100, [4, 125, 2, 110, 10])]);
        assert_eq!(read(&[(0, "a"), (0, "b"), (500, "c")]).phases.len(), 3);
    }

    #[test]
    fn without_marks_there_are_tenths() {
        let phases = read(&[]).phases;
        assert_eq!(phases.len(), 10);
        let live: Vec<_> = phases.iter().map(|phase| phase.live_bytes).collect();
        assert_eq!(live, [10, 10, 10, 10, 10, 15, 110, 100, 100, 10]);
        assert_eq!((phases[5].from, phases[5].to), (50, 60));
        assert_eq!(phases.iter().map(|phase| phase.frees).sum::<u64>(), 2);
    }

    #[test]
    fn sizes_and_threads() {
        let Tally { mut sizes, threads, .. } = read(&[]);
        sizes.sort_by_key(|size| size.size);
        let size = |size, allocations, live_blocks| SizeUse {
            size,
            allocations,
            live_blocks,
            now: live_blocks,
            most_live: 1,
        };
        assert_eq!(sizes, [size(5, 1, 0), size(10, 2, 1), size(100, 1, 0)]);
        let expected = [
            ThreadUse { allocations: 2, bytes: 110, frees: 1, foreign: 1 },
            ThreadUse { allocations: 2, bytes: 15, frees: 1, foreign: 1 },
        ];
        assert_eq!(threads, expected);
    }
}
