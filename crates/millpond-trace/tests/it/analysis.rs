//! Compares the analysis with a second one that is independent of it: one list of all events and one of all blocks, each
//! of which is searched anew for every question.

use std::collections::BTreeMap;

use millpond_trace::{
    At, Event, Frame, FrameKind, Op, Outcome, Reader, Start, Summary, Writer,
    analysis::{
        Analysis, Bin, CHAINS, Flow, HeatMap, LIFETIMES_EVENTS, LIFETIMES_NS, Totals, fold, per_node,
    },
};

use crate::support::{Random, read_all};

/// A block: what happened to it.
#[derive(Default)]
struct Block {
    stack: u32,
    /// The number, time and thread of the events that allocated and freed it.
    born: (usize, u64, u32),
    died: Option<(usize, u64, u32)>,
    /// All its sizes, each with the number of the event.
    sizes: Vec<(usize, u64)>,
}

impl Block {
    /// Its size after the event with this number; `None` if it is not live then.
    fn size_after(&self, event: usize) -> Option<u64> {
        if self.died.is_some_and(|(died, ..)| died <= event) {
            return None;
        }
        self.sizes.iter().rev().find(|(at, _)| *at <= event).map(|&(_, size)| size)
    }

    fn last_size(&self) -> u64 {
        self.sizes[self.sizes.len() - 1].1
    }
}

/// Everything that the questions are asked of.
struct Facts {
    events: Vec<Event>,
    blocks: Vec<Block>,
    summary: Summary,
}

impl Facts {
    fn new(events: Vec<Event>, summary: Summary) -> Self {
        let (mut blocks, mut slots): (Vec<Block>, _) = (Vec::new(), BTreeMap::new());
        for (number, event) in events.iter().enumerate() {
            let at = (number, event.time, event.thread);
            match event.op {
                Op::Allocate { slot, size, .. } => {
                    slots.insert(slot, blocks.len());
                    let sizes = vec![(number, size)];
                    blocks.push(Block { stack: event.stack, born: at, sizes, ..Block::default() });
                }
                Op::Resize { slot, size } => blocks[slots[&slot]].sizes.push((number, size)),
                Op::Free { slot } => blocks[slots[&slot]].died = Some(at),
            }
        }
        Self { events, blocks, summary }
    }

    /// The live bytes after the event with this number, of one stack or of all.
    fn live_after(&self, event: usize, stack: Option<u32>) -> (u64, u32) {
        let of_stack = self.blocks.iter().filter(|block| stack.is_none_or(|stack| stack == block.stack));
        let sizes: Vec<u64> = of_stack.filter_map(|block| block.size_after(event)).collect();
        (sizes.iter().sum(), sizes.len() as u32)
    }

    /// The event after which most bytes are live for the first time.
    fn peak(&self) -> usize {
        (0..self.events.len())
            .find(|&event| self.live_after(event, None).0 == self.summary.peak_bytes)
            .unwrap()
    }

    /// Whether the thread that allocated a block freed it with its next event.
    fn is_temporary(&self, block: &Block) -> bool {
        let Some((died, _, thread)) = block.died else { return false };
        let before = (0..died).rev().find(|&event| self.events[event].thread == thread);
        before == Some(block.born.0)
    }

    /// The number of the last event before `time`.
    fn before(&self, time: u64) -> Option<usize> {
        self.events.iter().rposition(|event| event.time < time)
    }

    fn width(&self) -> u64 {
        self.summary.wall_ns / 1024 + 1
    }
}

/// The class of a number: how often it can be halved until less than twice `least` is left.
fn class(number: u64, least: u64, classes: usize) -> usize {
    let mut class = 0;
    while class + 1 < classes && u128::from(number) >= u128::from(least) << (class + 1) {
        class += 1;
    }
    class
}

