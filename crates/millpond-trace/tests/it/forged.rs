//! Files created from FORMAT.md without the writer: valid ones, and ones that violate its rules with correct checksums.

use millpond_trace::{
    Call, Detail, Event, Family, Frame, FrameKind, Op, Place, Reader, Shape, TraceError, Visitor,
};

use crate::support::{random_trace, read_all, verdict};

/// The parts of a file.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) start: Vec<u8>,
    pub(crate) tables: Vec<Vec<u8>>,
    pub(crate) blocks: Vec<Vec<u8>>,
    pub(crate) summary: Vec<u8>,
}

/// The columns of a block of events.
type Columns = [Vec<u8>; 14];

/// The contents of the start section.
const START: &[u8] = b"\x02/x\x01\x01x\x07\x01\0";

/// Returns the numbers of the summary for a file with these numbers of events, allocations, frees, resizes, slots and
/// threads, and with the stacks of [`stacks`].
fn summary_of([events, allocations, frees, resizes, slots, threads]: [u8; 6]) -> Vec<u8> {
    let live = allocations - resizes - frees;
    vec![
        events,
        allocations,
        frees,
        resizes,
        90,
        80,
        1,
        slots,
        threads,
        live,
        0,
        0,
        0,
        0,
        0,
        1,
        3,
        1,
        0,
        0,
        0,
        0,
    ]
}

/// Returns a section with correct checksums, whatever its contents.
fn section_of(kind: u32, position: u32, events: u32, length: u32, payload: &[u8]) -> Vec<u8> {
    let words = [kind, position, events, length, crc32fast::hash(payload)];
    let mut section: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    section.extend_from_slice(&crc32fast::hash(&section).to_le_bytes());
    section.extend_from_slice(payload);
    section
}

/// Returns a section with the given claims in its head.
pub(crate) fn section_claiming(kind: u32, events: u32, length: u32, payload: &[u32]) -> Vec<u8> {
    let payload: Vec<u8> = payload.iter().flat_map(|word| word.to_le_bytes()).collect();
    section_of(kind, 0, events, length, &payload)
}

fn section(kind: u32, position: u32, events: u32, columns: &[Vec<u8>]) -> Vec<u8> {
    let payload = payload_of(2, columns);
    section_of(kind, position, events, payload.len() as u32, &payload)
}

fn payload_of(version: u8, columns: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (key, column) in columns.iter().enumerate() {
        let frame = if column.is_empty() { Vec::new() } else { zstd::bulk::compress(column, 1).unwrap() };
        if version > 1 {
            payload.extend_from_slice(&(key as u32).to_le_bytes());
        }
        payload.extend_from_slice(&(column.len() as u32).to_le_bytes());
        payload.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        payload.extend_from_slice(&frame);
    }
    payload
}

impl File {
    fn new(start: &[u8], blocks: &[(u32, Columns)], summary: Vec<u8>) -> Self {
        let block = |(position, (events, columns)): (usize, &(u32, Columns))| {
            section(2, position as u32, *events, columns)
        };
        Self {
            start: section(1, 0, 0, &[start.to_vec()]),
            tables: vec![section(4, 0, 2, &stacks())],
            blocks: blocks.iter().enumerate().map(block).collect(),
            summary: section(3, 0, 0, &[summary]),
        }
    }

    /// Returns a file with three events: allocate 90 bytes, resize to 80, free.
    pub(crate) fn example() -> Self {
        Self::new(START, &[(3, columns())], summary_of([3, 2, 1, 1, 1, 1]))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_of_version(2)
    }

