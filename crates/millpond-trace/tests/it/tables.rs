//! Tables and details: reading returns what was written, wherever it was written.

use millpond_trace::{
    At, Detail, Frame, FrameKind, Mark, Module, Origin, Outcome, Reader, Resources, Sample, Shape, Start,
    Symbol, Thread, TraceError, Verb, Visitor, Writer,
};

use crate::support::{Random, read_all};

fn module(start: u64, end: u64, path: &str) -> Module {
    Module { start, end, offset: 0x1000, path: path.into(), build_id: vec![1, 2, 3], ..Module::default() }
}

#[test]
fn every_table_comes_back() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    let modules = [module(10, 20, "/a"), module(30, 40, "/b")];
    for (number, module) in modules.iter().enumerate() {
        assert_eq!(writer.module(module.clone()).unwrap() as usize, number);
    }
    let (mut marks, mut samples) = (Vec::new(), Vec::new());
    for time in 0..200_000 {
        writer.allocate(At { time, thread: 9 + (time % 2) as u32, ..At::default() }, 1, 0, false).unwrap();
        if time % 1_000 == 0 {
            let mark = Mark { time, name: format!("phase {time}") };
            writer.mark(&mark).unwrap();
            marks.push(mark);
            let sample = Sample { time, resident: time * 4096, page_faults: 7, ..Sample::default() };
            writer.sample(sample).unwrap();
            samples.push(sample);
        }
    }
    writer.unload(0, 150_000).unwrap();
    let main = Thread { number: 9, name: "main".into(), ..Thread::default() };
    let silent = Thread { number: 77, name: "ü".into(), started: 5, ended: Some(6) };
    writer.thread(main.clone());
    writer.thread(silent.clone());
    let symbol =
        |function: &str, line| Symbol { address: 7, function: function.into(), file: "ü.c".into(), line };
    let symbols = [symbol("inner", 3), symbol("outer", u32::MAX)];
    symbols.iter().for_each(|symbol| writer.symbol(symbol).unwrap());
    let resources = Resources { origin: Some(Origin::Dhat.to_number()), ..Resources::default() };
    writer.finish(Outcome { resources, ..Outcome::default() }).unwrap();

    let mut reader = Reader::from_bytes(file).unwrap();
    assert_eq!(reader.summary().resources.origin(), Origin::Dhat);
    for _ in 0..2 {
        read_all(&mut reader).unwrap();
        let tables = reader.tables();
        assert_eq!(tables.modules[0], Module { unloaded: Some(150_000), ..modules[0].clone() });
        assert_eq!(tables.modules[1..], modules[1..]);
        assert_eq!((&tables.marks, &tables.samples), (&marks, &samples));
        assert_eq!(tables.symbols, symbols);
        assert_eq!(
            tables.threads,
            [Thread { number: 0, ..main.clone() }, Thread { number: 2, ..silent.clone() }]
        );
        reader.rewind().unwrap();
    }
    assert_eq!(reader.summary().threads, 2);
}

#[test]
fn many_stacks_come_back() {
    let (mut file, mut random) = (Vec::new(), Random(1));
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    let mut frames = vec![vec![]];
    for stack in 1..150_000_u32 {
        let parent = random.below(u64::from(stack.min(1_000))) as u32;
        let address = random.below(5_000) * 0x1_0000_0001;
        assert_eq!(writer.node(parent, address, FrameKind::Return).unwrap(), stack);
        frames.push([&[address], &frames[parent as usize][..]].concat());
        writer.allocate(At { stack, ..At::default() }, 1, 0, false).unwrap();
    }
    assert_eq!(writer.finish(Outcome::default()).unwrap().stacks, 150_000);
    let mut reader = Reader::from_bytes(file).unwrap();
    assert!(read_all(&mut reader).unwrap().iter().map(|event| event.stack).eq(1..150_000));
    let stacks = &reader.tables().stacks;
    assert_eq!((stacks.len(), stacks.frames().len() <= 5_000), (150_000, true));
    for (stack, expected) in frames.iter().enumerate() {
        let found: Vec<_> = stacks.frames_of(stack as u32).map(|frame| frame.address).collect();
        assert_eq!(&found, expected);
    }
    assert_eq!(stacks.frames_of(150_000).count(), 0);
}

