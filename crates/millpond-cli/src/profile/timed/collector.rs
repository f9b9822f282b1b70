//! The visitor that counts by span of time.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use millpond_trace::{
    Detail, Shape, Summary, Verb, Visitor,
    analysis::{self, HeatMap, Timeline},
};

use super::{
    bins::{self, Bin, Blocks, Live, SIZE_CLASSES, Space},
    select::Selection,
};
use crate::profile::heap::{Extent, Heap};

/// No number.
const NONE: u32 = u32::MAX;

/// The freed blocks of a site that have a class of sizes and a class of lifetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) size: u16,
    pub(crate) lifetime: u16,
    /// The site among those chosen; one more for all others.
    pub(crate) site: u32,
    pub(crate) blocks: Blocks,
}

/// What became of the blocks of a site that were resized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resized {
    /// Number of such blocks.
    pub(crate) blocks: u64,
    /// How often they were resized, in all and the most for one block.
    pub(crate) resizes: u64,
    pub(crate) longest: u64,
    /// Bytes that resizes had to copy if the blocks moved.
    pub(crate) copied: u64,
    /// Their smallest and largest size when allocated, and at the end.
    pub(crate) first: (u64, u64),
    pub(crate) last: (u64, u64),
}

/// What the shape of an event means here.
#[derive(Clone, Copy)]
struct Action {
    verb: Verb,
    size: u64,
    unit: u32,
    /// The number of the size, if it is counted by itself.
    size_number: u32,
}

#[derive(Clone, Copy, Default)]
struct Block {
    is_live: bool,
    /// The number of the thread that allocated it, among those counted by themselves.
    thread: u16,
    unit: u32,
    size_number: u32,
    resizes: u32,
    time: u64,
    event: u64,
    first_size: u64,
    size: u64,
    copied: u64,
}

