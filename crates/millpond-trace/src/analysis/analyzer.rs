//! The visitor that computes everything in one pass.

use std::hint::black_box;

use super::{
    Analysis, CHAINS,
    blocks::{Block, short},
    class,
    heat::HeatMap,
    site::{CHECKPOINTS, Cold, Hot, Site},
    threads::Matrix,
    timeline::{BINS, Timeline},
};
use crate::file::{Shape, Summary, Verb, Visitor};

/// No site.
const NONE: u32 = u32::MAX;

/// What the shape of an event means here.
#[derive(Clone, Copy)]
struct Action {
    size: u64,
    site: u32,
    verb: Verb,
}

/// An event that has not been counted.
struct Waiting {
    time: u64,
    thread: u32,
    slot: u32,
    shape: u32,
}

/// Number of events that are counted together,
const BATCH: usize = 64;
/// once this many slots have been used, whose blocks are hardly in the caches.
const MANY: usize = 1 << 16;

/// Counts events, in batches if many blocks are live.
pub(super) struct Analyzer {
    counter: Counter,
    batch: Vec<Waiting>,
    /// See [`MANY`].
    many: usize,
}

struct Counter {
    actions: Vec<Action>,
    /// The site of each stack, or `NONE`.
    places: Vec<u32>,
    hot: Vec<Hot>,
    cold: Vec<Cold>,
    /// The block in each slot.
    blocks: Vec<Block>,
    /// The number of the last event of each thread if it allocated, otherwise 0.
    latest: Vec<u64>,
    /// Number of events so far, and of those among them on blocks that are left out.
    events: u64,
    left_out: u64,
    live_bytes: u64,
    /// The live bytes at the peak, until they are reached.
    peak: Option<u64>,
    heat: HeatMap,
    matrix: Matrix,
    chains: [u64; CHAINS],
    timeline: Timeline,
    /// The time at which the current bin ends.
    bin_end: u64,
    /// The time between two checkpoints, and the number of the next one. They lie at the ends of bins.
    quarter: u64,
    checkpoint: usize,
}

impl Analyzer {
    pub(super) fn new(summary: &Summary) -> Self {
        Self { counter: Counter::new(summary), batch: Vec::with_capacity(BATCH), many: MANY }
    }

    /// Returns the number of events so far, without those on blocks that are left out.
    pub(super) fn events(&self) -> u64 {
        self.counter.events - self.counter.left_out + self.batch.len() as u64
    }

    pub(super) fn finish(mut self) -> Analysis {
        self.count();
        self.counter.finish()
    }

    /// Counts the events that wait.
    #[inline(never)]
    fn count(&mut self) {
        self.counter.load(&self.batch);
        for &Waiting { time, thread, slot, shape } in &self.batch {
            self.counter.event(time, thread, shape as usize, slot);
        }
        self.batch.clear();
    }
}

impl Counter {
    fn new(summary: &Summary) -> Self {
        let timeline = Timeline::new(summary.wall_ns);
        Self {
            actions: Vec::new(),
            places: Vec::new(),
            hot: Vec::new(),
            cold: Vec::new(),
            blocks: Vec::new(),
            latest: Vec::new(),
            events: 0,
            left_out: 0,
            live_bytes: 0,
            peak: (summary.peak_bytes > 0).then_some(summary.peak_bytes),
            heat: HeatMap::new(),
            matrix: Matrix::new(summary.threads),
            chains: [0; CHAINS],
            bin_end: timeline.width,
            quarter: timeline.width * (BINS / (CHECKPOINTS + 1)) as u64,
            timeline,
            checkpoint: 0,
        }
    }

    /// Loads the blocks of events, and the sites of these blocks, into the caches. One after the other, the events would
    /// wait for memory each time; here the processor waits for many blocks at once.
    fn load(&self, events: &[Waiting]) {
        let blocks = || events.iter().filter_map(|event| self.blocks.get(event.slot as usize));
        // What is in the blocks now may be outdated when the events are counted, so it only says what to load.
        let sum = blocks().fold(0_u64, |sum, block| sum.wrapping_add(block.time));
        let sites = blocks().filter_map(|block| self.hot.get(block.site as usize));
        black_box(sites.fold(sum, |sum, site| sum.wrapping_add(site.bytes)));
    }

