//! Reads the streams of a process image while they are written.
//!
//! A window is reused once it was written out, so what was read from it counts only if its head is the same before and
//! after. A unit that was written out is complete once the window has a later sequence number.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{Ordering::*, fence},
};

use super::{Decoder, Event, FromBytes, MEMORY_FOLLOWS, Note, RECORDS, RECORDS_FOLLOW, Record, UNIT, Window};

/// The streams of a process image that may still be written.
#[derive(Debug)]
pub struct Tail {
    image: u32,
    windows: Growing,
    written: Growing,
    reserve: Growing,
    streams: Vec<Stream>,
    bytes: Vec<u8>,
}

/// A file that may appear later.
#[derive(Debug)]
struct Growing {
    path: PathBuf,
    /// Kept open, because the file may be deleted when the program has ended.
    file: Option<File>,
    /// All units before this offset are known.
    seen: u64,
}

/// A stream, as far as it has been read.
#[derive(Debug, Default)]
struct Stream {
    decoder: Decoder,
    /// The sequence number of the unit that is read next, and the number of its records that have been read.
    sequence: u32,
    next: usize,
    /// Units outside of the window that have not been read.
    units: BTreeMap<u32, Place>,
    /// The sequence number and the number of records of the window, when they were looked at last.
    window: Option<(u32, usize)>,
}

/// Where a unit is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Written(u64),
    Reserved(u64),
}

/// The head of a unit.
#[derive(Clone, Copy)]
struct Head {
    stream: u32,
    sequence: u32,
    used: usize,
    valid: u32,
    image: u32,
}

impl Growing {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, seen: 0 }
    }

    /// Opens the file, if it is there.
    fn open(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.file = match File::open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// Returns the head of the unit at an offset; `None` if the file does not have it yet.
    fn head(&self, offset: u64) -> io::Result<Option<Head>> {
        let Some(file) = &self.file else { return Ok(None) };
        let mut bytes = [0; size_of::<Window>()];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(Window::from_bytes(&bytes).map(|window| Head {
            stream: window.stream.load(Relaxed),
            sequence: window.sequence.load(Relaxed),
            used: (window.used.load(Relaxed) as usize).min(RECORDS),
            valid: window.valid.load(Relaxed),
            image: window.image.load(Relaxed),
        }))
    }
}

impl Stream {
    /// Returns the latest sequence number that is known: all earlier units are complete.
    fn latest(&self) -> u32 {
        let reserved = self.units.iter().rev().find(|(_, place)| matches!(place, Place::Reserved(_)));
        let window = self.window.map_or(0, |(sequence, _)| sequence);
        reserved.map_or(window, |(&sequence, _)| sequence.max(window))
    }

    /// Returns whether there are records to read, as far as is known.
    fn has_more(&self) -> bool {
        match (self.units.get(&self.sequence), self.window) {
            (Some(Place::Reserved(_)), _) => true,
            (Some(Place::Written(_)), _) if self.sequence < self.latest() => true,
            (_, Some((sequence, used))) => {
                sequence == self.sequence && (used > self.next || sequence < self.latest())
            }
            _ => false,
        }
    }
}

