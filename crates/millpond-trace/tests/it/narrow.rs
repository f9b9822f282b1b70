//! Narrowed traces, compared with traces that were written with the other blocks left out.

use std::{collections::BTreeMap, ops::RangeInclusive};

use millpond_trace::{
    At, Detail, Event, Filter, FrameKind, Lifetimes, Op, Outcome, Reader, Shape, Start, Verb, Visitor,
    Writer,
    analysis::{Analysis, LIFETIMES_EVENTS},
};

use crate::support::{Random, Trace, random_trace};

/// Reads all events that are left. A block of events may be empty.
fn read_all(reader: &mut Reader) -> Vec<Event> {
    let (mut all, mut events) = (Vec::new(), Vec::new());
    while reader.read(&mut events).unwrap() {
        all.extend_from_slice(&events);
    }
    all
}

/// What is known about a block: its allocation, and its free as the number and the time of the event.
struct Block {
    born: Event,
    size: u64,
    events: Vec<usize>,
    died: Option<u64>,
}

fn blocks(events: &[Event]) -> Vec<Block> {
    let (mut blocks, mut slots) = (Vec::<Block>::new(), BTreeMap::new());
    for (number, event) in events.iter().enumerate() {
        let (Op::Allocate { slot, .. } | Op::Resize { slot, .. } | Op::Free { slot }) = event.op;
        if let Op::Allocate { size, .. } = event.op {
            slots.insert(slot, blocks.len());
            blocks.push(Block { born: *event, size, events: Vec::new(), died: None });
        }
        let block = &mut blocks[slots[&slot]];
        block.events.push(number);
        if let Op::Free { .. } = event.op {
            block.died = Some(event.time);
        }
    }
    blocks
}

/// Whether a block counts, asked for one condition after the other.
fn counts(block: &Block, filter: &Filter) -> bool {
    if filter.sizes.as_ref().is_some_and(|sizes| block.size < *sizes.start() || block.size > *sizes.end()) {
        return false;
    }
    let Event { time, thread, stack, .. } = block.born;
    if filter.times.as_ref().is_some_and(|times| time < *times.start() || time > *times.end()) {
        return false;
    }
    if filter.threads.as_ref().is_some_and(|threads| threads.iter().all(|&other| other != thread)) {
        return false;
    }
    if filter.stacks.as_ref().is_some_and(|stacks| stack as usize >= stacks.len() || !stacks[stack as usize])
    {
        return false;
    }
    match (&filter.lifetimes, block.died) {
        (None, _) => true,
        (Some(Lifetimes::Kept), died) => died.is_none(),
        (Some(Lifetimes::Freed(_)), None) => false,
        (Some(Lifetimes::Freed(range)), Some(died)) => {
            (*range.start()..=*range.end()).contains(&(died - time))
        }
    }
}

fn range(random: &mut Random, bound: u64) -> RangeInclusive<u64> {
    let (one, other) = (random.below(bound), random.below(bound));
    one.min(other)..=one.max(other)
}

/// A filter with each condition or without it.
fn random_filter(random: &mut Random, trace: &Trace) -> Filter {
    let last = trace.events[trace.events.len() - 1].time;
    let mut filter = Filter::default();
    if random.below(2) == 0 {
        let bound = 1 << (1 + random.below(53));
        filter.sizes = Some(range(random, bound));
    }
    if random.below(3) == 0 {
        filter.times = Some(range(random, last + 1));
    }
    if random.below(3) == 0 {
        filter.threads = Some((0..random.below(3)).map(|_| random.below(5) as u32).collect());
    }
    if random.below(3) == 0 {
        filter.stacks = Some((0..random.below(250)).map(|_| random.below(3) > 0).collect());
    }
    match random.below(4) {
        0 => filter.lifetimes = Some(Lifetimes::Kept),
        1 => filter.lifetimes = Some(Lifetimes::Freed(range(random, 1 << 20))),
        _ => {}
    }
    filter
}

/// Writes a trace of some events of another, whose stacks it has too. Its threads are numbered anew.
fn written(reader: &Reader, trace: &Trace, kept: &[usize]) -> Reader {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    let stacks = &reader.tables().stacks;
    for node in &stacks.nodes()[1..] {
        let frame = stacks.frames()[node.frame as usize];
        writer.node(node.parent, frame.address, FrameKind::Return).unwrap();
    }
    let mut slots = BTreeMap::new();
    for &number in kept {
        let Event { time, thread, stack, call, op } = trace.events[number];
        let at = At { time, thread, stack, call };
        match op {
            Op::Allocate { slot, size, align, zeroed } => {
                slots.insert(slot, writer.allocate(at, size, align, zeroed).unwrap());
            }
            Op::Resize { slot, size } => writer.resize(at, slots[&slot], size).unwrap(),
            Op::Free { slot } => writer.free(at, slots[&slot]).unwrap(),
        }
    }
    let wall_ns = trace.summary.wall_ns;
    writer.finish(Outcome { wall_ns, ..Outcome::default() }).unwrap();
    Reader::from_bytes(file).unwrap()
}

/// The temporary blocks of a stack, and its lifetimes in events: they count all events of the program.
fn by_events(trace: &Trace, blocks: &[&Block], stack: u32) -> (u64, [u32; LIFETIMES_EVENTS]) {
    let (mut temporaries, mut lifetimes) = (0, [0; LIFETIMES_EVENTS]);
    for block in blocks.iter().filter(|block| block.born.stack == stack && block.died.is_some()) {
        let (first, last) = (block.events[0], block.events[block.events.len() - 1]);
        lifetimes[((last - first).ilog2() as usize).min(LIFETIMES_EVENTS - 1)] += 1;
        let thread = trace.events[last].thread;
        let before = (0..last).rev().find(|&event| trace.events[event].thread == thread);
        temporaries += u64::from(before == Some(first));
    }
    (temporaries, lifetimes)
}

