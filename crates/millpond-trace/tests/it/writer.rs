//! Rules of the writer.

use std::io::{self, Write};

use millpond_trace::{At, Call, Event, Mark, Module, Op, Outcome, Reader, Start, TraceError, Writer};

use crate::support::verdict;

#[test]
fn blocks_that_are_not_live_are_refused() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    assert!(matches!(writer.free(At::default(), 0), Err(TraceError::Misuse(_))));
    let slot = writer.allocate(At::default(), 1, 0, false).unwrap();
    assert!(matches!(writer.resize(At::default(), slot + 1, 1), Err(TraceError::Misuse(_))));
    writer.free(At::default(), slot).unwrap();
    assert!(matches!(writer.free(At::default(), slot), Err(TraceError::Misuse(_))));
    assert!(matches!(writer.resize(At::default(), slot, 1), Err(TraceError::Misuse(_))));
    assert!(matches!(writer.free(At::default(), u32::MAX), Err(TraceError::Misuse(_))));
    // Refused calls have no effect.
    assert_eq!(writer.finish(Outcome::default()).unwrap().events, 2);
    assert_eq!(verdict(file).unwrap().len(), 2);
}

#[test]
fn times_never_run_backwards_and_alignments_are_powers_of_two() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    for (time, align) in [(50, 0), (40, 1), (u64::MAX, 24), (7, u32::MAX)] {
        writer.allocate(At { time, ..At::default() }, 1, align, false).unwrap();
    }
    writer.finish(Outcome::default()).unwrap();
    let expected = [(50, 0), (50, 1), (u64::MAX, 32), (u64::MAX, 1 << 31)];
    for (slot, (event, (time, align))) in verdict(file).unwrap().into_iter().zip(expected).enumerate() {
        let op = Op::Allocate { slot: slot as u32, size: 1, align, zeroed: false };
        assert_eq!(event, Event { time, thread: 0, stack: 0, call: Call::default(), op });
    }
}

#[test]
fn texts_beyond_the_limit_are_refused() {
    let start = Start { program: "x".repeat(8 << 20), ..Start::default() };
    assert!(matches!(Writer::new(io::sink(), &start), Err(TraceError::Misuse(_))));

    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    writer.mark(&Mark { time: 1, name: "short".into() }).unwrap();
    let long = Mark { time: 2, name: "x".repeat(8 << 20) };
    assert!(matches!(writer.mark(&long), Err(TraceError::Misuse(_))));
    let mapped = Module { start: 0x1000, end: 0x2000, ..Module::default() };
    let module = Module { path: long.name, ..mapped.clone() };
    assert!(matches!(writer.module(module), Err(TraceError::Misuse(_))));
    // Refused calls have no effect.
    assert_eq!(writer.module(mapped).unwrap(), 0);
    writer.finish(Outcome::default()).unwrap();
    let mut reader = Reader::from_bytes(file).unwrap();
    while reader.read(&mut Vec::new()).unwrap() {}
    assert_eq!((reader.tables().marks.len(), reader.tables().modules.len()), (1, 1));
}

/// A disk with space for some bytes.
struct FullDisk(usize);

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_reported_wherever_it_fills_up() {
    let write = |room| {
        let mut writer = Writer::new(FullDisk(room), &Start::default())?;
        for time in 0..70_000 {
            writer.allocate(At { time, ..At::default() }, 1, 0, false)?;
        }
        writer.finish(Outcome::default())
    };
    let enough = (0..1_000).find(|&room| write(room * 64).is_ok()).unwrap() * 64;
    assert!(enough > 256);
    for room in (0..enough - 64).step_by(16) {
        assert!(
            matches!(write(room), Err(TraceError::Io(error)) if error.kind() == io::ErrorKind::StorageFull)
        );
    }
}