fn check_sites(facts: &Facts, found: &Analysis) {
    let stacks: BTreeMap<u32, usize> =
        found.sites.iter().enumerate().map(|(number, site)| (site.stack, number)).collect();
    assert_eq!(stacks.len(), found.sites.len(), "no stack twice");
    assert!(facts.events.iter().all(|event| stacks.contains_key(&event.stack)));
    let peak = facts.peak();
    for site in &found.sites {
        let own: Vec<_> = facts.events.iter().filter(|event| event.stack == site.stack).collect();
        let blocks: Vec<_> = facts.blocks.iter().filter(|block| block.stack == site.stack).collect();
        let count = |is: fn(&Op) -> bool| own.iter().filter(|event| is(&event.op)).count() as u64;
        assert_eq!(site.allocations, count(|op| matches!(op, Op::Allocate { .. })));
        assert_eq!(site.resizes, count(|op| matches!(op, Op::Resize { .. })));
        assert_eq!(site.frees, count(|op| matches!(op, Op::Free { .. })));
        let bytes = own.iter().map(|event| match event.op {
            Op::Allocate { size, .. } | Op::Resize { size, .. } => size,
            Op::Free { .. } => 0,
        });
        assert_eq!(site.bytes, bytes.sum());
        let last = facts.events.len() - 1;
        assert_eq!((site.live_bytes, site.live_blocks), facts.live_after(last, Some(site.stack)));
        assert_eq!((site.peak_bytes, site.peak_blocks), facts.live_after(peak, Some(site.stack)));
        let most = (0..=last).map(|event| facts.live_after(event, Some(site.stack)).0).max();
        assert_eq!(Some(site.max_live_bytes), most);
        assert_eq!(site.temporaries, blocks.iter().filter(|block| facts.is_temporary(block)).count() as u64);
        let is_remote = |block: &&&Block| block.died.is_some_and(|died| died.2 != block.born.2);
        assert_eq!(site.remote_frees, blocks.iter().filter(is_remote).count() as u64);
        let sizes = || blocks.iter().flat_map(|block| block.sizes.iter().map(|&(_, size)| size));
        assert_eq!(site.sizes, (sizes().min().unwrap_or(u64::MAX), sizes().max().unwrap_or(0)));
        let pairs = blocks.iter().flat_map(|block| block.sizes.windows(2));
        assert_eq!(site.copied, pairs.map(|pair| pair[0].1.min(pair[1].1)).sum());
        let mask = |threads: &mut dyn Iterator<Item = u32>| {
            threads.fold(0, |mask, thread| mask | 1 << (thread % 64))
        };
        let allocators = mask(&mut blocks.iter().map(|block| block.born.2));
        let freers = mask(&mut blocks.iter().filter_map(|block| Some(block.died?.2)));
        assert_eq!(site.threads, (allocators, freers));
        for (quarter, found) in (1..).zip(site.checkpoints) {
            let at = facts.before(quarter * 256 * facts.width());
            let live = at.map_or(0, |event| facts.live_after(event, Some(site.stack)).0);
            assert_eq!(found, live as f32, "checkpoint {quarter}");
        }
        let (mut ns, mut events) = ([0; LIFETIMES_NS], [0; LIFETIMES_EVENTS]);
        for block in blocks {
            if let Some(died) = block.died {
                ns[class(died.1 - block.born.1, 1 << 7, LIFETIMES_NS)] += 1;
                events[class((died.0 - block.born.0) as u64, 1, LIFETIMES_EVENTS)] += 1;
            }
        }
        assert_eq!((site.lifetimes_ns, site.lifetimes_events), (ns, events));
    }
}

