//! Damaged files.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use millpond_trace::{
    Place, Reader, TraceError,
    format::{MAGIC, VERSION},
};

use crate::support::{random_trace, read_all, verdict};

/// Changes of one byte: each bit, all bits, and two patterns.
const CHANGES: [u8; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 0xff, 0x55, 0x91];

#[test]
fn every_changed_byte_is_found() {
    let file = random_trace(20, 300).file;
    let summary_at = u64::from_le_bytes(file[file.len() - 16..file.len() - 8].try_into().unwrap()) as usize;
    for at in 0..file.len() {
        for change in CHANGES {
            let mut file = file.clone();
            file[at] ^= change;
            let length = file.len();
            let Err(error) = verdict(file) else { panic!("byte {at} ^ {change:#x} went unnoticed") };
            let expected = match at {
                0..8 => matches!(error, TraceError::NotATrace),
                8..16 => matches!(error, TraceError::Corrupt { place: Place::Header, .. }),
                _ if at >= length - 4 => matches!(error, TraceError::Truncated),
                _ if at >= length - 16 => matches!(error, TraceError::Corrupt { place: Place::Footer, .. }),
                _ if at >= summary_at => matches!(error, TraceError::Corrupt { place: Place::Summary, .. }),
                _ => matches!(
                    error,
                    TraceError::Corrupt { place: Place::Start | Place::Block(0) | Place::Table(0), .. }
                ),
            };
            assert!(expected, "byte {at} ^ {change:#x}: {error}");
        }
    }
}

#[test]
fn every_cut_is_found() {
    let file = random_trace(21, 300).file;
    for length in 0..file.len() {
        let error = verdict(file[..length].to_vec()).unwrap_err();
        match length {
            0..8 => assert!(matches!(error, TraceError::NotATrace), "{length}: {error}"),
            _ => assert!(matches!(error, TraceError::Truncated), "{length}: {error}"),
        }
    }
}

#[test]
fn a_damaged_block_is_named_and_those_before_it_are_read() {
    let trace = random_trace(22, 200_000);
    let mut file = trace.file;
    let place = file.len() * 4 / 5;
    file[place] ^= 1;
    let (mut reader, mut events, mut read) = (Reader::from_bytes(file).unwrap(), Vec::new(), 0);
    let error = loop {
        match reader.read(&mut events) {
            Ok(true) => read += events.len(),
            Ok(false) => panic!("the damage went unnoticed"),
            Err(error) => break error,
        }
    };
    assert_eq!(read, 2 * 65_536);
    assert!(matches!(error, TraceError::Corrupt { place: Place::Block(2), .. }), "{error}");
}

#[test]
fn something_behind_the_end_is_found() {
    let mut file = random_trace(23, 300).file;
    file.extend_from_slice(b"more");
    assert!(matches!(verdict(file), Err(TraceError::Truncated)));
}

#[test]
fn other_files_are_no_traces() {
    for file in [&b"{}"[..], b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\0\0", &[0; 100], &MAGIC[..7]] {
        assert!(matches!(verdict(file.to_vec()), Err(TraceError::NotATrace)));
    }
}

#[test]
fn other_versions_are_told_apart() {
    let with_version = |version: u32| {
        let mut file = random_trace(24, 10).file;
        file[8..12].copy_from_slice(&version.to_le_bytes());
        let checksum = crc32fast::hash(&file[..12]);
        file[12..16].copy_from_slice(&checksum.to_le_bytes());
        verdict(file)
    };
    assert!(with_version(VERSION).is_ok());
    assert!(
        matches!(with_version(VERSION + 1), Err(TraceError::Newer { found, supported: VERSION }) if found == VERSION + 1)
    );
    assert!(matches!(with_version(0), Err(TraceError::Corrupt { place: Place::Header, .. })));
}

/// A file on a disk that fails from some position on.
struct BadDisk(Cursor<Vec<u8>>, u64);

impl Read for BadDisk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.0.position() + buffer.len() as u64;
        if end > self.1 { Err(io::Error::other("bad sector")) } else { self.0.read(buffer) }
    }
}

impl Seek for BadDisk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn errors_of_the_disk_pass_through() {
    let file = random_trace(25, 300).file;
    let length = file.len() as u64;
    let error = Reader::new(BadDisk(Cursor::new(file.clone()), length - 1)).unwrap_err();
    assert!(matches!(&error, TraceError::Io(error) if error.to_string() == "bad sector"), "{error}");
    assert!(read_all(&mut Reader::new(BadDisk(Cursor::new(file), length)).unwrap()).is_ok());
    assert!(
        matches!(Reader::open("/nowhere/x.mpt"), Err(TraceError::Io(error)) if error.kind() == io::ErrorKind::NotFound)
    );
    assert!(matches!(Reader::open(std::env::temp_dir()), Err(TraceError::Io(_))));
}

#[test]
fn messages_are_one_line_and_say_what_to_do() {
    let corrupt = |place| TraceError::Corrupt { place, what: "the checksum differs" }.to_string();
    let messages = [
        TraceError::NotATrace.to_string(),
        TraceError::Newer { found: 7, supported: 1 }.to_string(),
        TraceError::Truncated.to_string(),
        corrupt(Place::Header),
        corrupt(Place::Start),
        corrupt(Place::Block(12)),
        corrupt(Place::Table(3)),
        corrupt(Place::Summary),
        corrupt(Place::Footer),
    ];
    for message in &messages {
        assert!(message.lines().count() == 1 && message.contains("record"), "{message}");
    }
    assert_eq!(
        messages[5],
        "the trace is damaged in block 12 of the events (the checksum differs): copy the file again, or record again"
    );
}