    fn bytes_of_version(&self, version: u8) -> Vec<u8> {
        let mut file = b"\x93MPT\r\n\x1a\n".to_vec();
        file.extend_from_slice(&[version, 0, 0, 0]);
        file.extend_from_slice(&crc32fast::hash(&file).to_le_bytes());
        file.extend_from_slice(&self.start);
        self.tables.iter().chain(&self.blocks).for_each(|section| file.extend_from_slice(section));
        let place = (file.len() as u64).to_le_bytes();
        file.extend_from_slice(&self.summary);
        file.extend_from_slice(&place);
        file.extend_from_slice(&crc32fast::hash(&place).to_le_bytes());
        file.extend_from_slice(b"MPTE");
        file
    }
}

/// Returns the columns of a table of two stacks: 64, and 65 called from 64.
fn stacks() -> [Vec<u8>; 5] {
    [
        vec![1, 1],       // parents: one less each
        vec![0, 1],       // frames: two new ones
        vec![0x80, 1, 2], // addresses: 64, 65
        vec![0, 0],       // modules: none
        vec![0, 1],       // kinds: a return address, an exact one
    ]
}

/// Returns the columns of [`File::example`].
fn columns() -> Columns {
    [
        vec![2, 1, 0],     // verbs: allocate, resize, free
        vec![2, 2, 1],     // stacks: 1, 2, 1
        vec![0xb4, 1, 19], // sizes: 90, 80
        vec![0, 3],        // three events of thread 0
        vec![0, 1, 2],     // shapes
        vec![],            //
        vec![5, 255, 254], // times: 5, then 255 + 300 later, then 254 later
        vec![0xac, 2],     //
        vec![0, 0],        // names: the finger itself, twice
        vec![],            //
        vec![0, 0, 9],     // calls: functions of C, then a sized delete
        vec![],            // addresses
        vec![11, 0],       // usable bytes: 10 more than 90, then unknown
        vec![],            // weights
    ]
}

/// A file with two blocks of events.
fn two_blocks() -> File {
    // Allocates slots 0 and 1 on two threads; frees 0 (one step older), resizes 1 (where the finger went: newer);
    // then, in a second block, allocates slot 0 again, aligned to 4,096 and zeroed, and frees slot 1 by its number
    // (31 + folded 1).
    let mut first = columns().map(|_| vec![]);
    first[0] = vec![2, 2, 0, 1];
    first[1] = vec![0, 0, 0, 0];
    first[2] = vec![16, 16, 4]; // 8, 16, 18
    first[3] = vec![0, 1, 1, 1, 0, 2];
    first[4] = vec![0, 1, 2, 3];
    first[6] = vec![1, 1, 1, 1];
    first[8] = vec![2, 0];
    let mut second = columns().map(|_| vec![]);
    second[0] = vec![2 + 2 * 13 + 1, 0];
    second[1] = vec![4, 3]; // stack 2, then 0
    second[2] = vec![2];
    second[3] = vec![1, 2];
    second[4] = vec![0, 1];
    second[6] = vec![0, 0];
    second[8] = vec![31 + 2];
    File::new(START, &[(4, first), (2, second)], summary_of([6, 4, 2, 1, 2, 2]))
}

#[test]
fn a_file_made_by_hand_is_read() {
    let call = Call::default();
    let event = |time, thread, stack, op| Event { time, thread, stack, call, op };
    let expected = [
        event(1, 0, 0, Op::Allocate { slot: 0, size: 8, align: 0, zeroed: false }),
        event(2, 1, 0, Op::Allocate { slot: 1, size: 16, align: 0, zeroed: false }),
        event(3, 0, 0, Op::Free { slot: 0 }),
        event(4, 0, 0, Op::Resize { slot: 1, size: 18 }),
        event(4, 1, 2, Op::Allocate { slot: 0, size: 1, align: 4096, zeroed: true }),
        event(4, 1, 0, Op::Free { slot: 1 }),
    ];
    assert_eq!(verdict(two_blocks().bytes()).unwrap(), expected);

    let mut reader = Reader::from_bytes(File::example().bytes()).unwrap();
    let example = read_all(&mut reader).unwrap();
    assert_eq!(example[1], event(560, 0, 2, Op::Resize { slot: 0, size: 80 }));
    let delete = Call { family: Family::New, sized: true, ..Call::default() };
    assert_eq!(example[2], Event { call: delete, ..event(814, 0, 1, Op::Free { slot: 0 }) });
    let frames: Vec<_> = reader.tables().stacks.frames_of(2).copied().collect();
    let frame = |address, kind| Frame { address, module: None, kind };
    assert_eq!(frames, [frame(65, FrameKind::Exact), frame(64, FrameKind::Return)]);
}