fn check_maps(facts: &Facts, found: &Analysis) {
    let dead = || facts.blocks.iter().filter_map(|block| Some((block, block.died?)));
    for size in 0..HeatMap::SIZES {
        for lifetime in 0..HeatMap::LIFETIMES {
            let is_here = |block: &Block, died: u64| {
                class(block.last_size(), 1, HeatMap::SIZES) == size
                    && class(died - block.born.1, 1, HeatMap::LIFETIMES) == lifetime
            };
            let here =
                dead().filter(|(block, died)| is_here(block, died.1)).map(|(block, _)| block.last_size());
            let (count, bytes) = here.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size));
            assert_eq!(found.heat.get(size, lifetime), (count, bytes));
        }
    }
    let mut flows: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
    for (block, died) in dead() {
        let flow = flows.entry((block.born.2, died.2)).or_default();
        *flow = (flow.0 + 1, flow.1 + block.last_size());
    }
    let flows = flows.into_iter().map(|((from, to), (blocks, bytes))| Flow {
        from: from as u16,
        to: to as u16,
        blocks,
        bytes,
    });
    assert!(found.flows.iter().copied().eq(flows));
    let mut chains = [0; CHAINS];
    for block in facts.blocks.iter().filter(|block| block.sizes.len() > 1) {
        chains[class(block.sizes.len() as u64 - 1, 1, CHAINS)] += 1;
    }
    assert_eq!(found.chains, chains);
}

fn check_timeline(facts: &Facts, found: &Analysis) {
    let width = found.timeline.width;
    let last = facts.events[facts.events.len() - 1].time;
    if facts.summary.wall_ns >= last {
        assert_eq!(width, facts.width());
    }
    assert_eq!(found.timeline.bins.len() as u64, last / width + 1);
    assert!(found.timeline.bins.len() <= 1024);
    for (number, bin) in found.timeline.bins.iter().enumerate() {
        let start = facts.before(number as u64 * width);
        let end = facts.before((number as u64 + 1) * width);
        let live = |event: Option<usize>| event.map_or(0, |event| facts.live_after(event, None).0);
        let inside = start.map_or(0, |start| start + 1)..end.map_or(0, |end| end + 1);
        let count = |is_free: bool| {
            inside
                .clone()
                .filter(|&event| matches!(facts.events[event].op, Op::Free { .. }) == is_free)
                .count()
        };
        let max = inside.clone().map(|event| live(Some(event))).max().unwrap_or(0).max(live(start));
        let expected =
            Bin { max, last: live(end), allocations: count(false) as u64, frees: count(true) as u64 };
        assert_eq!(*bin, expected, "bin {number}");
    }
}

/// Writes a random trace of `count` events by up to `threads` threads. The recorded time is `wall_ns`, or that of the
/// last event.
fn random_file(seed: u64, count: usize, threads: u64, wall_ns: Option<u64>) -> Vec<u8> {
    let (mut file, mut random) = (Vec::new(), Random(seed));
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    for stack in 1..40_u64 {
        writer.node(random.below(stack) as u32, random.below(15), FrameKind::Return).unwrap();
    }
    let (mut live, mut time) = (Vec::new(), 0);
    for _ in 0..count {
        let spread = [5, 300, 1 << 20][random.below(3) as usize];
        time += random.below(spread);
        let thread = random.below(threads) as u32;
        let at = At { time, thread, stack: random.below(40) as u32, ..At::default() };
        let size = random.next() >> 32 >> random.below(32);
        match random.below(9) {
            pick if live.is_empty() || pick < 4 => {
                live.push((writer.allocate(at, size, 0, false).unwrap(), thread));
            }
            4 => writer.resize(at, live[random.below(live.len() as u64) as usize].0, size).unwrap(),
            5 => {
                // The thread that allocated last frees that.
                let (slot, thread) = live.pop().unwrap();
                writer.free(At { thread, ..at }, slot).unwrap();
            }
            _ => {
                let (slot, _) = live.swap_remove(random.below(live.len() as u64) as usize);
                writer.free(at, slot).unwrap();
            }
        }
    }
    let wall_ns = wall_ns.unwrap_or(time);
    writer.finish(Outcome { wall_ns, ..Outcome::default() }).unwrap();
    file
}

