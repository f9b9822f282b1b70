//! Parts of an input, each with a position of its own.

use std::{
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use crate::file::reader::Source;

/// An input that several parts share.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<dyn Source>>);

impl Shared {
    pub(super) fn new(input: impl Read + Seek + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(input)))
    }

    /// Returns a part of the input, which must not go beyond its end.
    pub(super) fn part(&self, place: Range<u64>) -> Part {
        Part { input: self.clone(), start: place.start, length: place.end - place.start, position: 0 }
    }
}

/// A part of an input.
pub(super) struct Part {
    input: Shared,
    start: u64,
    length: u64,
    position: u64,
}

impl Part {
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.position);
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        // A reader that has panicked leaves nothing behind but a position, which is set here.
        let mut input = self.input.0.lock().unwrap_or_else(PoisonError::into_inner);
        input.seek(SeekFrom::Start(self.start + self.position))?;
        let read = input.read(&mut buffer[..room])?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Part {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
            SeekFrom::End(distance) => self.length.checked_add_signed(distance),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
