//! Reads the events of one stream from its units.

use std::{fs::File, io, os::unix::fs::FileExt, rc::Rc, vec};

use super::{
    Record, Window,
    decoder::{Decoder, Event, Note},
};

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

/// One stream, which is read one unit at a time.
#[derive(Debug)]
pub struct StreamReader {
    units: vec::IntoIter<Unit>,
    bytes: Vec<u8>,
    /// Position of the next record in `bytes`.
    next: usize,
    decoder: Decoder,
}

impl StreamReader {
    /// Reads these units, in this order.
    pub fn new(units: Vec<Unit>) -> Self {
        Self { units: units.into_iter(), bytes: Vec::new(), next: 0, decoder: Decoder::default() }
    }

    /// Returns the number of records that have not been read.
    pub fn records(&self) -> u64 {
        let ahead: usize = self.units.as_slice().iter().map(|unit| unit.used).sum();
        (ahead + (self.bytes.len() - self.next) / size_of::<Record>()) as u64
    }

    /// Takes the notes that were among the events so far.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.decoder.take_notes()
    }

    /// Returns the next event; `None` after the last. Fails if a record makes no sense.
    pub fn event(&mut self) -> io::Result<Option<Event>> {
        while let Some(record) = self.record()? {
            if let Some(event) = self.decoder.decode(record)? {
                return Ok(Some(event));
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
