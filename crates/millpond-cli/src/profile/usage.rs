//! One pass over a trace that counts by stack, size and thread.

use std::collections::HashMap;

use anyhow::Result;
use foldhash::fast::FixedState;
use millpond_trace::{Reader, Shape, Verb, Visitor};

/// A block is short-lived if it lives for less than this share of the recording.
const SHORT: f64 = 0.01;
/// The share of a site's blocks that decides about its lifetime class.
const MOST: f64 = 0.5;
/// The share of temporary blocks from which on a site's lifetime class says so.
const NEARLY_ALL: f64 = 0.9;

/// The use of memory by some of a program's allocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Allocations, counting resizes.
    pub(crate) allocations: u64,
    /// Bytes requested by them.
    pub(crate) bytes: u64,
    /// Blocks and bytes never freed.
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
    /// Blocks freed by the next event of the thread that had allocated them.
    pub(crate) temporaries: u64,
    /// Blocks freed, or resized elsewhere, after less than [`SHORT`] of the recording.
    pub(crate) short: u64,
}

/// How long most blocks live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lifetime {
    /// Nearly all are freed by the next event of their thread.
    Temporary,
    /// Most live for less than a hundredth of the recording.
    Short,
    /// Most live longer, and are freed.
    Long,
    /// Most are never freed.
    Kept,
}

impl Usage {
    /// Adds another use.
    pub(crate) fn add(&mut self, other: &Self) {
        self.allocations += other.allocations;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.live_blocks += other.live_blocks;
        self.live_bytes = self.live_bytes.saturating_add(other.live_bytes);
        self.temporaries += other.temporaries;
        self.short += other.short;
    }

    /// Classifies the lifetimes.
    pub(crate) fn lifetime(&self) -> Lifetime {
        let share = |blocks: u64| blocks as f64 / self.allocations.max(1) as f64;
        match self {
            _ if share(self.live_blocks) >= MOST => Lifetime::Kept,
            _ if share(self.temporaries) >= NEARLY_ALL => Lifetime::Temporary,
            _ if share(self.short) >= MOST => Lifetime::Short,
            _ => Lifetime::Long,
        }
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
    /// Frees and resizes of blocks that another thread had allocated.
    pub(crate) foreign: u64,
}

/// The use of memory in a trace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    /// By stack, as the trace numbers them.
    pub(crate) stacks: Vec<Usage>,
    /// By thread, as the trace numbers them.
    pub(crate) threads: Vec<ThreadUse>,
    /// By size in bytes, in no order.
    pub(crate) sizes: Vec<(u64, Usage)>,
}

impl Profile {
    /// Reads a whole trace. After that, the tables of the reader are complete.
    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        let summary = reader.summary();
        let mut counter = Counter {
            profile: Self {
                threads: vec![ThreadUse::default(); summary.threads as usize],
                ..Self::default()
            },
            short: (summary.wall_ns as f64 * SHORT) as u64,
            sizes: HashMap::default(),
            shapes: Vec::new(),
            live: vec![Block::default(); summary.slots as usize],
            events: vec![0; summary.threads as usize],
        };
        reader.visit(&mut counter)?;
        Ok(counter.finish())
    }
}

/// A live block.
#[derive(Clone, Copy, Default)]
struct Block {
    is_live: bool,
    stack: u32,
    /// The position of its size in the profile.
    size: u32,
    thread: u32,
    birth: u64,
    /// The number of the event among those of its thread.
    event: u64,
}

struct Counter {
    profile: Profile,
    /// Lifetimes below this one are short.
    short: u64,
    /// The position of each size in the profile.
    sizes: HashMap<u64, u32, FixedState>,
    /// The shapes of the current block of events, with the positions of their sizes.
    shapes: Vec<(Shape, u32)>,
    live: Vec<Block>,
    /// Number of events of each thread.
    events: Vec<u64>,
}

impl Counter {
    /// Counts an allocation.
    fn begin(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        let (Shape { stack, size, .. }, place) = self.shapes[shape];
        for usage in [&mut self.profile.stacks[stack as usize], &mut self.profile.sizes[place as usize].1] {
            usage.allocations += 1;
            usage.bytes = usage.bytes.saturating_add(size);
        }
        let about = &mut self.profile.threads[thread as usize];
        about.allocations += 1;
        about.bytes = about.bytes.saturating_add(size);
        let event = self.events[thread as usize];
        self.live[slot as usize] = Block { is_live: true, stack, size: place, thread, birth: time, event };
    }

