//! Reading returns what was written.

use std::{fs, io::Cursor};

use millpond_trace::{At, Ending, Op, Outcome, Reader, Resources, Start, Writer};

use crate::support::{random_trace, read_all, verdict};

#[test]
fn random_sequences() {
    for (seed, count) in [(1, 1), (2, 100), (3, 65_535), (4, 65_536), (5, 65_537), (6, 200_000)] {
        let trace = random_trace(seed, count);
        let mut reader = Reader::from_bytes(trace.file).unwrap();
        assert_eq!(reader.start().program, "/usr/bin/x");
        assert_eq!(reader.start().arguments, ["x", "Ä y"]);
        assert_eq!(reader.summary(), &trace.summary);
        assert!(read_all(&mut reader).unwrap() == trace.events, "seed {seed}");
        reader.rewind().unwrap();
        assert!(read_all(&mut reader).unwrap() == trace.events, "seed {seed}, again");
    }
}

#[test]
fn rewinding_in_the_middle_starts_over() {
    let trace = random_trace(7, 150_000);
    let (mut reader, mut events) = (Reader::new(Cursor::new(trace.file)).unwrap(), Vec::new());
    assert!(reader.read(&mut events).unwrap());
    assert!(reader.read(&mut events).unwrap());
    assert_eq!(events[0], trace.events[65_536]);
    reader.rewind().unwrap();
    assert!(read_all(&mut reader).unwrap() == trace.events);
    assert!(!reader.read(&mut events).unwrap() && events.is_empty());
}

#[test]
fn a_file_on_disk() {
    let trace = random_trace(8, 1_000);
    let path = std::env::temp_dir().join(format!("millpond-trace-test-{}.mpt", std::process::id()));
    fs::write(&path, &trace.file).unwrap();
    let events = read_all(&mut Reader::open(&path).unwrap());
    fs::remove_file(&path).unwrap();
    assert!(events.unwrap() == trace.events);
}

#[test]
fn no_events_at_all() {
    let mut file = Vec::new();
    let summary = Writer::new(&mut file, &Start::default()).unwrap().finish(Outcome::default()).unwrap();
    assert_eq!((summary.events, summary.slots, summary.threads, summary.peak_bytes), (0, 0, 0, 0));
    assert_eq!(verdict(file).unwrap(), []);
}

#[test]
fn everything_about_the_process() {
    let start = Start {
        program: "/opt/a b/ü".into(),
        arguments: vec![String::new(), "x\ny".into(), "z".repeat(2_000_000)],
        process: u32::MAX,
        parent: 1,
        unix_ns: u64::MAX,
    };
    for ending in [Ending::Exited, Ending::Cut, Ending::Full, Ending::Stopped] {
        let outcome = Outcome {
            wall_ns: 1,
            cpu_ns: 2,
            unknown_frees: 3,
            overlaps: 4,
            failed: u64::MAX,
            ending,
            stopped: "of ü".into(),
            allocator: "libjemalloc.so.2".into(),
            served_by: "/usr/lib/libc.so.6".into(),
            resources: Resources {
                recording_ns: Some(9),
                page_faults: Some(1 << 40),
                ..Resources::default()
            },
        };
        let mut file = Vec::new();
        let summary = Writer::new(&mut file, &start).unwrap().finish(outcome.clone()).unwrap();
        let reader = Reader::from_bytes(file).unwrap();
        assert_eq!(reader.start(), &start);
        assert_eq!(reader.summary(), &summary);
        assert_eq!((summary.wall_ns, summary.cpu_ns, summary.unknown_frees), (1, 2, 3));
        assert_eq!((summary.overlaps, summary.failed, summary.ending), (4, u64::MAX, ending));
        assert_eq!((summary.stopped, summary.allocator), (outcome.stopped, outcome.allocator));
        assert_eq!(summary.served_by, outcome.served_by);
        assert_eq!(summary.resources, outcome.resources);
    }
}

#[test]
fn blocks_far_from_the_finger() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    let slots: Vec<u32> = (0..1_000).map(|_| writer.allocate(At::default(), 8, 0, false).unwrap()).collect();
    // Every 37th block in turn: all distances, in both directions, near and far.
    let order: Vec<u32> = (0..1_000).map(|step| slots[step * 37 % 1_000]).collect();
    for &slot in &order {
        writer.free(At::default(), slot).unwrap();
    }
    writer.finish(Outcome::default()).unwrap();
    let events = verdict(file).unwrap();
    let freed = events.iter().filter_map(|event| match event.op {
        Op::Free { slot } => Some(slot),
        _ => None,
    });
    assert!(freed.eq(order));
}
