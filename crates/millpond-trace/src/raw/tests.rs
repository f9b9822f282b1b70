//! What a writer wrote is what a reader reads.

use std::{boxed::Box, fs::File, io::Write, path::PathBuf, vec::Vec};

use super::*;

/// The memory of a window, aligned like mapped memory, in which a stream of number 7 writes.
struct Memory {
    window: Box<Aligned>,
    stream: Box<StreamWriter>,
}

#[repr(C, align(4096))]
struct Aligned([u8; UNIT]);

impl Memory {
    fn new() -> Self {
        let mut window = Box::new(Aligned([0; UNIT]));
        let mut stream = Box::<StreamWriter>::default();
        stream.number = 7;
        // SAFETY: only this stream uses the memory, which lives as long.
        unsafe { stream.set_window((&raw mut *window).cast(), FIRST) };
        Self { window, stream }
    }

    /// Logs a call as the recorder does: quickly if that is possible.
    fn log(&mut self, call: &LoggedCall, now: u64) {
        let quick =
            call.align == 0 && self.stream.log(call.kind, call.address, call.size, call.caller, || now);
        if !quick {
            assert!(self.stream.has_room());
            // SAFETY: there is room.
            unsafe { self.stream.log_any(call, now) };
        }
    }

    /// Appends the window to a file, as far as it is used, and continues to the next unit; all of it.
    fn write_out(&mut self, file: &mut File) {
        let (_, length) = self.stream.contents();
        let mut bytes = self.window.0[..length].to_vec();
        bytes.resize(UNIT, 0);
        file.write_all(&bytes).unwrap();
        self.stream.start_anew();
    }

    fn records(&self) -> Vec<Decoded> {
        let used = Window::from_bytes(&self.window.0).unwrap().used.into_inner() as usize;
        let bytes = self.window.0[size_of::<Window>()..].chunks_exact(size_of::<Record>()).take(used);
        bytes.map(|bytes| Record::from_bytes(bytes).unwrap().decode().unwrap()).collect()
    }
}

#[test]
fn codes_of_functions_are_those_of_traces() {
    use crate::{Call, Family};
    let plain = Call { family: Family::New, ..Call::default() };
    assert_eq!(plain.to_byte(), NEW);
    assert_eq!(Call { family: Family::NewArray, ..plain }.to_byte(), NEW_ARRAY);
    assert_eq!(Call { nothrow: true, ..plain }.to_byte(), NEW | NOTHROW);
    assert_eq!(Call { sized: true, ..plain }.to_byte(), NEW | SIZED);
    assert_eq!(Call { aligned: true, ..plain }.to_byte(), NEW | ALIGNED);
}

/// A file in a directory that is deleted at the end.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> (PathBuf, File) {
        let path = self.0.path().join(name);
        (path.clone(), File::create(path).unwrap())
    }
}

const CALL: LoggedCall =
    LoggedCall { kind: Kind::Allocate, address: 0x1000, usable: 0, size: 24, align: 0, caller: 0x77 };

/// Reads all events of the only stream in these files.
fn read(files: &[&PathBuf]) -> Vec<Event> {
    let mut units = Units::default();
    for path in files {
        units.add(path, 0).unwrap();
    }
    let mut streams = units.into_streams();
    assert_eq!(streams.len(), 1);
    let mut events = Vec::new();
    while let Some(event) = streams[0].event().unwrap() {
        events.push(event);
    }
    assert_eq!(streams[0].records(), 0);
    events
}

