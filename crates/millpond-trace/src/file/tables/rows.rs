//! Rows that are encoded one after the other: threads, marks and samples.

use crate::file::{
    bytes::{Bytes, put, put_text},
    format::TEXT_LIMIT,
    section::Kind,
};

/// Bytes of rows that are written at once, unless a block of events comes before that many are collected.
pub(crate) const ROWS: usize = 1 << 20;

/// A row of a table.
pub(crate) trait Row: Sized {
    /// The kind of the sections that contain such rows.
    const KIND: Kind;

    /// Appends the bytes of the row.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads what [`put`](Self::put) has written.
    fn take(bytes: &mut Bytes<'_>) -> Option<Self>;
}

/// Rows that have not been written yet.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) count: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Rows {
    /// Adds a row, unless it is so long that a section with it might exceed [`TEXT_LIMIT`]; returns whether it did.
    pub(crate) fn push(&mut self, row: &impl Row) -> bool {
        let before = self.bytes.len();
        row.put(&mut self.bytes);
        let fits = self.bytes.len() - before <= TEXT_LIMIT - ROWS;
        if fits {
            self.count += 1;
        } else {
            self.bytes.truncate(before);
        }
        fits
    }
}

/// A thread of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// The number that events have; at least [`Summary::threads`](crate::Summary::threads) if it has no events.
    pub number: u32,
    /// Its name; empty if unknown.
    pub name: String,
    /// Nanoseconds from the start of recording until it started, or until its first event if only that is known; 0 if it
    /// started before.
    pub started: u64,
    /// Nanoseconds from the start of recording until it ended, if it did as far as known.
    pub ended: Option<u64>,
}

impl Row for Thread {
    const KIND: Kind = Kind::Threads;

    fn put(&self, out: &mut Vec<u8>) {
        put(out, u64::from(self.number));
        put_text(out, &self.name);
        put(out, self.started);
        put(out, self.ended.map_or(0, |time| time.saturating_add(1)));
    }

    fn take(bytes: &mut Bytes<'_>) -> Option<Self> {
        Some(Self {
            number: bytes.small()?,
            name: bytes.text()?.to_owned(),
            started: bytes.number()?,
            ended: bytes.number()?.checked_sub(1),
        })
    }
}

/// A point in time with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Nanoseconds since recording began.
    pub time: u64,
    /// The name.
    pub name: String,
}

impl Row for Mark {
    const KIND: Kind = Kind::Marks;

    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.time);
        put_text(out, &self.name);
    }

    fn take(bytes: &mut Bytes<'_>) -> Option<Self> {
        Some(Self { time: bytes.number()?, name: bytes.text()?.to_owned() })
    }
}

/// Resources that the process used up to a point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Nanoseconds since recording began.
    pub time: u64,
    /// Resident bytes.
    pub resident: u64,
    /// Anonymous resident bytes.
    pub anonymous: u64,
    /// Number of page faults since the process started, of both kinds.
    pub page_faults: u64,
    /// Nanoseconds of CPU time since the process started.
    pub cpu_ns: u64,
}

impl Row for Sample {
    const KIND: Kind = Kind::Samples;

    fn put(&self, out: &mut Vec<u8>) {
        for number in [self.time, self.resident, self.anonymous, self.page_faults, self.cpu_ns] {
            put(out, number);
        }
    }

    fn take(bytes: &mut Bytes<'_>) -> Option<Self> {
        Some(Self {
            time: bytes.number()?,
            resident: bytes.number()?,
            anonymous: bytes.number()?,
            page_faults: bytes.number()?,
            cpu_ns: bytes.number()?,
        })
    }
}

/// A function that was executing at an address, or that was inlined there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbol {
    /// What [`Frame::instruction`](crate::Frame::instruction) returns.
    pub address: u64,
    /// The function's name.
    pub function: String,
    /// The source file; empty if unknown.
    pub file: String,
    /// The line in it; 0 if unknown.
    pub line: u32,
}

impl Row for Symbol {
    const KIND: Kind = Kind::Symbols;

    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.address);
        put_text(out, &self.function);
        put_text(out, &self.file);
        put(out, u64::from(self.line));
    }

    fn take(bytes: &mut Bytes<'_>) -> Option<Self> {
        Some(Self {
            address: bytes.number()?,
            function: bytes.text()?.to_owned(),
            file: bytes.text()?.to_owned(),
            line: bytes.small()?,
        })
    }
}
