//! One pass over a trace that measures for each call site what decides about its advice: sizes, how many blocks live at
//! once, which of them die together, how they grow, and which threads free them.

use std::collections::HashMap;

use anyhow::Result;
use foldhash::fast::FixedState;
use millpond_trace::{Reader, Shape, Verb, Visitor};

use super::{
    generation::Generations,
    measures::{CHECKPOINTS, Measures, SizeUse},
};

/// No site.
pub(super) const NONE: u32 = u32::MAX;
/// A block continues another one that is freed right after its allocation, if it is larger by these factors: containers
/// that grow by copying at least multiply their size by the first, and none by more than the second.
const GROWS: (f64, f64) = (1.2, 3.0);

/// What the pass measures.
pub(super) struct Measured {
    /// In the order of the sites.
    pub(super) sites: Vec<Measures>,
    /// Number of frees and resizes by another thread than the one that allocated or last resized the block.
    pub(super) foreign: u64,
}

/// Measures this many sites, of which `of_stack` has one for each stack that allocated.
pub(super) fn measure(
    reader: &mut Reader,
    of_stack: &HashMap<u32, u32, FixedState>,
    sites: usize,
    progress: impl Fn(u64),
) -> Result<Measured> {
    let summary = reader.summary();
    let mut survey = Survey {
        of_stack,
        sites: vec![Measures::default(); sites],
        generations: vec![Generations::default(); sites],
        places: HashMap::default(),
        actions: Vec::new(),
        blocks: vec![Block::default(); summary.slots as usize],
        latest: Vec::new(),
        events: 0,
        foreign: 0,
        eighth: (summary.events / (CHECKPOINTS as u64 + 1)).max(1),
    };
    reader.rewind()?;
    while reader.visit_block(&mut survey)? {
        progress(survey.events);
    }
    Ok(survey.finish())
}

/// What the shape of an event means here.
#[derive(Clone, Copy)]
struct Action {
    verb: Verb,
    size: u64,
    site: u32,
    /// The place of the size in the site's list.
    place: u32,
}

/// The block in a slot; without a site, if there is none.
#[derive(Clone, Copy)]
struct Block {
    size: u64,
    site: u32,
    /// The place of the size that it was allocated with.
    place: u32,
    /// How often it grew, counting the blocks that it continues.
    steps: u32,
    /// The thread that allocated it, and the one that resized it last.
    thread: u16,
    owner: u16,
}

impl Default for Block {
    fn default() -> Self {
        Self { size: 0, site: NONE, place: 0, steps: 0, thread: 0, owner: 0 }
    }
}

struct Survey<'a> {
    of_stack: &'a HashMap<u32, u32, FixedState>,
    sites: Vec<Measures>,
    generations: Vec<Generations>,
    /// The place of each size of each site.
    places: HashMap<(u32, u64), u32, FixedState>,
    actions: Vec<Action>,
    blocks: Vec<Block>,
    /// The slot that each thread has allocated with its last event, or `NONE`.
    latest: Vec<u32>,
    events: u64,
    foreign: u64,
    /// Number of events between two checkpoints.
    eighth: u64,
}

impl Survey<'_> {
    fn finish(mut self) -> Measured {
        for block in self.blocks.iter().filter(|block| block.site != NONE) {
            self.sites[block.site as usize].end_chain(block.steps, block.size);
        }
        for (site, generations) in self.sites.iter_mut().zip(self.generations) {
            generations.finish(site);
        }
        Measured { sites: self.sites, foreign: self.foreign }
    }

    /// Returns the place of a size, rounded up, in the list of a site.
    fn place(&mut self, site: u32, size: u64) -> u32 {
        let size = rounded(size);
        let sizes = &mut self.sites[site as usize].sizes;
        *self.places.entry((site, size)).or_insert_with(|| {
            sizes.push(SizeUse { size, ..SizeUse::default() });
            sizes.len() as u32 - 1
        })
    }

    fn allocate(&mut self, thread: u32, action: Action, slot: u32) {
        let align = if let Verb::Allocate { align, .. } = action.verb { align } else { 0 };
        let site = &mut self.sites[action.site as usize];
        site.allocate(thread, action.size, align, action.place as usize);
        self.generations[action.site as usize].allocate(thread, action.size);
        self.blocks[slot as usize] = Block {
            size: action.size,
            site: action.site,
            place: action.place,
            steps: 0,
            thread: thread as u16,
            owner: thread as u16,
        };
    }

    /// Notes that the block in `slot` has another size. Resizes count for the site that allocated it.
    fn resize(&mut self, thread: u32, size: u64, slot: u32) {
        let block = &mut self.blocks[slot as usize];
        if block.site == NONE {
            return;
        }
        let site = &mut self.sites[block.site as usize];
        site.resize(block.size, size);
        site.touch(thread);
        self.foreign += u64::from(block.owner != thread as u16);
        block.steps += u32::from(size > block.size);
        (block.size, block.owner) = (size, thread as u16);
    }

    fn free(&mut self, thread: u32, slot: u32, latest: u32) {
        let block = std::mem::take(&mut self.blocks[slot as usize]);
        let Some(site) = self.sites.get_mut(block.site as usize) else { return };
        self.foreign += u64::from(block.owner != thread as u16);
        site.free(block.size, block.place as usize, latest == slot, block.thread != thread as u16);
        site.touch(thread);
        self.generations[block.site as usize].free(u32::from(block.thread), site);
        let next = self.blocks.get_mut(latest as usize);
        let ratio = |next: &Block| next.size as f64 / block.size.max(1) as f64;
        let continues = |next: &&mut Block| {
            next.site == block.site && next.steps == 0 && (GROWS.0..=GROWS.1).contains(&ratio(next))
        };
        match next.filter(continues) {
            Some(next) => {
                next.steps = block.steps + 1;
                site.copy(block.size);
            }
            None => site.end_chain(block.steps, block.size),
        }
    }

    fn checkpoint(&mut self) {
        let number = (self.events / self.eighth) as usize;
        if let Some(at) = number.checked_sub(1).filter(|&at| at < CHECKPOINTS) {
            for site in &mut self.sites {
                site.checkpoints[at] = site.live_blocks;
            }
        }
    }
}