/// Collects details.
struct Details(Vec<Detail>);

impl Visitor for Details {
    fn shapes(&mut self, _: &[Shape]) {}
    fn event(&mut self, _: u64, _: u32, _: usize, _: u32) {}
    fn details(&mut self, details: &[Detail]) {
        self.0.extend_from_slice(details);
    }
}

#[test]
fn details_made_by_hand_are_read() {
    let mut details = Details(Vec::new());
    Reader::from_bytes(File::example().bytes()).unwrap().visit(&mut details).unwrap();
    assert_eq!(details.0, [Detail { usable: Some(100), ..Detail::default() }, Detail::default()]);
}

#[test]
fn what_a_later_version_adds_is_skipped() {
    let mut columns = columns().to_vec();
    columns.resize(20, vec![]);
    columns.push(vec![1, 2, 3]);
    let mut file = File { blocks: vec![section(2, 0, 3, &columns)], ..File::example() };
    file.tables.push(section_of(99, 7, 5, 3, b"xyz"));
    let mut summary = summary_of([3, 2, 1, 1, 1, 1]);
    summary[17] = 2;
    file.summary = section(3, 0, 0, &[summary]);
    assert_eq!(verdict(file.bytes()).unwrap(), verdict(File::example().bytes()).unwrap());
    let columns = |file: &File| {
        let mut count = 0;
        Reader::from_bytes(file.bytes()).unwrap().visit_bytes(&mut |_| count += 1).unwrap();
        count
    };
    assert_eq!(columns(&file), columns(&File::example()));
}

/// Checks that the example with a changed block is refused for this reason.
fn refused(reason: &str, events: u32, change: impl FnOnce(&mut Columns)) {
    let mut columns = columns();
    change(&mut columns);
    let file = File { blocks: vec![section(2, 0, events, &columns)], ..File::example() };
    assert_eq!(reading(&file), (Place::Block(0), reason));
}