#[test]
fn a_frame_belongs_to_the_module_of_its_time() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    let first = writer.module(module(100, 200, "/first")).unwrap();
    let mut frames = vec![(100, None), (101, Some(0)), (200, Some(0)), (201, None)];
    for &(address, _) in &frames {
        writer.node(0, address, FrameKind::Return).unwrap();
    }
    writer.node(0, 100, FrameKind::Exact).unwrap();
    writer.node(0, 150, FrameKind::Cut).unwrap();
    writer.unload(first, 5).unwrap();
    writer.node(0, 150, FrameKind::Return).unwrap();
    writer.module(module(100, 160, "/second")).unwrap();
    writer.module(module(150, 300, "/third")).unwrap();
    for address in [120, 160, 250] {
        writer.node(0, address, FrameKind::Return).unwrap();
    }
    frames.extend([(100, Some(0)), (150, None), (150, None), (120, None), (160, Some(2)), (250, Some(2))]);
    writer.finish(Outcome::default()).unwrap();
    let mut reader = Reader::from_bytes(file).unwrap();
    read_all(&mut reader).unwrap();
    let found: Vec<_> =
        reader.tables().stacks.frames().iter().map(|frame| (frame.address, frame.module)).collect();
    assert_eq!(found, frames);
    let frame: &Frame = &reader.tables().stacks.frames()[8];
    let (module, offset) = frame.place(&reader.tables().modules).unwrap();
    assert_eq!((module.path.as_str(), offset), ("/third", 159 - 150 + 0x1000));
}

/// Collects the details, and checks that there is one for each allocation and resize.
#[derive(Default)]
struct Collect {
    shapes: Vec<Shape>,
    details: Vec<Detail>,
    blocks: usize,
    events: usize,
}

impl Visitor for Collect {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes = shapes.to_vec();
        self.blocks += 1;
    }

    fn event(&mut self, _: u64, _: u32, shape: usize, _: u32) {
        self.events += usize::from(self.shapes[shape].verb != Verb::Free);
    }

    fn details(&mut self, details: &[Detail]) {
        self.details.extend_from_slice(details);
    }
}

#[test]
fn details_come_back_whether_there_are_few_or_many() {
    let (mut file, mut random) = (Vec::new(), Random(2));
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    let mut expected = Vec::new();
    for time in 0..300_000_u64 {
        let at = At { time, ..At::default() };
        let size = random.below(500);
        let slot = writer.allocate(at, size, 0, false).unwrap();
        // None in the first block, all in the second, some in the others.
        let count = match time {
            0..32_768 => 0,
            32_768..65_536 => 3,
            _ => random.below(9).saturating_sub(5),
        };
        let detail = Detail {
            address: (count > 0).then(|| random.next()),
            usable: (count > 1).then(|| size + random.below(300)),
            weight: (count > 2).then(|| 1 + random.below(1 << 40)),
        };
        if count > 0 {
            writer.detail(detail).unwrap();
        }
        expected.push(detail);
        writer.free(at, slot).unwrap();
        assert!(matches!(writer.detail(detail), Err(TraceError::Misuse(_))));
    }
    writer.finish(Outcome::default()).unwrap();
    let mut found = Collect::default();
    Reader::from_bytes(file).unwrap().visit(&mut found).unwrap();
    assert_eq!((found.blocks, found.events), (600_000_usize.div_ceil(65_536), 300_000));
    assert!(found.details == expected[32_768..]);
}

#[test]
fn what_does_not_exist_is_refused() {
    let mut writer = Writer::new(std::io::sink(), &Start::default()).unwrap();
    assert!(matches!(writer.detail(Detail::default()), Err(TraceError::Misuse(_))));
    assert!(matches!(writer.node(1, 5, FrameKind::Return), Err(TraceError::Misuse(_))));
    assert!(matches!(writer.unload(0, 5), Err(TraceError::Misuse(_))));
    let at = At { stack: 1, ..At::default() };
    assert!(matches!(writer.allocate(at, 1, 0, false), Err(TraceError::Misuse(_))));
    let slot = writer.allocate(At::default(), 1, 0, false).unwrap();
    assert!(matches!(writer.resize(at, slot, 1), Err(TraceError::Misuse(_))));
    assert!(matches!(writer.free(at, slot), Err(TraceError::Misuse(_))));
    let summary = writer.finish(Outcome::default()).unwrap();
    assert_eq!((summary.events, summary.stacks, summary.tables), (1, 1, 0));
}