    fn finish(mut self) -> Analysis {
        self.pass_checkpoints(u64::MAX);
        // The live blocks are those that the sites still count; a slot may hold a block that was freed.
        for block in self.blocks.iter().filter(|block| block.site != NONE) {
            note_chain(&mut self.chains, block);
        }
        let sites = self.hot.iter().zip(&self.cold).map(|(hot, cold)| Site::new(hot, cold)).collect();
        Analysis {
            sites,
            heat: self.heat,
            flows: self.matrix.finish(),
            timeline: self.timeline,
            chains: self.chains,
            found_peak: self.peak.is_none(),
        }
    }

    /// Returns the site of a stack.
    fn site(&mut self, stack: u32) -> u32 {
        let at = stack as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, NONE);
        }
        if self.places[at] == NONE {
            self.places[at] = self.hot.len() as u32;
            self.hot.push(Hot { stack, ..Hot::default() });
            self.cold.push(Cold::default());
        }
        self.places[at]
    }

    /// Begins the bin of `time`.
    #[cold]
    fn next_bin(&mut self, time: u64) {
        self.pass_checkpoints(time);
        self.bin_end = self.timeline.advance(time);
    }

    /// Notes the live bytes of all sites at the checkpoints up to `time`.
    fn pass_checkpoints(&mut self, time: u64) {
        while self.checkpoint < CHECKPOINTS && time >= self.quarter * (self.checkpoint as u64 + 1) {
            for (hot, cold) in self.hot.iter().zip(&mut self.cold) {
                cold.checkpoints[self.checkpoint] = hot.live_bytes as f32;
            }
            self.checkpoint += 1;
        }
    }

    /// Notes that the live bytes have changed, and what is live if that is the peak.
    #[inline]
    fn changed(&mut self) {
        let bin = self.timeline.last();
        bin.max = bin.max.max(self.live_bytes);
        bin.last = self.live_bytes;
        if self.peak.is_some_and(|peak| self.live_bytes >= peak) {
            self.at_peak();
        }
    }

    #[cold]
    fn at_peak(&mut self) {
        self.peak = None;
        for (hot, cold) in self.hot.iter().zip(&mut self.cold) {
            (cold.peak_bytes, cold.peak_blocks) = (hot.live_bytes, hot.live_blocks);
        }
    }

    #[inline]
    fn allocate(&mut self, time: u64, thread: u32, action: Action, slot: u32) {
        let (at, size) = (slot as usize, action.size);
        let block = Block::new(time, self.events, size, action.site, short(thread));
        match self.blocks.get_mut(at) {
            Some(place) => *place = block,
            None => self.blocks.push(block),
        }
        let hot = &mut self.hot[action.site as usize];
        hot.allocations += 1;
        hot.bytes = hot.bytes.saturating_add(size);
        hot.live_blocks += 1;
        hot.live_bytes = hot.live_bytes.saturating_add(size);
        hot.max_live_bytes = hot.max_live_bytes.max(hot.live_bytes);
        hot.allocators |= 1 << (thread % 64);
        self.live_bytes = self.live_bytes.saturating_add(size);
        self.timeline.last().allocations += 1;
        self.changed();
    }

    #[inline]
    fn resize(&mut self, action: Action, slot: u32) {
        let block = &mut self.blocks[slot as usize];
        let (before, size) = (std::mem::replace(&mut block.size, action.size), action.size);
        block.resizes = block.resizes.saturating_add(1);
        let hot = &mut self.hot[block.site as usize];
        hot.live_bytes = hot.live_bytes.saturating_sub(before).saturating_add(size);
        hot.max_live_bytes = hot.max_live_bytes.max(hot.live_bytes);
        let cold = &mut self.cold[block.site as usize];
        cold.size(size);
        cold.copied = cold.copied.saturating_add(before.min(size));
        self.cold[action.site as usize].resizes += 1;
        let hot = &mut self.hot[action.site as usize];
        hot.bytes = hot.bytes.saturating_add(size);
        self.live_bytes = self.live_bytes.saturating_sub(before).saturating_add(size);
        self.timeline.last().allocations += 1;
        self.changed();
    }

    #[inline]
    fn free(&mut self, time: u64, thread: u32, action: Action, slot: u32, latest: u64) {
        let block = &mut self.blocks[slot as usize];
        let (site, size, owner) = (block.site as usize, block.size, block.thread());
        if block.resizes > 0 {
            note_chain(&mut self.chains, block);
        }
        block.site = NONE;
        let (lifetime, events) = (time - block.time, self.events - block.event);
        let is_temporary = latest == block.event;
        let hot = &mut self.hot[site];
        hot.live_blocks -= 1;
        hot.live_bytes = hot.live_bytes.saturating_sub(size);
        hot.temporaries += u64::from(is_temporary);
        let cold = &mut self.cold[site];
        cold.lifetime(lifetime, events);
        cold.freers |= 1 << (thread % 64);
        cold.remote_frees += u64::from(owner != short(thread));
        self.hot[action.site as usize].frees += 1;
        self.heat.note(size, lifetime);
        self.matrix.note(owner, short(thread), size);
        self.live_bytes = self.live_bytes.saturating_sub(size);
        let bin = self.timeline.last();
        bin.frees += 1;
        bin.last = self.live_bytes;
    }
}