#[test]
fn columns_that_break_the_rules_are_refused() {
    let table = "the table of shapes is unreadable";
    refused(table, 3, |columns| columns[0][0] = 68);
    refused(table, 3, |columns| columns[0].truncate(2));
    refused(table, 3, |columns| columns[1].push(0));
    refused(table, 3, |columns| columns[2].truncate(2));
    refused("there are more shapes than events", 3, |columns| columns[0].push(0));
    refused(table, 3, |columns| columns[1][1] = 4);
    refused(table, 3, |columns| columns[10].truncate(2));
    refused(table, 3, |columns| columns[10].push(0));
    refused(table, 3, |columns| columns[10][0] = 3);
    refused(table, 3, |columns| columns[10][0] = 32);
    refused("the details are unreadable", 3, |columns| columns[12] = vec![0x80]);
    refused("the details are unreadable", 3, |columns| columns[12] = vec![0; 4]);
    refused("the details are unreadable", 3, |columns| columns[13] = vec![1]);
    refused("the details do not fit the events", 3, |columns| columns[12] = vec![0; 3]);
    refused("the details do not fit the events", 3, |columns| columns[12] = vec![1]);
    refused("the details do not fit the events", 3, |columns| {
        columns[12] = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0];
    });
    refused("an event has no shape", 3, |columns| columns[4][2] = 3);
    refused("an event has no shape", 3, |columns| columns[4].truncate(2));
    refused("an event has no shape", 3, |columns| columns[4][2] = 255);
    refused("a time is missing", 3, |columns| columns[6].truncate(1));
    refused("a time is too late", 3, |columns| {
        columns[7] = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfd, 1];
        columns[6] = vec![255, 255, 255];
        columns[7].extend_from_within(..);
    });
    refused("a thread is out of turn or beyond those of the summary", 3, |columns| columns[3][0] = 1);
    refused("a thread is out of turn or beyond those of the summary", 3, |columns| columns[3].clear());
    let mut swapped = columns();
    swapped[3][0] = 1;
    let swapped = File::new(START, &[(3, swapped)], summary_of([3, 2, 1, 1, 1, 2]));
    assert_eq!(reading(&swapped).0, Place::Block(0));
    refused("a thread's run is too long", 3, |columns| columns[3][1] = 0);
    refused("a thread's run is too long", 3, |columns| columns[3][1] = 4);
    refused("an event names no live block", 3, |columns| columns[8].truncate(1));
    for name in [1, 2, 30, 31 + 1, 31 + 2, 31 + 4] {
        refused("an event names no live block", 3, |columns| columns[8][0] = name);
    }
    refused("an event names no live block", 3, |columns| {
        columns[8][0] = 255;
        columns[9] = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    });
    refused("an event names no live block", 3, |columns| columns[4] = vec![2, 0, 1]);
    refused("more blocks are live than in the summary", 3, |columns| columns[4] = vec![0, 0, 2]);
    for column in [3, 4, 5, 6, 7, 8, 9] {
        refused("a column is longer than its events need", 3, |columns| {
            columns[12].clear();
            columns[column].push(1);
        });
    }
    refused("the number of entries is wrong", 0, |columns| columns.iter_mut().for_each(Vec::clear));
    refused("the number of events is wrong", 4, |_| ());
    refused("it is longer than it can be", 65_537, |_| ());
    refused("a column is too long", 3, |columns| columns[7] = vec![0; 31]);
}

/// Returns where and how a file is damaged; the file must be refused.
fn damage(error: TraceError) -> (Place, &'static str) {
    match error {
        TraceError::Corrupt { place, what } => (place, what),
        other => panic!("{other}"),
    }
}

/// Errors that are detected when a file is opened.
fn opening(file: &File) -> (Place, &'static str) {
    damage(Reader::from_bytes(file.bytes()).unwrap_err())
}

/// Errors that are detected when a file is read to its end.
fn reading(file: &File) -> (Place, &'static str) {
    damage(verdict(file.bytes()).unwrap_err())
}

#[test]
fn payloads_that_break_the_rules_are_refused() {
    let changed = |edit: fn(&mut Vec<u8>)| {
        let mut payload = File::example().blocks[0][24..].to_vec();
        edit(&mut payload);
        let block = section_of(2, 0, 3, payload.len() as u32, &payload);
        reading(&File { blocks: vec![block], ..File::example() }).1
    };
    assert_eq!(changed(|payload| payload.truncate(payload.len() - 1)), "a column is missing");
    assert_eq!(changed(|payload| payload.push(0)), "a column is missing");
    assert_eq!(changed(|payload| payload.extend_from_within(..)), "a column is out of turn");
    assert_eq!(changed(|payload| payload[4] -= 1), "a column has the wrong length");
    assert_eq!(changed(|payload| payload[4] += 1), "a column has the wrong length");
    assert_eq!(changed(|payload| payload[9] = 255), "a column is cut off");
    assert_eq!(changed(|payload| payload[12] ^= 1), "a column does not decompress");

    let long = vec![0; (16 << 20) + 1];
    let long = section_of(2, 0, 3, long.len() as u32, &long);
    let place = (Place::Block(0), "it is longer than it can be");
    assert_eq!(reading(&File { blocks: vec![long], ..File::example() }), place);
    // One that reaches into the summary.
    let mut payload = File::example().blocks[0][24..].to_vec();
    payload.push(0);
    let mut block = section_of(2, 0, 3, payload.len() as u32, &payload);
    block.pop();
    assert_eq!(reading(&File { blocks: vec![block], ..File::example() }), place);
}