#[test]
fn calls_are_read_as_they_were_written() {
    let (folder, mut memory) = (Folder::new(), Memory::new());
    let (path, mut file) = folder.file("units");
    let mut expected = Vec::new();
    let mut random = 1_u64;
    // SAFETY: the window is empty.
    unsafe { memory.stream.hand_to(3, 5) };
    memory.stream.set_memory(UNIT);
    for at in 0..20_000_u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if !memory.stream.has_room() {
            memory.write_out(&mut file);
        }
        let kinds = [
            Kind::Allocate,
            Kind::AllocateZeroed,
            Kind::Failed,
            Kind::Free,
            Kind::ResizeStart,
            Kind::ResizeEnd,
        ];
        let call = LoggedCall {
            kind: kinds[random as usize >> 8 & 3],
            address: (random >> 20) as usize & 0xffff_ffff_fff0,
            usable: 0,
            size: random as usize >> (random >> 58),
            align: if random.is_multiple_of(7) { 4096 } else { 0 },
            caller: with_call(0x5000 + (random >> 40) as usize % 9000, (random >> 32) as u8 % 24),
        };
        // Now and then a pause that is longer than a record can say.
        let now = 1000 + at * 3 + at / 5000 * (1 << 33);
        memory.log(&call, now);
        expected.push(Event {
            ticks: now,
            thread: 3,
            caller: call.caller as u64 & 0xff_ffff,
            call: (call.caller >> 56) as u8,
            kind: call.kind,
            address: call.address as u64,
            usable: None,
            size: call.size as u64,
            align: call.align as u32,
        });
    }
    memory.write_out(&mut file);
    assert_eq!(read(&[&path]), expected);
}

#[test]
fn usable_bytes_are_those_of_the_next_event() {
    let (folder, mut memory) = (Folder::new(), Memory::new());
    let (path, mut file) = folder.file("units");
    memory.stream.decline();
    for (at, usable) in [40, 0, usize::MAX].into_iter().enumerate() {
        memory.log(&LoggedCall { usable, ..CALL }, 10 + at as u64);
    }
    memory.write_out(&mut file);
    let usable: Vec<_> = read(&[&path]).iter().map(|event| (event.usable, event.size)).collect();
    assert_eq!(usable, [(Some(40), 24), (None, 24), (Some(u64::MAX), 24)]);
}

#[test]
fn of_two_copies_of_a_unit_the_longer_one_is_read() {
    let (folder, mut memory) = (Folder::new(), Memory::new());
    let ((short, mut first), (long, mut second)) = (folder.file("short"), folder.file("long"));
    memory.log(&CALL, 10);
    first.write_all(&memory.window.0).unwrap();
    memory.log(&LoggedCall { kind: Kind::Free, ..CALL }, 11);
    second.write_all(&memory.window.0).unwrap();
    for files in [[&short, &long], [&long, &short]] {
        assert_eq!(read(&files).iter().map(|event| event.ticks).collect::<Vec<_>>(), [10, 11]);
    }
}

#[test]
fn a_unit_may_end_early_and_be_followed_by_nothing() {
    let (folder, mut memory) = (Folder::new(), Memory::new());
    let (path, mut file) = folder.file("cut");
    memory.log(&CALL, 10);
    memory.log(&CALL, 11);
    let (_, length) = memory.stream.contents();
    // The last record was not written any more.
    file.write_all(&memory.window.0[..length - 1]).unwrap();
    assert_eq!(read(&[&path]).len(), 1);
}

#[test]
fn a_first_call_brings_mark_and_caller_and_the_next_does_not() {
    let mut memory = Memory::new();
    let stream = &mut memory.stream;
    assert!(!stream.log(Kind::Allocate, 0x1000, 24, 0x77, || 5), "no mark, no caller");
    // SAFETY: the window is empty.
    unsafe { stream.log_any(&CALL, 5) };
    assert!(stream.log(Kind::Free, 0x1000, 0, 0x77, || 6));
    assert!(!stream.log(Kind::Free, 0x1000, 1 << 32, 0x77, || 7), "too large for a plain event");
    let index = caller_index(0x77);
    let event = |kind, offset, size| Decoded::Event { kind, address: 0x1000, caller: index, offset, size };
    let expected = [
        Decoded::Mark { thread: 0, ticks: 5 },
        Decoded::Caller { address: 0x77 },
        event(Kind::Allocate, 0, 24),
        event(Kind::Free, 1, 0),
    ];
    assert_eq!(memory.records(), expected);
}

