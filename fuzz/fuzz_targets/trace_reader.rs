//! Arbitrary bytes as a trace file. Every input is read twice: as it is, which tests the outer format, and as the
//! contents of a file whose lengths and checksums are right, which tests everything behind the checksums.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond_trace::{Event, Op, Outcome, Reader, TraceError, Writer, format};

fuzz_target!(|data: &[u8]| {
    drop(read(data.to_vec()));
    if let Ok((reader, events)) = read(repaired(data)) {
        assert_eq!(again(&reader, &events), events, "what was written again differs");
    }
});

/// Reads a file to its end.
fn read(file: Vec<u8>) -> Result<(Reader, Vec<Event>), TraceError> {
    let mut reader = Reader::from_bytes(file)?;
    let (mut all, mut events) = (Vec::new(), Vec::new());
    let (mut live, mut last, mut threads) = (Vec::new(), 0, 0);
    while reader.read(&mut events)? {
        assert!((1..=format::EVENTS_PER_BLOCK).contains(&events.len()));
        for event in &events {
            assert!(event.time >= last && event.thread <= threads);
            (last, threads) = (event.time, threads.max(event.thread + 1));
            check(event.op, &mut live);
        }
        all.extend_from_slice(&events);
    }
    let summary = reader.summary();
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
    for &Event { time, thread, caller, op } in events {
        match op {
            Op::Allocate { slot, size, align, zeroed } => {
                let found = writer.allocate(time, thread, caller, size, align, zeroed).expect("it was read");
                assert_eq!(found, slot);
            }
            Op::Free { slot } => writer.free(time, thread, caller, slot).expect("it is live"),
            Op::Resize { slot, size } => writer.resize(time, thread, caller, slot, size).expect("it is live"),
        }
    }
    writer.finish(Outcome::default()).expect("memory is no disk");
    read(file).expect("the writer wrote it").1
}

/// Builds a file from parts of the input. A part is two bytes of length and that much content: the summary, then blocks
/// of ten columns each. A block has as many events as the column of shapes has bytes.
fn repaired(data: &[u8]) -> Vec<u8> {
    let mut rest = data;
    let mut part = || {
        let (length, after) = rest.split_first_chunk::<2>().unwrap_or((&[0; 2], &[]));
        let (part, after) = after.split_at(after.len().min(u16::from_le_bytes(*length) as usize));
        rest = after;
        part
    };
    let summary = part();
    let mut file = format::MAGIC.to_vec();
    file.extend_from_slice(&format::VERSION.to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(&file).to_le_bytes());
    section(&mut file, 1, 0, 0, &[&[0; 5]]);
    for position in 0.. {
        let columns: [&[u8]; 10] = std::array::from_fn(|_| part());
        if columns[4].is_empty() {
            break;
        }
        section(&mut file, 2, position, columns[4].len() as u32, &columns);
    }
    let place = (file.len() as u64).to_le_bytes();
    section(&mut file, 3, 0, 0, &[summary]);
    file.extend_from_slice(&place);
    file.extend_from_slice(&crc32fast::hash(&place).to_le_bytes());
    file.extend_from_slice(&format::END_MARK);
    file
}

/// Appends a section.
fn section(file: &mut Vec<u8>, kind: u32, position: u32, events: u32, columns: &[&[u8]]) {
    let mut payload = Vec::new();
    for column in columns {
        let frame = frame(column);
        payload.extend_from_slice(&(column.len() as u32).to_le_bytes());
        payload.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        payload.extend_from_slice(&frame);
    }
    let words = [kind, position, events, payload.len() as u32, crc32fast::hash(&payload)];
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