impl Tail {
    /// Follows the process image of this number in the directory of a recording.
    pub fn new(directory: &Path, image: u32) -> Self {
        Self {
            image,
            windows: Growing::new(directory.join(format!("live/{image}"))),
            written: Growing::new(directory.join(image.to_string())),
            reserve: Growing::new(directory.join("reserve")),
            streams: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Returns the number of streams so far.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Takes the notes that were among the events so far.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.streams.iter_mut().flat_map(|stream| stream.decoder.take_notes()).collect()
    }

    /// Looks for what was written since the last call.
    pub fn look(&mut self) -> io::Result<()> {
        for file in [&mut self.windows, &mut self.written, &mut self.reserve] {
            file.open()?;
        }
        // Windows first: what they no longer have was written out before.
        let mut stream = 0;
        while let Some(head) = self.windows.head((UNIT * (stream + 1)) as u64)? {
            let of_stream = self.stream(stream as u32);
            of_stream.window = (head.valid == RECORDS_FOLLOW).then_some((head.sequence, head.used));
            stream += 1;
        }
        self.look_at_reserve()?;
        self.look_at_written()
    }

    fn look_at_written(&mut self) -> io::Result<()> {
        let (mut offset, mut is_known) = (self.written.seen, true);
        while let Some(head) = self.written.head(offset)? {
            // A thread has begun to write the unit, if it has none.
            is_known &= head.valid == RECORDS_FOLLOW;
            self.add(&head, Place::Written(offset));
            offset += UNIT as u64;
            if is_known {
                self.written.seen = offset;
            }
        }
        Ok(())
    }

    fn look_at_reserve(&mut self) -> io::Result<()> {
        let (mut offset, mut is_known) = (self.reserve.seen, true);
        while let Some(head) = self.reserve.head(offset)? {
            is_known &= head.valid != 0;
            if head.image == self.image {
                self.add(&head, Place::Reserved(offset));
            }
            let units = if head.valid == MEMORY_FOLLOWS { head.used.max(1) } else { 1 };
            offset += (UNIT * units) as u64;
            if is_known {
                self.reserve.seen = offset;
            }
        }
        Ok(())
    }

    /// Notes where a unit is, unless it was read.
    fn add(&mut self, head: &Head, place: Place) {
        if head.valid == RECORDS_FOLLOW && head.stream < STREAMS {
            let stream = self.stream(head.stream);
            if head.sequence >= stream.sequence {
                stream.units.entry(head.sequence).or_insert(place);
            }
        }
    }

    fn stream(&mut self, number: u32) -> &mut Stream {
        let at = number as usize;
        if at >= self.streams.len() {
            self.streams.resize_with(at + 1, Stream::default);
        }
        &mut self.streams[at]
    }

    /// Passes events that are known since the last [`look`](Self::look) to `visit`, with the numbers of their streams: at
    /// most those of `units` units, the earliest first. The events of each stream are in order. Returns the time before
    /// which there are no further events, or `None` if there are none.
    pub fn read(&mut self, units: usize, mut visit: impl FnMut(usize, &Event)) -> io::Result<Option<u64>> {
        for _ in 0..units {
            let Some((_, at)) = self.earliest() else { return Ok(None) };
            if !self.read_unit(at, |event| visit(at, event))? {
                // What the window had is in a unit by now, for which the caller must look.
                self.streams[at].window = None;
            }
        }
        Ok(self.earliest().map(|(time, _)| time))
    }

    /// Returns the stream with events to read of which the last one that was read is the earliest, and its time.
    fn earliest(&self) -> Option<(u64, usize)> {
        let waiting = self.streams.iter().enumerate().filter(|(_, stream)| stream.has_more());
        waiting.map(|(at, stream)| (stream.decoder.last(), at)).min()
    }

    /// Reads what is left of the current unit of a stream. Returns `false` if it was not there any more.
    fn read_unit(&mut self, at: usize, mut visit: impl FnMut(&Event)) -> io::Result<bool> {
        let stream = &mut self.streams[at];
        let is_complete = stream.sequence < stream.latest();
        let place = stream.units.get(&stream.sequence).copied();
        let (file, offset, is_window) = match place {
            Some(Place::Reserved(offset)) => (&self.reserve, offset, false),
            Some(Place::Written(offset)) if is_complete => (&self.written, offset, false),
            _ => (&self.windows, (UNIT * (at + 1)) as u64, true),
        };
        let unit = |used: usize| {
            let head = file.head(offset)?;
            Ok::<_, io::Error>(head.filter(|head| head.sequence == stream.sequence && head.used >= used))
        };
        let (Some(head), Some(open)) = (unit(stream.next)?, &file.file) else { return Ok(false) };
        fence(Acquire);
        self.bytes.resize((head.used - stream.next) * size_of::<Record>(), 0);
        let start = size_of::<Window>() + stream.next * size_of::<Record>();
        open.read_exact_at(&mut self.bytes, offset + start as u64)?;
        fence(Acquire);
        if is_window && unit(head.used)?.is_none() {
            return Ok(false);
        }
        for record in Record::all(&self.bytes) {
            if let Some(event) = stream.decoder.decode(record)? {
                visit(&event);
            }
        }
        stream.next = head.used;
        if is_complete {
            stream.units.remove(&stream.sequence);
            (stream.sequence, stream.next) = (stream.sequence + 1, 0);
        } else if is_window {
            stream.window = Some((head.sequence, head.used));
        } else {
            // Looked at again when the caller looks.
            stream.units.remove(&stream.sequence);
            self.reserve.seen = self.reserve.seen.min(offset);
        }
        Ok(true)
    }
}

/// No process has as many streams: a higher number is damage.
const STREAMS: u32 = 1 << 20;

#[cfg(test)]
mod tests;
