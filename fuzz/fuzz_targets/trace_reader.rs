//! Arbitrary bytes as a trace file. Every input is read twice: as it is, which tests the outer format, and as the
//! contents of a file whose lengths and checksums are right, which tests everything behind the checksums.
#![no_main]

use std::io::Write as _;

use libfuzzer_sys::fuzz_target;
use millpond_trace::{
    Archive, ArchiveWriter, At, Detail, Event, Filter, Lifetimes, Op, Outcome, Reader, Shape, TraceError,
    Verb, Visitor, Writer,
    analysis::{Analysis, Union, fold, per_node},
    format,
};

fuzz_target!(|data: &[u8]| {
    drop(read(data.to_vec()));
    drop(read(repaired(data, 1)));
    let file = repaired(data, format::VERSION);
    if let Ok((mut reader, events)) = read(file.clone()) {
        let mut visited = Visited { shapes: Vec::new(), details: Vec::new(), open: 0, count: 0 };
        reader.visit(&mut visited).expect("it was read before");
        assert_eq!((visited.open, visited.count), (0, events.len()));
        analyse(&mut reader, events.len());
        assert_eq!(again(&reader, &events), events, "what was written again differs");
        narrowed(&mut reader, events.len());
        archived(&file, events.len());
    }
    indexed(file, data);
});

/// Analyses a trace that was read without an error.
fn analyse(reader: &mut Reader, events: usize) {
    let found = Analysis::read(reader).expect("it was read before");
    let calls: u64 = found.sites.iter().map(|site| site.allocations + site.resizes + site.frees).sum();
    let bins: u64 = found.timeline.bins.iter().map(|bin| bin.allocations + bin.frees).sum();
    assert_eq!((calls, bins), (events as u64, events as u64));
    let stacks = &reader.tables().stacks;
    let sum = per_node(&found.sites, stacks)[0];
    assert_eq!(sum.calls, reader.summary().allocations);
    for folded in fold(&found.sites, stacks, |frame| frame.address).values() {
        assert!(folded.exclusive.calls <= folded.inclusive.calls && folded.inclusive.calls <= sum.calls);
    }
    assert!(found.timeline.growth().is_none_or(|slope| slope >= 0.0));
    let mut union = Union::default();
    for _ in 0..2 {
        union.add(reader.tables(), &found).expect("there are few stacks");
    }
    let both: u64 = union.sites.iter().map(|site| site.allocations + site.resizes + site.frees).sum();
    assert_eq!(both, 2 * calls);
}

/// Narrows a trace to some blocks and to all others, which must be the whole trace.
fn narrowed(reader: &mut Reader, events: usize) {
    let of_sizes = |sizes| Filter { sizes: Some(sizes), ..Filter::default() };
    let of_lifetimes = |lifetimes| Filter { lifetimes: Some(lifetimes), ..Filter::default() };
    for parts in [
        [of_sizes(0..=15), of_sizes(16..=u64::MAX)],
        [of_lifetimes(Lifetimes::Freed(0..=u64::MAX)), of_lifetimes(Lifetimes::Kept)],
    ] {
        let left = parts.map(|filter| {
            reader.narrow(&filter, |_| ()).expect("it was read before");
            let found = Analysis::read(reader).expect("it was read before");
            let of_site =
                |site: &millpond_trace::analysis::Site| site.allocations + site.resizes + site.frees;
            let summary = reader.summary();
            assert_eq!(found.sites.iter().map(of_site).sum::<u64>(), summary.events);
            assert!(found.found_peak && summary.slots as u64 <= summary.allocations);
            summary.events
        });
        assert_eq!(left[0] + left[1], events as u64);
    }
}