impl Visitor for Survey<'_> {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.actions.clear();
        for shape in shapes {
            let site = match shape.verb {
                Verb::Allocate { .. } => self.of_stack.get(&shape.stack).copied().unwrap_or(NONE),
                _ => NONE,
            };
            let place = if site == NONE { 0 } else { self.place(site, shape.size) };
            self.actions.push(Action { verb: shape.verb, size: shape.size, site, place });
        }
    }

    fn event(&mut self, _: u64, thread: u32, shape: usize, slot: u32) {
        let action = self.actions[shape];
        let at = thread as usize;
        if at >= self.latest.len() {
            self.latest.resize(at + 1, NONE);
        }
        let latest = std::mem::replace(&mut self.latest[at], NONE);
        match action.verb {
            Verb::Allocate { .. } if action.site == NONE => {
                self.blocks[slot as usize] = Block::default();
            }
            Verb::Allocate { .. } => {
                self.latest[at] = slot;
                self.allocate(thread, action, slot);
            }
            Verb::Resize => self.resize(thread, action.size, slot),
            Verb::Free => self.free(thread, slot, latest),
        }
        self.events += 1;
        if self.events.is_multiple_of(self.eighth) {
            self.checkpoint();
        }
    }
}

/// Rounds a size up: to 8 bytes, or to an eighth of a power of two for large ones, so that a site has few sizes.
fn rounded(size: u64) -> u64 {
    let step = if size <= 1024 { 8 } else { 1 << (size - 1).ilog2().saturating_sub(3) };
    size.max(1).div_ceil(step).saturating_mul(step)
}

#[cfg(test)]
mod tests {
    use millpond_trace::{At, FrameKind, Outcome, Start, Writer};

    use super::*;

    /// Measures a trace of one site, that of stack 1.
    fn measured(fill: impl FnOnce(&mut Writer<&mut Vec<u8>>, At)) -> Measures {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
        let stack = writer.node(0, 0x1000, FrameKind::Return).unwrap();
        fill(&mut writer, At { stack, ..At::default() });
        writer.finish(Outcome::default()).unwrap();
        let mut reader = Reader::from_bytes(file).unwrap();
        measure(&mut reader, &[(1, 0)].into_iter().collect(), 1, |_| ()).unwrap().sites.remove(0)
    }

    #[test]
    fn sizes_are_rounded_up_to_few() {
        assert_eq!(
            [0, 1, 8, 1000, 1024, 1025, 3072, 3073].map(rounded),
            [8, 8, 8, 1000, 1024, 1152, 3072, 3328]
        );
        assert!(rounded(u64::MAX) >= 1 << 63);
    }

    #[test]
    fn a_container_that_grows_by_copying_is_one_chain() {
        let measures = measured(|writer, at| {
            for _ in 0..10 {
                let mut old = writer.allocate(at, 24, 0, false).unwrap();
                for size in [48, 96, 192] {
                    let new = writer.allocate(at, size, 0, false).unwrap();
                    writer.free(at, old).unwrap();
                    old = new;
                }
                writer.free(at, old).unwrap();
            }
        });
        assert_eq!((measures.chains.count, measures.chains.steps, measures.chains.copied), (10, 30, 1680));
        assert_eq!(measures.chains.ends, [(192, 10)].into());
        assert_eq!((measures.blocks, measures.max_live_blocks, measures.temporaries), (40, 2, 0));
    }

    #[test]
    fn a_replacement_is_no_chain() {
        let measures = measured(|writer, at| {
            let mut old = writer.allocate(at, 64, 0, false).unwrap();
            for _ in 0..10 {
                let new = writer.allocate(at, 64, 0, false).unwrap();
                writer.free(at, old).unwrap();
                old = new;
            }
        });
        assert_eq!(measures.chains.count, 0);
        assert_eq!((measures.live_blocks, measures.together), (1, 0));
    }

    #[test]
    fn resizes_belong_to_the_site_that_allocated() {
        let measures = measured(|writer, at| {
            for _ in 0..5 {
                let block = writer.allocate(at, 16, 0, false).unwrap();
                for size in [100, 1000] {
                    writer.resize(At { stack: 0, ..at }, block, size).unwrap();
                }
                writer.free(At { thread: 1, ..at }, block).unwrap();
            }
        });
        assert_eq!((measures.resizes, measures.remote_frees, measures.chains.count), (10, 5, 5));
        assert_eq!(measures.range, (16, 1000));
    }
}