#[test]
fn a_second_analysis_agrees_on_random_traces() {
    for (seed, count, threads, wall_ns) in [
        (1, 1, 1, None),
        (2, 100, 1, None),
        (3, 500, 3, None),
        (4, 500, 100, None),
        (5, 400, 2, Some(0)),
        (6, 400, 9, Some(1 << 40)),
        (7, 700, 2, None),
    ] {
        let mut reader = Reader::from_bytes(random_file(seed, count, threads, wall_ns)).unwrap();
        let facts = Facts::new(read_all(&mut reader).unwrap(), reader.summary().clone());
        let found = Analysis::read(&mut reader).unwrap();
        assert!(found.found_peak);
        check_sites(&facts, &found);
        check_maps(&facts, &found);
        check_timeline(&facts, &found);
    }
}

#[test]
fn sums_over_the_tree_agree_with_sums_over_the_frames() {
    let mut reader = Reader::from_bytes(random_file(8, 20_000, 2, None)).unwrap();
    let sites = Analysis::read(&mut reader).unwrap().sites;
    let stacks = &reader.tables().stacks;
    let sum = |is_in: &dyn Fn(&[&Frame]) -> bool| {
        let frames = |stack| stacks.frames_of(stack).collect::<Vec<_>>();
        let sites = sites.iter().filter(|site| is_in(&frames(site.stack)));
        sites.map(Totals::from).fold(Totals::default(), |sum, totals| sum + totals)
    };
    let all = sum(&|_| true);
    assert_eq!(all.calls, reader.summary().allocations);
    assert_eq!(all.bytes, reader.summary().requested);
    assert_eq!(
        (all.peak_bytes, all.peak_blocks),
        (reader.summary().peak_bytes, reader.summary().peak_blocks)
    );
    assert_eq!(all.live_blocks, reader.summary().live_at_end);

    let nodes = per_node(&sites, stacks);
    assert_eq!((nodes.len(), nodes[0]), (40, all));
    let addresses = |stack| stacks.frames_of(stack).map(|frame| frame.address).collect::<Vec<_>>();
    let top = (1..40).find(|&node| stacks.nodes()[node].parent == 0).unwrap();
    let has_root = |stack: u32| {
        let mut at = stack;
        while at > 0 && at as usize != top {
            at = stacks.nodes()[at as usize].parent;
        }
        at as usize == top
    };
    let below = sites.iter().filter(|site| has_root(site.stack)).map(Totals::from);
    assert_eq!(nodes[top], below.fold(Totals::default(), |sum, totals| sum + totals));

    // Three addresses are one function.
    let folded = fold(&sites, stacks, |frame| frame.address / 3);
    assert!(folded.len() > 3);
    for (function, found) in folded {
        let is_in = |frame: &&Frame| frame.address / 3 == function;
        assert_eq!(found.inclusive, sum(&|frames| frames.iter().any(is_in)));
        assert_eq!(found.exclusive, sum(&|frames| frames.first().is_some_and(is_in)));
    }
    assert!((1..40).any(|stack| addresses(stack).len() > 3), "the tree is deep");
}

#[test]
fn a_leak_is_still_growing_at_the_end_and_a_cache_is_not() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    for address in [1, 2] {
        writer.node(0, address, FrameKind::Return).unwrap();
    }
    let mut cache = Vec::new();
    for time in 0..100_000_u64 {
        let at = At { time: time * 10_000, ..At::default() };
        writer.allocate(At { stack: 1, ..at }, 100, 0, false).unwrap();
        cache.push(writer.allocate(At { stack: 2, ..at }, 100, 0, false).unwrap());
        if cache.len() > 500 {
            writer.free(at, cache.swap_remove(7)).unwrap();
        }
    }
    writer.finish(Outcome { wall_ns: 1_000_000_000, ..Outcome::default() }).unwrap();
    let found = Analysis::read(&mut Reader::from_bytes(file).unwrap()).unwrap();
    let growth = |stack| found.sites.iter().find(|site| site.stack == stack).unwrap().growth(1_000_000_000);
    // 100,000 blocks of 100 bytes in a second.
    assert!((0.98e7..1.02e7).contains(&growth(1).unwrap()), "{:?}", growth(1));
    assert_eq!(growth(2), None);
    assert!((0.98e7..1.02e7).contains(&found.timeline.growth().unwrap()), "{:?}", found.timeline.growth());
}