#[test]
fn starts_and_summaries_that_break_the_rules_are_refused() {
    let file = |start: &[u8], summary: &[u8]| File::new(start, &[(3, columns())], summary.to_vec());
    let good = summary_of([3, 2, 1, 1, 1, 1]);
    let long = [START, &[0]].concat();
    for start in
        [&START[..5], &long, b"", b"\x02/\xff\0\x07\x01\0", b"\x01x\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01x"]
    {
        assert_eq!(opening(&file(start, &good)), (Place::Start, "it is unreadable"));
    }
    // Counts that contradict each other, an unknown ending, more modules than there are; too short, too long.
    let unreadable = (Place::Summary, "it is unreadable");
    for (at, value) in [
        (0, 4),
        (1, 3),
        (2, 2),
        (3, 3),
        (6, 2),
        (7, 2),
        (7, 0),
        (8, 4),
        (9, 1),
        (15, 4),
        (18, 9),
        (19, 9),
        (20, 9),
    ] {
        let mut summary = good.clone();
        summary[at] = value;
        assert_eq!(opening(&file(START, &summary)), unreadable, "number {at} = {value}");
    }
    for length in 16..good.len() {
        assert_eq!(opening(&file(START, &good[..length])), unreadable, "{length} bytes");
    }
    let facts = good.len() - 1;
    for other in [&[0, 0][..], &[1], &[1, 1], &[1, 1, 1, 1], &[2, 1, 1]] {
        assert_eq!(opening(&file(START, &[&good[..facts], other].concat())), unreadable, "facts {other:?}");
    }
    let unknown = file(START, &[&good[..facts], &[1, 99, 7]].concat());
    assert!(Reader::from_bytes(unknown.bytes()).is_ok(), "a fact of a later version");

    // Counts that agree with each other but not with the events.
    let lie = "it says there are more events, slots, threads or rows of tables than there are";
    for counts in [[3, 2, 1, 0, 2, 1], [3, 2, 1, 1, 1, 2], [5, 3, 2, 1, 1, 1]] {
        assert_eq!(reading(&file(START, &summary_of(counts))), (Place::Summary, lie), "{counts:?}");
    }
    for (at, value) in [(16, 2), (16, 4), (17, 0), (17, 2)] {
        let mut summary = good.clone();
        summary[at] = value;
        assert_eq!(reading(&file(START, &summary)), (Place::Summary, lie), "number {at} = {value}");
    }
    let many = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let many = [&many, &many, &[0, 0, 0, 0, 0, 1, 1][..], &many, &[0; 12]].concat();
    let lie = "it says there are more events than the file can hold";
    assert_eq!(opening(&file(START, &many)), (Place::Summary, lie));
}

/// Returns a file of version 1 with the events of [`File::example`].
fn version_1(summary: &[u8], columns: &[Vec<u8>]) -> Vec<u8> {
    let section = |kind, entries, columns: &[Vec<u8>]| {
        let payload = payload_of(1, columns);
        section_of(kind, 0, entries, payload.len() as u32, &payload)
    };
    let file = File {
        start: section(1, 0, &[START.to_vec()]),
        tables: vec![],
        blocks: vec![section(2, 3, columns)],
        summary: section(3, 0, &[summary.to_vec()]),
    };
    file.bytes_of_version(1)
}