/// Reads a trace as one of two in a file, with its index and without it.
fn archived(trace: &[u8], events: usize) {
    let mut file = Vec::new();
    let mut archive = ArchiveWriter::new(&mut file);
    for _ in 0..2 {
        archive.begin().write_all(trace).expect("memory is no disk");
    }
    archive.finish().expect("memory is no disk");
    let cut = file[..2 * trace.len()].to_vec();
    for (file, is_complete) in [(file, true), (cut, false)] {
        let archive = Archive::from_bytes(file).expect("memory is no disk");
        assert_eq!((archive.count(), archive.is_complete()), (2, is_complete));
        for number in 0..2 {
            let reader = archive.reader(number).expect("it was read before");
            assert_eq!(reader.summary().events, events as u64);
        }
    }
}

/// Opens the traces of a file whose index says that the first of two has the length that the input begins with.
fn indexed(mut file: Vec<u8>, data: &[u8]) {
    let place = file.len() as u64;
    let first = u64::from_le_bytes(data.first_chunk().copied().unwrap_or_default());
    let index = [first, place.wrapping_sub(first)].map(u64::to_le_bytes).concat();
    file.extend_from_slice(&index);
    file.extend_from_slice(&crc32fast::hash(&index).to_le_bytes());
    end(&mut file, place, format::ARCHIVE_MARK);
    let archive = Archive::from_bytes(file).expect("memory is no disk");
    for number in 0..archive.count() {
        drop(archive.reader(number));
    }
}

/// What a visitor sees.
struct Visited {
    shapes: Vec<Shape>,
    details: Vec<Detail>,
    /// Details whose events have not come.
    open: usize,
    count: usize,
}

impl Visitor for Visited {
    fn shapes(&mut self, shapes: &[Shape]) {
        assert_eq!(self.open, 0);
        self.shapes = shapes.to_vec();
        self.details.clear();
    }

    fn details(&mut self, details: &[Detail]) {
        (self.details, self.open) = (details.to_vec(), details.len());
    }

    fn event(&mut self, _: u64, _: u32, shape: usize, _: u32) {
        self.count += 1;
        let shape = self.shapes[shape];
        if shape.verb != Verb::Free && !self.details.is_empty() {
            let detail = self.details[self.details.len() - self.open];
            assert!(detail.usable.is_none_or(|usable| usable >= shape.size));
            self.open -= 1;
        }
    }
}

/// Reads a file to its end.
fn read(file: Vec<u8>) -> Result<(Reader, Vec<Event>), TraceError> {
    let mut reader = Reader::from_bytes(file)?;
    let (mut all, mut events) = (Vec::new(), Vec::new());
    let (mut live, mut last, mut threads) = (Vec::new(), 0, 0);
    while reader.read(&mut events)? {
        assert!((1..=format::EVENTS_PER_BLOCK).contains(&events.len()));
        for event in &events {
            assert!(event.time >= last && event.thread <= threads);
            assert!((event.stack as usize) < reader.tables().stacks.len());
            (last, threads) = (event.time, threads.max(event.thread + 1));
            check(event.op, &mut live);
        }
        all.extend_from_slice(&events);
    }
    let (summary, tables) = (reader.summary(), reader.tables());
    for (stack, node) in tables.stacks.nodes().iter().enumerate().skip(1) {
        assert!((node.parent as usize) < stack);
        let frame = tables.stacks.frames()[node.frame as usize];
        assert!(frame.module.is_none_or(|module| (module as usize) < tables.modules.len()));
    }
    assert_eq!((summary.events, summary.slots), (all.len() as u64, live.len() as u32));
    assert_eq!(summary.threads, threads);
    Ok((reader, all))
}

/// Checks an event against the slots that are live.
fn check(op: Op, live: &mut Vec<bool>) {
    match op {
        Op::Allocate { slot, align, .. } => {
            assert!(align == 0 || align.is_power_of_two());
            if slot as usize == live.len() {
                live.push(false);
            }
            assert!(!std::mem::replace(&mut live[slot as usize], true));
        }
        Op::Free { slot } => assert!(std::mem::replace(&mut live[slot as usize], false)),
        Op::Resize { slot, .. } => assert!(live[slot as usize]),
    }
}