pub(super) struct Collector<'a> {
    selection: &'a Selection,
    size_numbers: HashMap<u64, u32, FixedState>,
    thread_numbers: Vec<u16>,
    space: Space,
    width: u64,
    /// The max bytes live in each span, and whether they have been reached in the current one.
    peaks: Vec<u64>,
    reached: bool,
    bins: Vec<Bin>,
    current: Bin,
    bin_end: u64,
    actions: Vec<Action>,
    blocks: Vec<Block>,
    now: Live,
    /// The number of the last event of each thread if it allocated, otherwise 0.
    latest: Vec<u64>,
    events: u64,
    cells: HashMap<(u16, u16, u32), Blocks, FixedState>,
    resized: Vec<Resized>,
    /// What each block takes, by slot, if the trace has details; those of the current block of events; and the number of
    /// allocations and resizes in it so far.
    extents: Vec<Extent>,
    details: Vec<Detail>,
    detail: usize,
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        selection: &'a Selection,
        sizes: &[u64],
        threads: &[u32],
        space: Space,
        timeline: &Timeline,
        summary: &Summary,
    ) -> Self {
        let mut thread_numbers = vec![threads.len() as u16; summary.threads as usize];
        for (number, &thread) in (0..).zip(threads) {
            thread_numbers[thread as usize] = number;
        }
        let (peaks, width) = (bins::peaks(timeline), bins::width(timeline));
        let mut collector = Self {
            selection,
            size_numbers: sizes.iter().copied().zip(0..).collect(),
            thread_numbers,
            space,
            width,
            peaks,
            reached: false,
            bins: Vec::new(),
            current: Bin::new(space),
            bin_end: width,
            actions: Vec::new(),
            blocks: vec![Block::default(); summary.slots as usize],
            now: Live::new(space),
            latest: vec![0; summary.threads as usize],
            events: 0,
            cells: HashMap::default(),
            resized: vec![Resized::default(); selection.sites.len() + 1],
            extents: Vec::new(),
            details: Vec::new(),
            detail: 0,
        };
        collector.changed();
        collector
    }

    /// Returns the number of events so far.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Returns the spans; blocks by class of size, class of lifetime and site; and what was resized, by site.
    pub(super) fn finish(mut self) -> (Vec<Bin>, Vec<Cell>, Vec<Resized>) {
        let live: Vec<Block> = self.blocks.iter().filter(|block| block.is_live).copied().collect();
        live.iter().for_each(|block| self.end_chain(block));
        while self.bins.len() < self.peaks.len() {
            self.end_bin();
        }
        let cell = |((size, lifetime, site), blocks): ((u16, u16, u32), Blocks)| Cell {
            size,
            lifetime,
            site,
            blocks,
        };
        let mut cells: Vec<_> = self.cells.into_iter().map(cell).collect();
        cells.sort_unstable_by_key(|cell| {
            (cell.size, cell.lifetime, std::cmp::Reverse(cell.blocks.count), cell.site)
        });
        (self.bins, cells, self.resized)
    }

    /// Ends the current span and begins the next.
    #[cold]
    fn end_bin(&mut self) {
        if !self.reached {
            self.note_peak();
        }
        let mut bin = std::mem::replace(&mut self.current, Bin::new(self.space));
        bin.end = self.now.clone();
        self.bins.push(bin);
        self.bin_end = self.bin_end.saturating_add(self.width);
        self.reached = false;
        self.changed();
    }

    /// Notes what is live if most bytes of the span are live for the first time.
    #[inline]
    fn changed(&mut self) {
        let most = self.peaks.get(self.bins.len()).copied().unwrap_or(u64::MAX);
        if !self.reached && self.now.bytes >= most {
            self.reached = true;
            self.note_peak();
        }
    }

    /// Notes what is live now as the peak of the span.
    #[cold]
    fn note_peak(&mut self) {
        self.current.peak = self.now.clone();
        let live = self.blocks.iter().zip(&self.extents).filter(|(block, _)| block.is_live);
        let heap = || Heap::of(live.map(|(_, extent)| *extent));
        self.current.heap = (!self.extents.is_empty()).then(heap);
    }

    /// Notes that a block becomes live, or live with another size.
    #[inline]
    fn enter(&mut self, unit: u32, size: u64, size_number: u32) {
        self.now.bytes = self.now.bytes.saturating_add(size);
        self.now.units[unit as usize].add(size);
        self.now.classes[class(size, SIZE_CLASSES)].add(size);
        if let Some(count) = self.now.sizes.get_mut(size_number as usize) {
            *count += 1;
        }
    }

    /// Notes that a block is not live any more with this size.
    #[inline]
    fn leave(&mut self, unit: u32, size: u64, size_number: u32) {
        self.now.bytes = self.now.bytes.saturating_sub(size);
        self.now.units[unit as usize].remove(size);
        self.now.classes[class(size, SIZE_CLASSES)].remove(size);
        if let Some(count) = self.now.sizes.get_mut(size_number as usize) {
            *count -= 1;
        }
    }

    /// Counts a call that requested memory.
    #[inline]
    fn call(&mut self, action: Action) {
        self.current.units[action.unit as usize].calls.add(action.size);
        if let Some(count) = self.current.sizes.get_mut(action.size_number as usize) {
            *count += 1;
        }
    }

    /// Notes what a block takes, in a trace with details.
    #[inline]
    fn extend(&mut self, slot: u32, requested: u64) {
        if let Some(extent) = self.extents.get_mut(slot as usize) {
            let Detail { address, usable, .. } = self.details.get(self.detail).copied().unwrap_or_default();
            self.detail += 1;
            *extent = Extent { requested, usable, address };
        }
    }

    fn allocate(&mut self, time: u64, thread: u32, action: Action, slot: u32) {
        let Action { size, unit, size_number, .. } = action;
        self.blocks[slot as usize] = Block {
            is_live: true,
            thread: self.thread_numbers[thread as usize],
            unit,
            size_number,
            time,
            event: self.events,
            first_size: size,
            size,
            ..Block::default()
        };
        self.call(action);
        self.enter(unit, size, size_number);
        self.extend(slot, size);
        self.changed();
    }

    fn resize(&mut self, action: Action, slot: u32) {
        let block = &mut self.blocks[slot as usize];
        let before = (block.unit, block.size, block.size_number);
        let copied = block.size.min(action.size);
        block.resizes = block.resizes.saturating_add(1);
        block.copied = block.copied.saturating_add(copied);
        (block.size, block.size_number) = (action.size, action.size_number);
        self.leave(before.0, before.1, before.2);
        self.enter(before.0, action.size, action.size_number);
        self.current.units[before.0 as usize].resizes.add(copied);
        self.call(action);
        self.extend(slot, action.size);
        self.changed();
    }

    fn free(&mut self, time: u64, thread: u32, slot: u32, latest: u64) {
        let block = self.blocks[slot as usize];
        self.blocks[slot as usize].is_live = false;
        self.leave(block.unit, block.size, block.size_number);
        self.end_chain(&block);
        let unit = &mut self.current.units[block.unit as usize];
        unit.frees += 1;
        unit.temporaries += u64::from(latest == block.event);
        let (size, lifetime) =
            (class(block.size, SIZE_CLASSES), class(time - block.time, HeatMap::LIFETIMES));
        self.current.heat[size * HeatMap::LIFETIMES + lifetime].add(block.size);
        let site = self.selection.units[block.unit as usize].site;
        self.cells.entry((size as u16, lifetime as u16, site)).or_default().add(block.size);
        let freer = usize::from(self.thread_numbers[thread as usize]);
        self.current.flows[usize::from(block.thread) * self.space.threads + freer].add(block.size);
    }

    /// Counts the resizes of a block that is freed, or live at the end of the recording.
    fn end_chain(&mut self, block: &Block) {
        if block.resizes == 0 {
            return;
        }
        let resizes = u64::from(block.resizes);
        self.current.chains[class(resizes, analysis::CHAINS)] += 1;
        let site = &mut self.resized[self.selection.units[block.unit as usize].site as usize];
        let widen = |range: (u64, u64), size: u64| match site.blocks {
            0 => (size, size),
            _ => (range.0.min(size), range.1.max(size)),
        };
        (site.first, site.last) = (widen(site.first, block.first_size), widen(site.last, block.size));
        site.blocks += 1;
        site.resizes += resizes;
        site.longest = site.longest.max(resizes);
        site.copied = site.copied.saturating_add(block.copied);
    }
}