#[test]
fn equal_to_a_trace_without_the_other_blocks() {
    let (mut left, mut compared) = (0, 0);
    for seed in 0..60 {
        let trace = random_trace(seed, 1500);
        let all = blocks(&trace.events);
        let mut reader = Reader::from_bytes(trace.file.clone()).unwrap();
        let mut random = Random(seed + 1000);
        for _ in 0..3 {
            let filter = random_filter(&mut random, &trace);
            let mut last = 0;
            reader.narrow(&filter, |done| last = done).unwrap();
            assert_eq!(last, 2 * trace.summary.events);
            let chosen: Vec<_> = all.iter().filter(|block| counts(block, &filter)).collect();
            let mut kept: Vec<_> = chosen.iter().flat_map(|block| block.events.iter().copied()).collect();
            kept.sort_unstable();
            left += kept.len();
            let mut expected = written(&reader, &trace, &kept);
            let (found, mut events) = (read_all(&mut reader), read_all(&mut expected));
            // The trace that was written has numbered its threads anew.
            for (event, &number) in events.iter_mut().zip(&kept) {
                event.thread = trace.events[number].thread;
            }
            assert_eq!(found, events, "{filter:?}");
            let (summary, of_written) = (reader.summary().clone(), expected.summary());
            let threads = of_written.threads;
            let expected_summary = millpond_trace::Summary {
                threads: summary.threads,
                tables: summary.tables,
                ..of_written.clone()
            };
            assert_eq!(summary, expected_summary);
            let mut last = 0;
            let mut found = Analysis::read_with(&mut reader, |done| last = done).unwrap();
            assert_eq!(last, summary.events);
            let mut other = Analysis::read(&mut expected).unwrap();
            for site in &mut found.sites {
                let (temporaries, lifetimes) = by_events(&trace, &chosen, site.stack);
                assert_eq!((site.temporaries, site.lifetimes_events), (temporaries, lifetimes));
            }
            for site in found.sites.iter_mut().chain(&mut other.sites) {
                (site.temporaries, site.lifetimes_events, site.threads) = Default::default();
            }
            found.sites.sort_by_key(|site| site.stack);
            other.sites.sort_by_key(|site| site.stack);
            assert_eq!(found.sites, other.sites);
            assert_eq!((found.heat, found.chains), (other.heat, other.chains));
            assert_eq!(found.timeline, other.timeline);
            if threads == summary.threads {
                assert_eq!(found.flows.iter().map(|flow| flow.blocks).sum::<u64>(), summary.frees);
                compared += 1;
            }
        }
    }
    assert!(left > 10_000 && compared > 10, "{left} events, {compared} traces with all threads");
}

#[test]
fn a_filter_without_conditions_leaves_everything() {
    let trace = random_trace(7, 3000);
    let mut reader = Reader::from_bytes(trace.file.clone()).unwrap();
    let sorted = |reader: &mut Reader| {
        let mut analysis = Analysis::read(reader).unwrap();
        analysis.sites.sort_by_key(|site| site.stack);
        analysis
    };
    let whole = sorted(&mut reader);
    reader.narrow(&Filter { threads: Some(Vec::new()), ..Filter::default() }, |_| ()).unwrap();
    assert_eq!((reader.summary().events, reader.summary().slots), (0, 0));
    assert_eq!(read_all(&mut reader), []);
    reader.narrow(&Filter::default(), |_| ()).unwrap();
    assert_eq!(*reader.summary(), trace.summary);
    assert!(sorted(&mut reader) == whole);
    reader.rewind().unwrap();
    assert_eq!(read_all(&mut reader), trace.events);
}

/// Collects the details, and the sizes of the events to which they belong.
#[derive(Default)]
struct Details {
    shapes: Vec<Shape>,
    details: Vec<Detail>,
    sizes: Vec<u64>,
}

impl Visitor for Details {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes = shapes.to_vec();
    }

    fn event(&mut self, _: u64, _: u32, shape: usize, _: u32) {
        let shape = self.shapes[shape];
        self.sizes.extend((shape.verb != Verb::Free).then_some(shape.size));
    }

    fn details(&mut self, details: &[Detail]) {
        self.details.extend_from_slice(details);
    }
}

#[test]
fn details_stay_with_their_events() {
    let (mut file, mut random) = (Vec::new(), Random(5));
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    for time in 0..100_000 {
        let at = At { time, ..At::default() };
        let size = random.below(100);
        let slot = writer.allocate(at, size, 0, false).unwrap();
        writer.detail(Detail { usable: Some(size), ..Detail::default() }).unwrap();
        if size % 3 == 0 {
            writer.resize(at, slot, size + 1000).unwrap();
            writer.detail(Detail { usable: Some(size + 1000), ..Detail::default() }).unwrap();
        }
        if size % 2 == 0 {
            writer.free(at, slot).unwrap();
        }
    }
    writer.finish(Outcome::default()).unwrap();
    let mut reader = Reader::from_bytes(file).unwrap();
    reader.narrow(&Filter { sizes: Some(10..=19), ..Filter::default() }, |_| ()).unwrap();
    let mut found = Details::default();
    reader.visit(&mut found).unwrap();
    let usable: Vec<_> = found.details.iter().map(|detail| detail.usable.unwrap()).collect();
    assert!(usable.len() > 10_000 && usable.iter().all(|size| (10..=19).contains(&(size % 1000))));
    assert_eq!(usable, found.sizes);
}