/// Writes the events, and reads them again.
fn again(reader: &Reader, events: &[Event]) -> Vec<Event> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, reader.start()).expect("memory is no disk");
    let stacks = &reader.tables().stacks;
    for (stack, node) in stacks.nodes().iter().enumerate().skip(1) {
        let frame = stacks.frames()[node.frame as usize];
        let found = writer.node(node.parent, frame.address, frame.kind).expect("it was read");
        assert_eq!(found as usize, stack);
    }
    for &Event { time, thread, stack, call, op } in events {
        let at = At { time, thread, stack, call };
        match op {
            Op::Allocate { slot, size, align, zeroed } => {
                let found = writer.allocate(at, size, align, zeroed).expect("it was read");
                assert_eq!(found, slot);
            }
            Op::Free { slot } => writer.free(at, slot).expect("it is live"),
            Op::Resize { slot, size } => writer.resize(at, slot, size).expect("it is live"),
        }
    }
    writer.finish(Outcome::default()).expect("memory is no disk");
    read(file).expect("the writer wrote it").1
}

/// Builds a file from parts of the input. A part is two bytes of length and that much content: the summary, then
/// sections, each with a part whose first byte is its kind and whose second is the number of rows of a table, and then
/// its columns. A block of events has as many events as the column of shapes has bytes.
fn repaired(data: &[u8], version: u32) -> Vec<u8> {
    let mut rest = data;
    let mut part = || {
        let (length, after) = rest.split_first_chunk::<2>().unwrap_or((&[0; 2], &[]));
        let (part, after) = after.split_at(after.len().min(u16::from_le_bytes(*length) as usize));
        rest = after;
        part
    };
    let summary = part();
    let mut file = format::MAGIC.to_vec();
    file.extend_from_slice(&version.to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(&file).to_le_bytes());
    section(&mut file, version, [1, 0, 0], &[&[0; 5]]);
    let mut positions = [0; 16];
    while let [kind, rows, ..] = part() {
        let kind = if version == 1 { 2 } else { usize::from(kind % 16) };
        let columns = match kind {
            2 if version == 1 => 10,
            2 => 14,
            4 => 5,
            _ => 1,
        };
        let columns: Vec<&[u8]> = (0..columns).map(|_| part()).collect();
        let count = if kind == 2 { columns[4].len() as u32 } else { u32::from(*rows) };
        section(&mut file, version, [kind as u32, positions[kind], count], &columns);
        positions[kind] += 1;
    }
    let place = file.len() as u64;
    section(&mut file, version, [3, 0, 0], &[summary]);
    end(&mut file, place, format::END_MARK);
    file
}

/// Appends the footer of a trace or of several.
fn end(file: &mut Vec<u8>, place: u64, mark: [u8; 4]) {
    let place = place.to_le_bytes();
    file.extend_from_slice(&place);
    file.extend_from_slice(&crc32fast::hash(&place).to_le_bytes());
    file.extend_from_slice(&mark);
}

/// Appends a section of this kind, position and number of entries.
fn section(file: &mut Vec<u8>, version: u32, head: [u32; 3], columns: &[&[u8]]) {
    let mut payload = Vec::new();
    for (key, column) in columns.iter().enumerate() {
        let frame = frame(column);
        if version > 1 {
            payload.extend_from_slice(&(key as u32).to_le_bytes());
        }
        payload.extend_from_slice(&(column.len() as u32).to_le_bytes());
        payload.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        payload.extend_from_slice(&frame);
    }
    let [kind, position, entries] = head;
    let words = [kind, position, entries, payload.len() as u32, crc32fast::hash(&payload)];
    let head: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    file.extend_from_slice(&head);
    file.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
    file.extend_from_slice(&payload);
}

/// A zstd frame of one stored block (RFC 8878): magic, "the content is one segment and its length has four bytes",
/// the length, "last block, stored" with its length again, and the content.
fn frame(content: &[u8]) -> Vec<u8> {
    if content.is_empty() {
        return Vec::new();
    }
    let length = content.len() as u32;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&(length << 3 | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(content);
    frame
}
