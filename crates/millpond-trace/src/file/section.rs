//! Sections, the parts of a trace file between its header and its footer. A section consists of a small head and a few
//! columns, each compressed separately, with checksums over both (see [`format`](mod@crate::format)).

use std::io::{self, Read, Write};

use zstd::bulk::{Compressor, Decompressor};

use crate::file::{
    block::{COLUMNS, COLUMNS_V1},
    error::{Place, TraceError},
    format::{EVENTS_PER_BLOCK, PAYLOAD_LIMIT, TEXT_LIMIT},
};

/// Bytes in the head of a section.
pub(crate) const HEAD: usize = 24;
/// Bytes in front of each column: its key and its length before and after compression. Version 1 has no keys.
const COLUMN_HEAD: usize = 12;
const COLUMN_HEAD_V1: usize = 8;
/// The compression level of zstd. Measured on traces of jq, cc1plus, python3 and sqlite3: with 9, files are 1 to 7 %
/// smaller than with 3, at 60 % of the speed; with 15, they are another 3 to 6 % smaller, at a third of the speed of 9.
const LEVEL: i32 = 9;

/// The kind of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Start = 1,
    Events = 2,
    Summary = 3,
    Stacks = 4,
    Modules = 5,
    Threads = 6,
    Marks = 7,
    Samples = 8,
    Symbols = 9,
}

impl Kind {
    /// Number of kinds, from 1 on.
    pub(crate) const COUNT: usize = 9;

    /// Returns the kind with a number; `None` if it is of a later version.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Start,
            2 => Self::Events,
            3 => Self::Summary,
            4 => Self::Stacks,
            5 => Self::Modules,
            6 => Self::Threads,
            7 => Self::Marks,
            8 => Self::Samples,
            9 => Self::Symbols,
            _ => return None,
        })
    }

    /// Returns whether sections of this kind are counted by their entries.
    fn has_entries(self) -> bool {
        !matches!(self, Self::Start | Self::Summary)
    }

    /// Returns the number of columns in sections of this kind, and the max bytes in each before compression: ten per
    /// entry, or per text a constant.
    fn columns(self, version: u32, entries: usize) -> (usize, usize) {
        match self {
            Self::Events if version == 1 => (COLUMNS_V1, 10 * entries),
            Self::Events => (COLUMNS, 10 * entries),
            Self::Stacks => (5, 10 * entries),
            _ => (1, TEXT_LIMIT),
        }
    }
}

/// The parts of the head of a section that are not derived from the columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// Position among the sections of its kind.
    pub(crate) number: u32,
    /// Number of entries in the section: events, or rows of a table.
    pub(crate) entries: u32,
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
        for (key, column) in columns.iter().enumerate().filter(|(_, column)| !column.is_empty()) {
            if column.len() > TEXT_LIMIT {
                return Err(TraceError::Misuse("texts of more than 8 MiB in all"));
            }
            let head = self.payload.len();
            let frame = head + COLUMN_HEAD;
            self.payload.resize(frame + zstd::zstd_safe::compress_bound(column.len()), 0);
            let packed = self.zstd.compress_to_buffer(column, &mut self.payload[frame..])?;
            self.payload.truncate(frame + packed);
            for (at, word) in [key, column.len(), packed].into_iter().enumerate() {
                self.payload[head + 4 * at..][..4].copy_from_slice(&(word as u32).to_le_bytes());
            }
        }
        let mut bytes = [0; HEAD];
        bytes[0] = head.kind as u8;
        bytes[4..8].copy_from_slice(&head.number.to_le_bytes());
        bytes[8..12].copy_from_slice(&head.entries.to_le_bytes());
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
    version: u32,
    payload: Vec<u8>,
    /// The columns of the section read last.
    pub(crate) columns: Vec<Vec<u8>>,
}

/// The head of a section in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// The kind; `None` if it is of a later version.
    pub(crate) kind: Option<Kind>,
    pub(crate) number: u32,
    pub(crate) entries: usize,
    /// Bytes after the head, and their checksum.
    payload: usize,
    checksum: u32,
}