#[test]
fn a_full_window_takes_nothing_and_starts_anew() {
    let mut memory = Memory::new();
    memory.log(&CALL, 1);
    let mut count = 3;
    while memory.stream.log(Kind::Free, 0x1000, 0, 0x77, || 2) {
        count += 1;
    }
    assert_eq!(count, (FIRST - size_of::<Window>()) / size_of::<Record>());
    assert!(!memory.stream.has_room() && !memory.stream.is_grown());
    memory.stream.set_memory(UNIT);
    assert!(memory.stream.has_room() && memory.stream.is_grown());
    memory.stream.start_anew();
    assert_eq!(memory.records().len(), 0);
    assert_eq!(Window::from_bytes(&memory.window.0).unwrap().sequence.into_inner(), 1);
    // SAFETY: the window is empty.
    unsafe { memory.stream.log_any(&CALL, 3) };
    assert_eq!(memory.records()[0], Decoded::Mark { thread: 0, ticks: 3 }, "every unit begins with a mark");
    assert_eq!(memory.records().len(), 2, "the caller is known already");
}

#[test]
fn a_stream_says_when_it_changes_hands() {
    let (folder, mut memory) = (Folder::new(), Memory::new());
    let (path, mut file) = folder.file("units");
    for (thread, now) in [(3, 10), (4, 20)] {
        // SAFETY: the window is almost empty.
        unsafe { memory.stream.hand_to(thread, now) };
        memory.log(&CALL, now + 1);
    }
    memory.write_out(&mut file);
    let threads: Vec<_> = read(&[&path]).iter().map(|event| (event.thread, event.ticks)).collect();
    assert_eq!(threads, [(3, 11), (4, 21)]);
}

#[test]
fn notes_are_read_beside_the_events() {
    let (folder, mut memory) = (Folder::new(), Memory::new());
    let (path, mut file) = folder.file("units");
    let long = [b'x'; NOTE + 9];
    let notes: [(_, _, &[u8]); 4] = [
        (NoteKind::ThreadStart, 4321, b"worker"),
        (NoteKind::Mark, 0, b""),
        (NoteKind::Mark, 0, &long),
        (NoteKind::ThreadEnd, 0, b"fifteen letters"),
    ];
    for (at, (kind, number, text)) in notes.into_iter().enumerate() {
        // SAFETY: the window is almost empty.
        unsafe { memory.stream.note(kind, number, text, 10 + at as u64) };
        memory.log(&CALL, 20 + at as u64);
    }
    memory.write_out(&mut file);
    let mut units = Units::default();
    units.add(&path, 0).unwrap();
    let mut stream = units.into_streams().remove(0);
    let mut events = 0;
    while stream.event().unwrap().is_some() {
        events += 1;
    }
    assert_eq!(events, notes.len());
    let expected = notes.iter().enumerate().map(|(at, &(kind, number, text))| Note {
        ticks: 10 + at as u64,
        thread: 0,
        kind,
        number,
        text: text[..text.len().min(NOTE)].to_vec(),
    });
    assert_eq!(stream.take_notes(), expected.collect::<Vec<_>>());
}

#[test]
fn a_stream_continues_in_the_reserve() {
    let folder = Folder::new();
    let ((live, mut file), (path, mut reserve)) = (folder.file("live"), folder.file("reserve"));
    let mut memory = Memory::new();
    memory.log(&CALL, 10);
    let mut others = [Box::new(Aligned([0; UNIT])), Box::new(Aligned([0; UNIT]))];
    for (at, other) in others.iter_mut().enumerate() {
        let window: *mut Window = (&raw mut **other).cast();
        // SAFETY: only this stream uses the memory, which lives as long; the new window is empty.
        unsafe {
            (*window).image.store(5, core::sync::atomic::Ordering::Relaxed);
            memory.stream.continue_in(window);
            memory.stream.log_any(&CALL, 20 + 10 * at as u64);
        }
        assert!(memory.stream.is_grown());
        memory.log(&LoggedCall { kind: Kind::Free, ..CALL }, 21 + 10 * at as u64);
    }
    file.write_all(&memory.window.0).unwrap();
    let mut header = [0; UNIT];
    header[12..16].copy_from_slice(&HEADER_FOLLOWS.to_ne_bytes());
    header[16..20].copy_from_slice(&6_u32.to_ne_bytes());
    header[size_of::<Window>()..][..8].copy_from_slice(&MAGIC.to_ne_bytes());
    for unit in [&others[1].0, &[0; UNIT], &others[0].0, &header] {
        reserve.write_all(unit).unwrap();
    }
    let mut reserve = Reserve::open(&path).unwrap();
    assert!(reserve.headers.keys().eq(&[6]) && reserve.units.keys().eq(&[5]));
    let mut units = reserve.units.remove(&5).unwrap();
    units.add(&live, 0).unwrap();
    let mut stream = units.into_streams().remove(0);
    let ticks: Vec<_> = core::iter::from_fn(|| stream.event().unwrap()).map(|event| event.ticks).collect();
    assert_eq!(ticks, [10, 20, 21, 30, 31]);
}

