//! Decodes the records of one stream into events.

use std::io;

use super::{CALLERS, Decoded, Kind, NoteKind, Record, caller_index, without_call};

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

/// What is known of a stream from the records so far.
#[derive(Debug)]
pub struct Decoder {
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

impl Default for Decoder {
    fn default() -> Self {
        Self {
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
}

impl Decoder {
    /// Takes the notes that were among the records so far.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Returns the time of the last event.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Takes the next record, and returns the event, if it is one. Fails if it makes no sense.
    #[inline]
    pub fn decode(&mut self, record: Record) -> io::Result<Option<Event>> {
        match record.decode() {
            Some(Decoded::Event { kind, address, caller, offset, size }) => {
                self.last = self.last.max(self.base + u64::from(offset));
                let (align, size) = self.extra.take().unwrap_or((0, size.into()));
                let (ticks, thread) = (self.last, self.thread);
                let (caller, call) = without_call(self.callers[caller]);
                let usable = self.usable.take();
                Ok(Some(Event { ticks, thread, caller, call, kind, address, usable, size, align }))
            }
            Some(other) => {
                self.other(other);
                Ok(None)
            }
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "a record that makes no sense")),
        }
    }

    /// Takes a record that is no event.
    fn other(&mut self, decoded: Decoded) {
        match decoded {
            Decoded::Mark { thread, ticks } => (self.thread, self.base) = (thread, ticks),
            Decoded::Caller { address } => self.callers[caller_index(address)] = address,
            Decoded::Extra { align, size } => self.extra = Some((align, size)),
            Decoded::Usable { bytes } => self.usable = Some(bytes),
            Decoded::Note { kind, number, length, ticks } => {
                self.lacking = length.into();
                let (thread, text) = (self.thread, Vec::new());
                self.notes.push(Note { ticks, thread, kind, number, text });
            }
            Decoded::Text { bytes } => {
                let part = bytes.get(..self.lacking).unwrap_or(&bytes);
                self.lacking = self.lacking.saturating_sub(part.len());
                if let Some(note) = self.notes.last_mut() {
                    note.text.extend_from_slice(part);
                }
            }
            // `decode` takes these.
            Decoded::Event { .. } => {}
        }
    }
}
