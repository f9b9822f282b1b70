//! Merges the events of several streams by time.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, binary_heap::PeekMut},
};

use anyhow::{Context, Result};
use millpond_trace::raw::{Event, Kind, Note, StreamReader};

use crate::terminal::Progress;

/// The next event of a stream. The largest is the one that comes first.
struct Head {
    event: Event,
    stream: usize,
}

impl Head {
    /// At the same tick, frees come before allocations.
    fn key(&self) -> (u64, bool, usize) {
        let gives_up = matches!(self.event.kind, Kind::Free | Kind::ResizeStart);
        (self.event.ticks, !gives_up, self.stream)
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Head {}

/// All streams of a process.
pub(super) struct Merge {
    streams: Vec<StreamReader>,
    heads: BinaryHeap<Head>,
}

impl Merge {
    pub(super) fn new(mut streams: Vec<StreamReader>) -> Result<Self> {
        let mut heads = BinaryHeap::with_capacity(streams.len());
        for (stream, reader) in streams.iter_mut().enumerate() {
            if let Some(event) = next_of(reader)? {
                heads.push(Head { event, stream });
            }
        }
        Ok(Self { streams, heads })
    }

    /// Returns whether there are no events.
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Counts the events, in any order.
    pub(super) fn count(self) -> Result<u64> {
        let progress = Progress::new("counting the events of a process");
        let mut count = self.heads.len() as u64;
        let all = count + self.streams.iter().map(StreamReader::records).sum::<u64>();
        for mut stream in self.streams {
            while next_of(&mut stream)?.is_some() {
                count += 1;
                if count.is_multiple_of(1 << 16) {
                    progress.at(count, all);
                }
            }
        }
        Ok(count)
    }

    /// Takes the notes about threads that were among the events so far.
    pub(super) fn take_notes(&mut self) -> Vec<Note> {
        self.streams.iter_mut().flat_map(StreamReader::take_notes).collect()
    }

    /// Returns the next event of all streams; `None` after the last.
    pub(super) fn event(&mut self) -> Result<Option<Event>> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        let event = head.event;
        match next_of(&mut self.streams[head.stream])? {
            Some(next) => head.event = next,
            None => drop(PeekMut::pop(head)),
        }
        Ok(Some(event))
    }
}

/// Returns the next event of a stream; `None` after the last.
fn next_of(stream: &mut StreamReader) -> Result<Option<Event>> {
    stream.event().context("could not read the recorder's files, or the program damaged them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use millpond_trace::raw::{Record, Unit, Window};
    use std::{io::Write, rc::Rc};

    /// Creates a stream with these records in one unit.
    fn stream(records: &[Record]) -> StreamReader {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[0; size_of::<Window>()]).unwrap();
        for record in records {
            file.write_all(&record.0[0].to_ne_bytes()).unwrap();
            file.write_all(&record.0[1].to_ne_bytes()).unwrap();
        }
        StreamReader::new(vec![Unit { file: Rc::new(file), offset: 0, used: records.len() }])
    }

    #[test]
    fn streams_are_merged_by_time() {
        let event = |kind, address, offset| Record::event(kind, address, 0, offset, 8);
        let first = [
            Record::mark(0, 100),
            event(Kind::Allocate, 0x10, 1),
            event(Kind::Free, 0x10, 5),
            event(Kind::Allocate, 0x30, 9),
        ];
        let second = [Record::mark(1, 100), event(Kind::Allocate, 0x20, 2), event(Kind::Allocate, 0x10, 5)];
        for streams in [[&first[..], &second], [&second, &first]] {
            let mut merge = Merge::new(vec![stream(streams[0]), stream(&[]), stream(streams[1])]).unwrap();
            let mut seen = Vec::new();
            while let Some(event) = merge.event().unwrap() {
                seen.push((event.ticks, event.thread, event.kind, event.address));
            }
            let expected = [
                (101, 0, Kind::Allocate, 0x10),
                (102, 1, Kind::Allocate, 0x20),
                (105, 0, Kind::Free, 0x10),
                (105, 1, Kind::Allocate, 0x10),
                (109, 0, Kind::Allocate, 0x30),
            ];
            assert_eq!(seen, expected);
        }
    }
}