/// Counts a block by how often it was resized.
fn note_chain(chains: &mut [u64; CHAINS], block: &Block) {
    if block.resizes > 0 {
        chains[class(u64::from(block.resizes), 0, CHAINS)] += 1;
    }
}

impl Counter {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.actions.clear();
        for shape in shapes {
            let site = self.site(shape.stack);
            if let Verb::Allocate { .. } = shape.verb {
                self.cold[site as usize].size(shape.size);
            }
            self.actions.push(Action { size: shape.size, site, verb: shape.verb });
        }
    }

    fn left_out(&mut self, thread: u32) {
        self.events += 1;
        self.left_out += 1;
        // An allocation by this thread is not followed by its free.
        if let Some(latest) = self.latest.get_mut(thread as usize) {
            *latest = 0;
        }
    }

    #[inline]
    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        let action = self.actions[shape];
        if time >= self.bin_end {
            self.next_bin(time);
        }
        if thread as usize >= self.latest.len() {
            self.latest.resize(thread as usize + 1, 0);
        }
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
                self.free(time, thread, action, slot, latest);
            }
        }
    }
}

impl Visitor for Analyzer {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.count();
        self.counter.shapes(shapes);
    }

    fn left_out(&mut self, thread: u32) {
        self.count();
        self.counter.left_out(thread);
    }

    #[inline]
    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        if self.counter.blocks.len() < self.many {
            return self.counter.event(time, thread, shape, slot);
        }
        self.batch.push(Waiting { time, thread, slot, shape: shape as u32 });
        if self.batch.len() == BATCH {
            self.count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{At, FrameKind, Outcome, Reader, Start, Writer};

    /// Writes a trace of three threads and ten stacks.
    fn trace() -> Vec<u8> {
        let (mut file, mut random, mut live) = (Vec::new(), 1_u64, Vec::new());
        let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
        for address in 0..10 {
            writer.node(0, address, FrameKind::Return).unwrap();
        }
        for time in 0..100_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (dice, size) = ((random >> 60) as usize, random >> 33 & 0xfff);
            let (thread, stack) = ((random >> 58 & 3) as u32, (random >> 40) as u32 % 11);
            let at = At { time, thread, stack, ..At::default() };
            let pick = (random >> 20) as usize % live.len().max(1);
            match dice {
                _ if live.is_empty() => live.push(writer.allocate(at, size, 0, false).unwrap()),
                0..9 => live.push(writer.allocate(at, size, 0, false).unwrap()),
                9 => writer.resize(at, live[pick], size).unwrap(),
                _ => writer.free(at, live.swap_remove(pick)).unwrap(),
            }
        }
        writer.finish(Outcome { wall_ns: 100_000, ..Outcome::default() }).unwrap();
        file
    }

    #[test]
    fn batches_change_no_result() {
        let mut reader = Reader::from_bytes(trace()).unwrap();
        let mut analysis = |many| {
            let mut analyzer = Analyzer { many, ..Analyzer::new(reader.summary()) };
            reader.visit(&mut analyzer).unwrap();
            assert_eq!(analyzer.events(), reader.summary().events);
            analyzer.finish()
        };
        let alone = analysis(usize::MAX);
        assert!(alone.found_peak);
        assert_eq!(analysis(0), alone);
        assert_eq!(analysis(1_000), alone);
    }
}