#[test]
fn traces_of_version_1_have_callers_and_are_read() {
    let mut columns = columns()[..10].to_vec();
    columns[1] = vec![0x80, 1, 2, 1]; // callers: 64, 65, 64
    let mut summary = summary_of([3, 2, 1, 1, 1, 1]);
    summary.truncate(16);
    summary.extend_from_slice(&[1, 60, 70, 7, 2, b'/', b'x']); // a module
    let mut reader = Reader::from_bytes(version_1(&summary, &columns)).unwrap();
    assert_eq!((reader.summary().events, reader.summary().stopped.as_str()), (3, ""));
    for _ in 0..2 {
        let stacks: Vec<_> = read_all(&mut reader).unwrap().iter().map(|event| event.stack).collect();
        assert_eq!(stacks, [1, 2, 1]);
        let stacks = &reader.tables().stacks;
        assert_eq!((stacks.len(), stacks.frames_of(1).count()), (3, 1));
        let frame = stacks.frames_of(2).next().unwrap();
        assert_eq!((frame.address, frame.module), (65, Some(0)));
        let (module, offset) = frame.place(&reader.tables().modules).unwrap();
        assert_eq!((module.path.as_str(), offset), ("/x", 7 + 64 - 60));
        reader.rewind().unwrap();
    }

    assert!(Reader::from_bytes(version_1(&[&summary[..], &[0]].concat(), &columns)).is_err(), "too long");
    summary[15] = 3;
    assert!(Reader::from_bytes(version_1(&summary, &columns)).is_err(), "an ending of version 2");
    summary[15] = 1;
    columns.push(vec![0, 0, 9]);
    assert!(verdict(version_1(&summary, &columns)).is_err(), "a column of version 2");
}

/// Checks that the example with a changed table of stacks is refused.
fn stacks_refused(change: impl FnOnce(&mut [Vec<u8>; 5])) {
    let mut columns = stacks();
    change(&mut columns);
    let file = File { tables: vec![section(4, 0, 2, &columns)], ..File::example() };
    assert_eq!(reading(&file), (Place::Table(0), "it is unreadable"));
}

#[test]
fn tables_that_break_the_rules_are_refused() {
    stacks_refused(|columns| columns[0][0] = 0);
    stacks_refused(|columns| columns[0][0] = 2);
    stacks_refused(|columns| columns[1][0] = 1);
    stacks_refused(|columns| columns[1][1] = 0);
    stacks_refused(|columns| columns[2].truncate(2));
    stacks_refused(|columns| columns[3][0] = 1);
    stacks_refused(|columns| columns[4][0] = 4);
    for column in 0..5 {
        stacks_refused(|columns| columns[column].push(1));
    }
    // A module, its end, the end of none, and rows that are too few, too many, or of no kind.
    let module = [0, 1, 2, 3, 1, b'x', 2, 8, 9, 0, 0];
    let table = |kind, count, rows: &[u8]| {
        let mut summary = summary_of([3, 2, 1, 1, 1, 1]);
        summary[17] = 2;
        let mut file = File::example();
        file.tables.push(section(kind, 0, count, &[rows.to_vec()]));
        file.summary = section(3, 0, 0, &[summary]);
        file
    };
    let mut reader = Reader::from_bytes(table(5, 2, &[&module[..], &[1, 0, 77]].concat()).bytes()).unwrap();
    read_all(&mut reader).unwrap();
    assert_eq!(reader.tables().modules[0].unloaded, Some(77));
    assert_eq!(reader.tables().modules[0].build_id, [8, 9]);
    for (kind, count, rows) in [
        (5, 2, &[&module[..], &[1, 1, 77]].concat()[..]),
        (5, 1, &[2, 0, 0]),
        (5, 2, &module),
        (5, 1, &[&module[..], &[0]].concat()),
        (6, 1, &[0, 2, b'x', 0, 0]),
        (6, 1, &[0, 1, 0xff, 0, 0]),
        (7, 2, &[1, 1, b'x']),
        (8, 1, &[1, 2, 3, 4]),
        (8, 1, &[1, 2, 3, 4, 5, 6]),
    ] {
        assert_eq!(reading(&table(kind, count, rows)), (Place::Table(1), "it is unreadable"), "{rows:?}");
    }
    for kind in [1, 3] {
        let file = File { tables: vec![section(kind, 0, 0, &[vec![1]])], ..File::example() };
        assert_eq!(reading(&file), (Place::Table(0), "another section is in its place"));
    }
    let file = File { tables: vec![section(4, 1, 2, &stacks())], ..File::example() };
    assert_eq!(reading(&file), (Place::Table(0), "another section is in its place"));
    let late = File {
        tables: vec![],
        blocks: vec![section(2, 0, 3, &columns()), section(4, 0, 2, &stacks())],
        ..File::example()
    };
    assert_eq!(reading(&late), (Place::Block(0), "the table of shapes is unreadable"));
}

