//! Decodes the records of one stream into events.

use std::{fs::File, os::unix::fs::FileExt, rc::Rc, vec};

use anyhow::{Context, Result, bail};
use millpond_trace::raw::{CALLERS, Decoded, Kind, Record, Window, caller_index};

/// A range of records in a file.
pub(super) struct Unit {
    pub(super) file: Rc<File>,
    pub(super) offset: u64,
    pub(super) used: usize,
}

/// One event, as the recorder saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) ticks: u64,
    pub(super) thread: u32,
    pub(super) caller: u64,
    pub(super) kind: Kind,
    pub(super) address: u64,
    pub(super) size: u64,
    pub(super) align: u32,
}

/// One stream, which is read one unit at a time.
pub(super) struct Stream {
    units: vec::IntoIter<Unit>,
    bytes: Vec<u8>,
    /// Position of the next record in `bytes`.
    next: usize,
    base: u64,
    thread: u32,
    callers: Box<[u64; CALLERS]>,
    extra: Option<(u32, u64)>,
    /// Time never decreases, even if the clocks of two processors differ slightly.
    last: u64,
}

impl Stream {
    pub(super) fn new(units: Vec<Unit>) -> Self {
        Self {
            units: units.into_iter(),
            bytes: Vec::new(),
            next: 0,
            base: 0,
            thread: 0,
            callers: Box::new([0; CALLERS]),
            extra: None,
            last: 0,
        }
    }

    /// Returns the number of records that have not been read.
    pub(super) fn records(&self) -> u64 {
        let ahead: usize = self.units.as_slice().iter().map(|unit| unit.used).sum();
        (ahead + (self.bytes.len() - self.next) / size_of::<Record>()) as u64
    }

    /// Returns the next event; `None` after the last.
    pub(super) fn event(&mut self) -> Result<Option<Event>> {
        while let Some(record) = self.record()? {
            match record.decode() {
                Some(Decoded::Mark { thread, ticks }) => (self.thread, self.base) = (thread, ticks),
                Some(Decoded::Caller { address }) => self.callers[caller_index(address)] = address,
                Some(Decoded::Extra { align, size }) => self.extra = Some((align, size)),
                Some(Decoded::Event { kind, address, caller, offset, size }) => {
                    self.last = self.last.max(self.base + u64::from(offset));
                    let (align, size) = self.extra.take().unwrap_or((0, size.into()));
                    let (ticks, thread, caller) = (self.last, self.thread, self.callers[caller]);
                    return Ok(Some(Event { ticks, thread, caller, kind, address, size, align }));
                }
                None => bail!("the recorder's files were damaged while the program ran"),
            }
        }
        Ok(None)
    }

    fn record(&mut self) -> Result<Option<Record>> {
        while self.next == self.bytes.len() {
            let Some(unit) = self.units.next() else { return Ok(None) };
            self.bytes.resize(unit.used * size_of::<Record>(), 0);
            let start = unit.offset + size_of::<Window>() as u64;
            unit.file.read_exact_at(&mut self.bytes, start).context("could not read the recorder's files")?;
            self.next = 0;
        }
        let word = |at: usize| self.bytes[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
        let record = Record([word(self.next), word(self.next + 8)]);
        self.next += size_of::<Record>();
        Ok(Some(record))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    /// Creates a stream with these records, in units of the lengths that the slices have.
    pub(in super::super) fn stream(units: &[&[Record]]) -> Stream {
        let mut file = tempfile::tempfile().unwrap();
        let mut places = Vec::new();
        for records in units {
            let offset = file.metadata().unwrap().len();
            places.push((offset, records.len()));
            file.write_all(&[0; size_of::<Window>()]).unwrap();
            for record in *records {
                file.write_all(&record.0[0].to_ne_bytes()).unwrap();
                file.write_all(&record.0[1].to_ne_bytes()).unwrap();
            }
        }
        let file = Rc::new(file);
        Stream::new(places.iter().map(|&(offset, used)| Unit { file: file.clone(), offset, used }).collect())
    }

    #[test]
    fn records_become_events() {
        let caller = 0x7f12_3456;
        let index = caller_index(caller);
        let first = [
            Record::mark(3, 1000),
            Record::caller(caller),
            Record::event(Kind::Allocate, 0x10, index, 5, 24),
            Record::extra(64, 1 << 40),
            Record::event(Kind::Allocate, 0x20, index, 6, 0),
        ];
        let second = [Record::mark(4, 990), Record::event(Kind::Free, 0x10, index, 1, 0)];
        let mut stream = stream(&[&first, &[], &second]);
        let event =
            Event { ticks: 1005, thread: 3, caller, kind: Kind::Allocate, address: 0x10, size: 24, align: 0 };
        assert_eq!(stream.event().unwrap(), Some(event));
        let aligned = Event { ticks: 1006, address: 0x20, size: 1 << 40, align: 64, ..event };
        assert_eq!(stream.event().unwrap(), Some(aligned));
        let freed = Event { ticks: 1006, thread: 4, kind: Kind::Free, size: 0, ..event };
        assert_eq!(stream.event().unwrap(), Some(freed), "time does not go back");
        assert_eq!(stream.event().unwrap(), None);
    }

    #[test]
    fn a_record_that_makes_no_sense_is_an_error() {
        assert!(stream(&[&[Record::default()]]).event().is_err());
    }
}
