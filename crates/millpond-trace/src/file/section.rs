//! Sections, the parts of a trace file between its header and its footer. A section consists of a small head and a few
//! columns, each compressed separately, with checksums over both (see [`format`](mod@crate::format)).

use std::io::{self, Read, Write};

use zstd::bulk::{Compressor, Decompressor};

use crate::file::{
    error::{Place, TraceError},
    format::{EVENTS_PER_BLOCK, PAYLOAD_LIMIT, TEXT_LIMIT},
};

/// Bytes in the head of a section.
pub(crate) const HEAD: usize = 24;
/// Bytes in front of each column, for its length before and after compression.
const COLUMN_HEAD: usize = 8;
/// The compression level of zstd. Measured on traces of jq, cc1plus, python3 and sqlite3: with 9, files are 1 to 7 %
/// smaller than with 3, at 60 % of the speed; with 15, they are another 3 to 6 % smaller, at a third of the speed of 9.
const LEVEL: i32 = 9;

/// The kind of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Start = 1,
    Events = 2,
    Summary = 3,
}

impl Kind {
    /// Returns the number of columns in sections of this kind, and the max bytes in each before compression: ten per
    /// event.
    fn columns(self, events: usize) -> (usize, usize) {
        match self {
            Self::Start | Self::Summary => (1, TEXT_LIMIT),
            Self::Events => (crate::file::block::COLUMNS, 10 * events),
        }
    }
}

/// The parts of the head of a section that are not derived from the columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// Position among the sections of its kind.
    pub(crate) number: u32,
    /// Number of events in the section.
    pub(crate) events: u32,
}

/// Writes sections. Reuses its buffers.
pub(crate) struct Packer {
    zstd: Compressor<'static>,
    payload: Vec<u8>,
}

impl Packer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { zstd: Compressor::new(LEVEL)?, payload: Vec::new() })
    }

    /// Writes a section and returns its length.
    pub(crate) fn write(
        &mut self,
        out: &mut impl Write,
        head: Head,
        columns: &[Vec<u8>],
    ) -> Result<u64, TraceError> {
        let (head, payload) = self.pack(head, columns)?;
        out.write_all(&head)?;
        out.write_all(payload)?;
        Ok((head.len() + payload.len()) as u64)
    }

    /// Returns the two parts of a section: its head and its payload.
    pub(crate) fn pack(
        &mut self,
        head: Head,
        columns: &[Vec<u8>],
    ) -> Result<([u8; HEAD], &[u8]), TraceError> {
        self.payload.clear();
        for column in columns {
            if column.len() > TEXT_LIMIT {
                return Err(TraceError::Misuse("arguments or modules of more than 8 MiB in all"));
            }
            let packed = if column.is_empty() { Vec::new() } else { self.zstd.compress(column)? };
            self.payload.extend_from_slice(&(column.len() as u32).to_le_bytes());
            self.payload.extend_from_slice(&(packed.len() as u32).to_le_bytes());
            self.payload.extend_from_slice(&packed);
        }
        let mut bytes = [0; HEAD];
        bytes[0] = head.kind as u8;
        bytes[4..8].copy_from_slice(&head.number.to_le_bytes());
        bytes[8..12].copy_from_slice(&head.events.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.payload.len() as u32).to_le_bytes());
        bytes[16..20].copy_from_slice(&crc32fast::hash(&self.payload).to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..20]);
        bytes[20..].copy_from_slice(&checksum.to_le_bytes());
        Ok((bytes, &self.payload))
    }
}

/// Reads sections. Reuses its buffers.
pub(crate) struct Unpacker {
    zstd: Decompressor<'static>,
    payload: Vec<u8>,
    /// The columns of the section read last.
    pub(crate) columns: Vec<Vec<u8>>,
}

impl Unpacker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { zstd: Decompressor::new()?, payload: Vec::new(), columns: Vec::new() })
    }

    /// Reads section `number` of its `kind`, which must have at most `left` bytes. Returns its length and its number of
    /// events according to the head.
    pub(crate) fn read(
        &mut self,
        input: &mut dyn Read,
        kind: Kind,
        number: u32,
        place: Place,
        left: u64,
    ) -> Result<(u64, usize), TraceError> {
        if left < HEAD as u64 {
            return Err(place.corrupt("no room for it"));
        }
        let mut head = [0; HEAD];
        read_exactly(input, &mut head)?;
        if crc32fast::hash(&head[..20]) != word(&head, 20) {
            return Err(place.corrupt("the checksum of its head differs"));
        }
        if word(&head, 0) != kind as u32 || word(&head, 4) != number {
            return Err(place.corrupt("another section is in its place"));
        }
        let (payload, events) = (word(&head, 12) as usize, word(&head, 8) as usize);
        let length = HEAD as u64 + payload as u64;
        if length > left || payload > PAYLOAD_LIMIT || events > EVENTS_PER_BLOCK {
            return Err(place.corrupt("it is longer than it can be"));
        }
        if (events > 0) != (kind == Kind::Events) {
            return Err(place.corrupt("the number of events is wrong"));
        }
        self.payload.resize(payload, 0);
        read_exactly(input, &mut self.payload)?;
        if crc32fast::hash(&self.payload) != word(&head, 16) {
            return Err(place.corrupt("the checksum differs"));
        }
        self.unpack(kind.columns(events)).map_err(|what| place.corrupt(what))?;
        Ok((length, events))
    }

    /// Decompresses `count` columns of at most `limit` bytes each.
    fn unpack(&mut self, (count, limit): (usize, usize)) -> Result<(), &'static str> {
        self.columns.resize_with(count, Vec::new);
        let mut rest = self.payload.as_slice();
        for column in &mut self.columns {
            let (head, after) = rest.split_at_checked(COLUMN_HEAD).ok_or("a column is missing")?;
            let (plain, packed) = (word(head, 0) as usize, word(head, 4) as usize);
            if plain > limit {
                return Err("a column is too long");
            }
            let (frame, after) = after.split_at_checked(packed).ok_or("a column is cut off")?;
            column.clear();
            column.reserve(plain);
            let unpacked = match packed {
                0 => 0,
                _ => self
                    .zstd
                    .decompress_to_buffer(frame, column)
                    .map_err(|_| "a column does not decompress")?,
            };
            if unpacked != plain {
                return Err("a column has the wrong length");
            }
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { Err("there is more in it than its columns") }
    }
}

/// Fills `buffer`; if the file ends before that, it was truncated while being read.
pub(crate) fn read_exactly(input: &mut dyn Read, buffer: &mut [u8]) -> Result<(), TraceError> {
    input.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => TraceError::Truncated,
        _ => TraceError::Io(error),
    })
}

/// Returns the 32-bit number at `at`.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