#[test]
fn sections_out_of_place_are_refused() {
    let good = File::example();
    let other = "another section is in its place";
    let block = |position| section(2, position, 3, &columns());
    let start = File { start: good.summary.clone(), ..good.clone() };
    assert_eq!(opening(&start), (Place::Start, other));
    let summary = File { summary: good.blocks[0].clone(), ..good.clone() };
    assert_eq!(opening(&summary), (Place::Summary, other));
    let first = File { blocks: vec![block(1)], ..good.clone() };
    assert_eq!(reading(&first), (Place::Block(0), other));
    let second = File { blocks: vec![block(0), block(2)], ..good.clone() };
    assert_eq!(reading(&second), (Place::Block(1), other));
    let more = File { blocks: vec![block(0), block(1)], ..good.clone() };
    assert_eq!(reading(&more), (Place::Block(1), "the number of events is wrong"));
    let none = File { tables: vec![], blocks: vec![], ..good.clone() };
    assert_eq!(opening(&none).0, Place::Summary);
    let gap = File { blocks: vec![block(0), vec![0; 23]], ..good.clone() };
    assert_eq!(reading(&gap), (Place::Block(1), "no room for it"));
    let tail = File { summary: [good.summary.clone(), vec![0]].concat(), ..good.clone() };
    assert_eq!(opening(&tail), (Place::Summary, "it does not reach to the footer"));
    let events = File { start: section(1, 0, 3, &[START.to_vec()]), ..good };
    assert_eq!(opening(&events), (Place::Start, "the number of entries is wrong"));
}

#[test]
fn a_footer_that_points_elsewhere_is_refused() {
    let good = File::example().bytes();
    let end = good.len() as u64 - 16;
    let pointing = |place: u64| {
        let place = place.to_le_bytes();
        let footer = [&place[..], &crc32fast::hash(&place).to_le_bytes(), b"MPTE"].concat();
        damage(Reader::from_bytes([&good[..end as usize], &footer].concat()).unwrap_err())
    };
    for place in [0, 15, end + 1, end + 16, u64::MAX] {
        assert_eq!(pointing(place), (Place::Footer, "it points outside the file"));
    }
    assert_eq!(pointing(16).0, Place::Start);
    assert_eq!(pointing(end), (Place::Summary, "no room for it"));
}

#[test]
fn a_missing_last_block_is_found() {
    // A file of two blocks, with the second one cut out and the footer put right.
    let file = random_trace(30, 70_000).file;
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let after = |start: usize| start..start + 24 + word(start + 12);
    let start = after(16);
    let stacks = after(start.end);
    let first = after(stacks.end);
    let second = after(first.end);
    let parts = |blocks: &[&std::ops::Range<usize>]| File {
        start: file[start.clone()].to_vec(),
        tables: vec![file[stacks.clone()].to_vec()],
        blocks: blocks.iter().map(|&block| file[block.clone()].to_vec()).collect(),
        summary: file[second.end..file.len() - 16].to_vec(),
    };
    assert!(parts(&[&first, &second]).bytes() == file);
    for (blocks, expected) in [
        (&[&first][..], Place::Summary),
        (&[&second], Place::Block(0)),
        (&[&second, &first], Place::Block(0)),
    ] {
        assert_eq!(reading(&parts(blocks)).0, expected);
    }
}
