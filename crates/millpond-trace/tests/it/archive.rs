//! Files with several traces.

use millpond_trace::{Archive, ArchiveWriter, Event, Outcome, Reader, Start, TraceError, Writer};

use crate::support::{Random, random_trace, read_all};

/// An archive of these traces, and where each of them ends.
fn archive(traces: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
    let mut file = Vec::new();
    let mut archive = ArchiveWriter::new(&mut file);
    let mut ends = Vec::new();
    for trace in traces {
        std::io::Write::write_all(&mut archive.begin(), trace).unwrap();
        assert_eq!(archive.length(), trace.len() as u64);
        ends.push(ends.last().unwrap_or(&0) + trace.len());
    }
    archive.finish().unwrap();
    (file, ends)
}

/// Returns the events of all traces in a file.
fn events(archive: &Archive) -> Vec<Vec<Event>> {
    let all = |number| read_all(&mut archive.reader(number).unwrap()).unwrap();
    (0..archive.count()).map(all).collect()
}

#[test]
fn all_traces_come_back_and_the_largest_is_found() {
    let traces = [random_trace(1, 100), random_trace(2, 70_000), random_trace(3, 0), random_trace(4, 300)];
    let (file, _) = archive(&traces.each_ref().map(|trace| &*trace.file));
    let found = Archive::from_bytes(file.clone()).unwrap();
    assert!(found.is_complete());
    assert_eq!(events(&found), traces.each_ref().map(|trace| trace.events.clone()));
    let bytes: Vec<_> = (0..5).map(|number| found.bytes(number)).collect();
    assert_eq!(bytes[..4], traces.each_ref().map(|trace| trace.file.len() as u64));
    assert_eq!(bytes[4], 0);
    assert!(matches!(found.reader(4), Err(TraceError::Misuse(_))));
    // Two readers of one file do not disturb each other.
    let (mut one, mut other) = (found.reader(1).unwrap(), found.reader(1).unwrap());
    let (mut first, mut second) = (Vec::new(), Vec::new());
    while one.read(&mut first).unwrap() {
        assert!(other.read(&mut second).unwrap());
        assert_eq!(first, second);
    }
    assert_eq!(read_all(&mut Reader::from_bytes(file).unwrap()).unwrap(), traces[1].events);
}

#[test]
fn a_single_trace_is_written_as_if_alone() {
    let trace = random_trace(5, 300);
    let (file, _) = archive(&[&trace.file]);
    assert_eq!(file, trace.file);
    let found = Archive::from_bytes(file).unwrap();
    assert_eq!((found.count(), found.is_complete()), (1, true));
}

#[test]
fn what_was_complete_is_left_after_every_cut() {
    let traces = [random_trace(6, 300), random_trace(7, 20), random_trace(8, 100)];
    let (file, ends) = archive(&traces.each_ref().map(|trace| &*trace.file));
    for length in ends[0]..file.len() {
        let found = Archive::from_bytes(file[..length].to_vec()).unwrap();
        let complete = ends.iter().filter(|&&end| end <= length).count();
        assert_eq!(found.count(), complete, "{length}");
        assert_eq!(
            events(&found),
            traces[..complete].iter().map(|trace| trace.events.clone()).collect::<Vec<_>>()
        );
        // A file that ends with its first trace is one with a single trace.
        assert_eq!(found.is_complete(), length == ends[0], "{length}");
        if length > ends[0] {
            assert!(matches!(Reader::from_bytes(file[..length].to_vec()), Err(TraceError::Truncated)));
        }
    }
    for length in 0..ends[0] {
        let cut = Archive::from_bytes(file[..length].to_vec()).unwrap();
        assert!(cut.largest().is_err(), "{length}");
    }
}

#[test]
fn a_damaged_index_is_replaced() {
    let traces = [random_trace(9, 30), random_trace(10, 20)];
    let (file, ends) = archive(&traces.each_ref().map(|trace| &*trace.file));
    for at in ends[1]..file.len() {
        for change in [1, 128, 255] {
            let mut file = file.clone();
            file[at] ^= change;
            let found = Archive::from_bytes(file).unwrap();
            assert_eq!((found.count(), found.is_complete()), (2, false), "byte {at} ^ {change}");
            assert_eq!(events(&found).len(), 2);
        }
    }
}

#[test]
fn a_forged_index_is_no_index() {
    let trace = random_trace(11, 30);
    let forged = |lengths: &[u64]| {
        let index: Vec<u8> = lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
        let place = (2 * trace.file.len() as u64).to_le_bytes();
        let mut file = [&*trace.file, &*trace.file, &*index].concat();
        file.extend(crc32fast::hash(&index).to_le_bytes());
        file.extend(place);
        file.extend(crc32fast::hash(&place).to_le_bytes());
        file.extend(b"MPTA");
        Archive::from_bytes(file).unwrap()
    };
    let length = trace.file.len() as u64;
    assert!(forged(&[length, length]).is_complete());
    for lengths in [&[][..], &[length], &[length, length + 1], &[2 * length, 0], &[u64::MAX, 2 * length + 1]]
    {
        let found = forged(lengths);
        assert_eq!((found.count(), found.is_complete()), (2, false), "{lengths:?}");
    }
    // Lengths that are wrong in themselves are noticed by the readers.
    let found = forged(&[length + 1, length - 1]);
    assert!((0..2).all(|number| found.reader(number).is_err()));
}

#[test]
fn damaged_archives_are_read_or_refused() {
    let mut random = Random(12);
    let traces = [random_trace(13, 50), random_trace(14, 40), random_trace(15, 10)];
    let (file, _) = archive(&traces.each_ref().map(|trace| &*trace.file));
    for _ in 0..3000 {
        let mut file = file.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(file.len() as u64) as usize;
            file[at] ^= 1 << random.below(8);
        }
        let Ok(found) = Archive::from_bytes(file) else { continue };
        for number in 0..found.count() {
            if let Ok(events) = found.reader(number).and_then(|mut reader| read_all(&mut reader)) {
                assert!(traces.iter().any(|trace| trace.events == events));
            }
        }
    }
}

#[test]
fn an_archive_needs_no_end() {
    let mut file = Vec::new();
    let mut archive = ArchiveWriter::new(&mut file);
    Writer::new(archive.begin(), &Start::default()).unwrap().finish(Outcome::default()).unwrap();
    drop(Writer::new(archive.begin(), &Start::default()).unwrap());
    drop(archive);
    let found = Archive::from_bytes(file).unwrap();
    assert_eq!((found.count(), found.is_complete()), (1, false));
}