impl Found {
    /// Returns the length of the section.
    pub(crate) fn length(self) -> u64 {
        (HEAD + self.payload) as u64
    }
}

impl Unpacker {
    pub(crate) fn new(version: u32) -> io::Result<Self> {
        Ok(Self { zstd: Decompressor::new()?, version, payload: Vec::new(), columns: Vec::new() })
    }

    /// Reads the head of the next section, which must have at most `left` bytes.
    pub(crate) fn head(
        &mut self,
        input: &mut dyn Read,
        place: Place,
        left: u64,
    ) -> Result<Found, TraceError> {
        if left < HEAD as u64 {
            return Err(place.corrupt("no room for it"));
        }
        let mut head = [0; HEAD];
        read_exactly(input, &mut head)?;
        if crc32fast::hash(&head[..20]) != word(&head, 20) {
            return Err(place.corrupt("the checksum of its head differs"));
        }
        let [kind, number, entries, payload, checksum] = [0, 4, 8, 12, 16].map(|at| word(&head, at));
        let kind = Kind::from_number(kind).filter(|&kind| self.version > 1 || (kind as u32) < 4);
        let found = Found { kind, number, entries: entries as usize, payload: payload as usize, checksum };
        if found.length() > left || found.payload > PAYLOAD_LIMIT || found.entries > EVENTS_PER_BLOCK {
            return Err(place.corrupt("it is longer than it can be"));
        }
        if kind.is_some_and(|kind| (entries > 0) != kind.has_entries()) {
            return Err(place.corrupt("the number of entries is wrong"));
        }
        Ok(found)
    }

    /// Reads the rest of a section, and decompresses it if its kind is known.
    pub(crate) fn body(
        &mut self,
        input: &mut dyn Read,
        place: Place,
        found: Found,
    ) -> Result<(), TraceError> {
        self.payload.resize(found.payload, 0);
        read_exactly(input, &mut self.payload)?;
        if crc32fast::hash(&self.payload) != found.checksum {
            return Err(place.corrupt("the checksum differs"));
        }
        let Some(kind) = found.kind else { return Ok(()) };
        self.unpack(kind.columns(self.version, found.entries)).map_err(|what| place.corrupt(what))
    }

    /// Reads the only section of its `kind` and returns its length.
    pub(crate) fn read(
        &mut self,
        input: &mut dyn Read,
        kind: Kind,
        place: Place,
        left: u64,
    ) -> Result<u64, TraceError> {
        let found = self.head(input, place, left)?;
        if found.kind != Some(kind) || found.number != 0 {
            return Err(place.corrupt("another section is in its place"));
        }
        self.body(input, place, found)?;
        Ok(found.length())
    }

    /// Decompresses `count` columns of at most `limit` bytes each. Skips columns with other keys.
    fn unpack(&mut self, (count, limit): (usize, usize)) -> Result<(), &'static str> {
        self.columns.iter_mut().for_each(Vec::clear);
        self.columns.resize_with(count, Vec::new);
        let head_length = if self.version == 1 { COLUMN_HEAD_V1 } else { COLUMN_HEAD };
        let (mut rest, mut next) = (self.payload.as_slice(), 0);
        while if self.version == 1 { next < count } else { !rest.is_empty() } {
            let (head, after) = rest.split_at_checked(head_length).ok_or("a column is missing")?;
            let (plain, packed) =
                (word(head, head_length - 8) as usize, word(head, head_length - 4) as usize);
            let (frame, after) = after.split_at_checked(packed).ok_or("a column is cut off")?;
            let key = if self.version == 1 { next } else { word(head, 0) as usize };
            if key < next {
                return Err("a column is out of turn");
            }
            (next, rest) = (key + 1, after);
            let Some(column) = self.columns.get_mut(key) else { continue };
            if plain > limit {
                return Err("a column is too long");
            }
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