/// Returns a unit with a head and nodes at its start.
fn unit_of_nodes(image: u32, number: u32, valid: u32, nodes: &[Node]) -> Vec<u8> {
    let (used, mut unit) = (2_u32, vec![0; UNIT]);
    for (at, value) in [0, number, used, valid, image].into_iter().enumerate() {
        unit[4 * at..][..4].copy_from_slice(&value.to_ne_bytes());
    }
    for (at, node) in nodes.iter().enumerate() {
        unit[size_of::<Window>() + at * size_of::<Node>()..][..size_of::<Node>()]
            .copy_from_slice(node.to_bytes());
    }
    unit
}

#[test]
fn nodes_are_found_in_files_and_in_the_reserve_but_not_in_memory() {
    let folder = Folder::new();
    let ((path, mut file), (reserve_path, mut reserve)) = (folder.file("nodes"), folder.file("reserve"));
    let node = |address: u64| Node { address, parent: 7, reserved: 0 };
    file.write_all(&unit_of_nodes(0, 0, NODES_FOLLOW, &[node(10), node(11)])).unwrap();
    let in_memory = unit_of_nodes(5, 1, NODES_FOLLOW, &[node(99)]);
    for unit in [
        unit_of_nodes(5, 0, MEMORY_FOLLOWS, &[]),
        in_memory,
        unit_of_nodes(5, 1, NODES_FOLLOW, &[node(20)]),
        unit_of_nodes(5, 1, NODES_FOLLOW, &[]),
        unit_of_nodes(5, u32::MAX, NODES_FOLLOW, &[node(98)]),
    ] {
        reserve.write_all(&unit).unwrap();
    }
    let mut nodes = Reserve::open(&reserve_path).unwrap().nodes.remove(&5).unwrap();
    nodes.add(&path).unwrap();
    let nodes = nodes.read().unwrap();
    let found: Vec<_> = nodes.iter().enumerate().filter(|(_, node)| node.address != 0).collect();
    assert_eq!(found, [(0, &node(10)), (1, &node(11)), (NODES, &node(20))]);
}

#[test]
fn a_stream_that_declines_logs_slowly_even_if_it_grows() {
    let mut memory = Memory::new();
    memory.log(&CALL, 1);
    assert!(memory.stream.log(Kind::Free, 0x1000, 0, 0x77, || 2));
    memory.stream.decline();
    for memory_size in [FIRST, UNIT] {
        memory.stream.set_memory(memory_size);
        assert!(!memory.stream.log(Kind::Free, 0x1000, 0, 0x77, || panic!("the clock is not read")));
        assert!(memory.stream.has_room());
    }
}

#[test]
fn time_does_not_go_back_and_damage_is_an_error() {
    let (folder, mut memory) = (Folder::new(), Memory::new());
    let (path, mut file) = folder.file("units");
    memory.log(&CALL, 1000);
    memory.write_out(&mut file);
    memory.log(&CALL, 990);
    memory.write_out(&mut file);
    assert_eq!(read(&[&path]).iter().map(|event| event.ticks).collect::<Vec<_>>(), [1000, 1000]);
    let (path, mut file) = folder.file("damaged");
    memory.log(&CALL, 2000);
    let (_, length) = memory.stream.contents();
    memory.window.0[length - size_of::<Record>()..length].fill(0);
    memory.write_out(&mut file);
    let mut units = Units::default();
    units.add(&path, 0).unwrap();
    assert!(units.into_streams()[0].event().is_err());
}