    /// Counts the end of a block, or of the time until it is resized.
    fn end(&mut self, time: u64, thread: u32, slot: u32) {
        let block = std::mem::take(&mut self.live[slot as usize]);
        let is_short = time - block.birth < self.short;
        let is_next = block.thread == thread && block.event + 1 == self.events[thread as usize];
        for usage in
            [&mut self.profile.stacks[block.stack as usize], &mut self.profile.sizes[block.size as usize].1]
        {
            usage.short += u64::from(is_short);
            usage.temporaries += u64::from(is_next);
        }
        self.profile.threads[thread as usize].foreign += u64::from(block.thread != thread);
    }

    /// Counts what was never freed.
    fn finish(mut self) -> Profile {
        for block in self.live.iter().filter(|block| block.is_live) {
            let (size, by_size) = &mut self.profile.sizes[block.size as usize];
            for usage in [&mut self.profile.stacks[block.stack as usize], by_size] {
                usage.live_blocks += 1;
                usage.live_bytes = usage.live_bytes.saturating_add(*size);
            }
        }
        self.profile
    }
}

impl Visitor for Counter {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes.clear();
        for &shape in shapes {
            let stack = shape.stack as usize;
            if stack >= self.profile.stacks.len() {
                self.profile.stacks.resize(stack + 1, Usage::default());
            }
            let fresh = self.profile.sizes.len() as u32;
            let place = match shape.verb {
                Verb::Free => 0,
                _ => *self.sizes.entry(shape.size).or_insert(fresh),
            };
            if place == fresh && shape.verb != Verb::Free {
                self.profile.sizes.push((shape.size, Usage::default()));
            }
            self.shapes.push((shape, place));
        }
    }

    #[inline]
    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        self.events[thread as usize] += 1;
        match self.shapes[shape].0.verb {
            Verb::Allocate { .. } => self.begin(time, thread, shape, slot),
            Verb::Resize => {
                self.end(time, thread, slot);
                self.begin(time, thread, shape, slot);
            }
            Verb::Free => {
                self.end(time, thread, slot);
                self.profile.threads[thread as usize].frees += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use millpond_trace::{At, FrameKind, Outcome, Start, Writer};

    use super::*;

    #[test]
    fn blocks_are_counted_where_they_were_allocated() {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
        let one = writer.node(0, 0x1000, FrameKind::Return).unwrap();
        let two = writer.node(one, 0x2000, FrameKind::Return).unwrap();
        let at = |time, thread, stack| At { time, thread, stack, ..At::default() };
        let a = writer.allocate(at(0, 0, one), 100, 0, false).unwrap();
        writer.free(at(5, 0, two), a).unwrap(); // temporary
        let b = writer.allocate(at(6, 0, one), 100, 0, false).unwrap();
        let c = writer.allocate(at(7, 1, two), 8, 0, false).unwrap();
        writer.resize(at(8, 0, two), c, 32).unwrap(); // another thread's
        writer.free(at(900, 1, two), b).unwrap(); // another thread's, long-lived
        writer.finish(Outcome { wall_ns: 1000, ..Outcome::default() }).unwrap();
        let profile = Profile::read(&mut Reader::from_bytes(file).unwrap()).unwrap();
        let usage = |allocations, bytes, live_blocks, live_bytes, temporaries, short| Usage {
            allocations,
            bytes,
            live_blocks,
            live_bytes,
            temporaries,
            short,
        };
        assert_eq!(profile.stacks, [Usage::default(), usage(2, 200, 0, 0, 1, 1), usage(2, 40, 1, 32, 0, 1)]);
        let mut sizes = profile.sizes;
        sizes.sort_by_key(|size| size.0);
        let expected =
            [(8, usage(1, 8, 0, 0, 0, 1)), (32, usage(1, 32, 1, 32, 0, 0)), (100, usage(2, 200, 0, 0, 1, 1))];
        assert_eq!(sizes, expected);
        let threads = [
            ThreadUse { allocations: 3, bytes: 232, frees: 1, foreign: 1 },
            ThreadUse { allocations: 1, bytes: 8, frees: 1, foreign: 1 },
        ];
        assert_eq!(profile.threads, threads);
    }

    #[test]
    fn lifetimes_have_four_classes() {
        let usage = |live_blocks, temporaries, short| {
            Usage { allocations: 100, live_blocks, temporaries, short, ..Usage::default() }.lifetime()
        };
        assert_eq!(usage(50, 50, 50), Lifetime::Kept);
        assert_eq!(usage(0, 90, 90), Lifetime::Temporary);
        assert_eq!(usage(49, 40, 50), Lifetime::Short);
        assert_eq!(usage(20, 10, 30), Lifetime::Long);
    }
}