/// Returns the class of a number: its base-2 logarithm, or 0 for 0.
fn class(number: u64, classes: usize) -> usize {
    ((number | 1).ilog2() as usize).min(classes - 1)
}

impl Visitor for Collector<'_> {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.actions.clear();
        self.details.clear();
        self.detail = 0;
        for shape in shapes {
            let size_number = self.size_numbers.get(&shape.size).copied().unwrap_or(NONE);
            // Only frees have no unit, and they do not use it.
            let unit = self.selection.unit(shape.stack).unwrap_or_default();
            self.actions.push(Action { verb: shape.verb, size: shape.size, unit, size_number });
        }
    }

    fn details(&mut self, details: &[Detail]) {
        if self.extents.is_empty() {
            self.extents = vec![Extent::default(); self.blocks.len()];
        }
        self.details.extend_from_slice(details);
    }

    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        while time >= self.bin_end && self.bins.len() + 1 < self.peaks.len() {
            self.end_bin();
        }
        let action = self.actions[shape];
        self.events += 1;
        let latest = &mut self.latest[thread as usize];
        match action.verb {
            Verb::Allocate { .. } => {
                *latest = self.events;
                self.allocate(time, thread, action, slot);
            }
            Verb::Resize => {
                *latest = 0;
                self.resize(action, slot);
            }
            Verb::Free => {
                let latest = std::mem::take(latest);
                self.free(time, thread, slot, latest);
            }
        }
    }
}
