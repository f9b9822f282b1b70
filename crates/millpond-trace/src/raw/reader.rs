//! Decodes the records of one stream into events.

use std::{fs::File, io, os::unix::fs::FileExt, rc::Rc, vec};

use super::{CALLERS, Decoded, Kind, NoteKind, Record, Window, caller_index, without_call};

/// Records that follow each other in a file.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The file.
    pub file: Rc<File>,
    /// The offset of the unit's head, [`Window`], in the file.
    pub offset: u64,
    /// Number of records.
    pub used: usize,
}

/// One event, as the recorder saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The time.
    pub ticks: u64,
    /// The number of the thread in its process.
    pub thread: u32,
    /// An address in the code of the caller, or a stack: see `stack_of_caller`.
    pub caller: u64,
    /// The code of the function that was called: `Call::to_byte` of this crate.
    pub call: u8,
    /// What was called.
    pub kind: Kind,
    /// The address of the block.
    pub address: u64,
    /// The usable bytes of the block, if they are known.
    pub usable: Option<u64>,
    /// The size that was requested.
    pub size: u64,
    /// The alignment that was requested; 0: default.
    pub align: u32,
}

/// One note about a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The time.
    pub ticks: u64,
    /// The number of the thread in its process.
    pub thread: u32,
    /// What the note says.
    pub kind: NoteKind,
    /// A number; see [`NoteKind`].
    pub number: u32,
    /// Its text.
    pub text: Vec<u8>,
}

/// One stream, which is read one unit at a time.
#[derive(Debug)]
pub struct StreamReader {
    units: vec::IntoIter<Unit>,
    bytes: Vec<u8>,
    /// Position of the next record in `bytes`.
    next: usize,
    base: u64,
    thread: u32,
    callers: Box<[u64; CALLERS]>,
    extra: Option<(u32, u64)>,
    usable: Option<u64>,
    notes: Vec<Note>,
    /// Bytes of text that the last note still lacks.
    lacking: usize,
    /// Time never decreases, even if the clocks of two processors differ slightly.
    last: u64,
}

impl StreamReader {
    /// Reads these units, in this order.
    pub fn new(units: Vec<Unit>) -> Self {
        Self {
            units: units.into_iter(),
            bytes: Vec::new(),
            next: 0,
            base: 0,
            thread: 0,
            callers: Box::new([0; CALLERS]),
            extra: None,
            usable: None,
            notes: Vec::new(),
            lacking: 0,
            last: 0,
        }
    }

    /// Returns the number of records that have not been read.
    pub fn records(&self) -> u64 {
        let ahead: usize = self.units.as_slice().iter().map(|unit| unit.used).sum();
        (ahead + (self.bytes.len() - self.next) / size_of::<Record>()) as u64
    }

    /// Takes the notes that were among the events so far.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Returns the next event; `None` after the last. Fails if a record makes no sense.
    pub fn event(&mut self) -> io::Result<Option<Event>> {
        while let Some(record) = self.record()? {
            match record.decode() {
                Some(Decoded::Mark { thread, ticks }) => (self.thread, self.base) = (thread, ticks),
                Some(Decoded::Caller { address }) => self.callers[caller_index(address)] = address,
                Some(Decoded::Extra { align, size }) => self.extra = Some((align, size)),
                Some(Decoded::Usable { bytes }) => self.usable = Some(bytes),
                Some(Decoded::Event { kind, address, caller, offset, size }) => {
                    self.last = self.last.max(self.base + u64::from(offset));
                    let (align, size) = self.extra.take().unwrap_or((0, size.into()));
                    let (ticks, thread) = (self.last, self.thread);
                    let (caller, call) = without_call(self.callers[caller]);
                    let usable = self.usable.take();
                    return Ok(Some(Event {
                        ticks,
                        thread,
                        caller,
                        call,
                        kind,
                        address,
                        usable,
                        size,
                        align,
                    }));
                }
                Some(Decoded::Note { kind, number, length, ticks }) => {
                    self.lacking = length.into();
                    let (thread, text) = (self.thread, Vec::new());
                    self.notes.push(Note { ticks, thread, kind, number, text });
                }
                Some(Decoded::Text { bytes }) => {
                    let part = bytes.get(..self.lacking).unwrap_or(&bytes);
                    self.lacking = self.lacking.saturating_sub(part.len());
                    if let Some(note) = self.notes.last_mut() {
                        note.text.extend_from_slice(part);
                    }
                }
                None => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a record that makes no sense"));
                }
            }
        }
        Ok(None)
    }

    fn record(&mut self) -> io::Result<Option<Record>> {
        while self.next == self.bytes.len() {
            let Some(unit) = self.units.next() else { return Ok(None) };
            self.bytes.resize(unit.used * size_of::<Record>(), 0);
            let start = unit.offset + size_of::<Window>() as u64;
            unit.file.read_exact_at(&mut self.bytes, start)?;
            self.next = 0;
        }
        let word = |at: usize| self.bytes[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
        let record = Record([word(self.next), word(self.next + 8)]);
        self.next += size_of::<Record>();
        Ok(Some(record))
    }
}
