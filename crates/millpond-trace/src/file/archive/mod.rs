//! Files with several traces: one after the other, and an index after them (see [`format`](mod@crate::format)).

mod part;
mod places;
mod writer;

use std::{
    fmt,
    fs::File,
    io::{Cursor, Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
};

use crate::file::{Reader, TraceError};

use self::part::Shared;
pub use self::writer::ArchiveWriter;

/// The traces in a file: one for each process of a recording.
///
/// If the file was cut off, it has all traces that were complete; see [`is_complete`](Self::is_complete).
///
/// ```
/// use millpond_trace::{Archive, ArchiveWriter, Outcome, Start, Writer};
///
/// let mut file = Vec::new();
/// let mut archive = ArchiveWriter::new(&mut file);
/// for process in [7, 8] {
///     let start = Start { process, ..Start::default() };
///     Writer::new(archive.begin(), &start)?.finish(Outcome::default())?;
/// }
/// archive.finish()?;
///
/// let archive = Archive::from_bytes(file)?;
/// assert_eq!((archive.count(), archive.is_complete()), (2, true));
/// assert_eq!(archive.reader(1)?.start().process, 8);
/// # Ok::<(), millpond_trace::TraceError>(())
/// ```
pub struct Archive {
    input: Shared,
    /// Where each trace is in the file.
    traces: Vec<Range<u64>>,
    is_complete: bool,
}

impl Archive {
    /// Opens a file with any number of traces.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        Self::new(File::open(path)?)
    }

    /// Reads traces from memory.
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Result<Self, TraceError> {
        Self::new(Cursor::new(bytes))
    }

    /// Reads traces from any seekable input; the first begins at position 0.
    pub fn new(mut input: impl Read + Seek + Send + 'static) -> Result<Self, TraceError> {
        let length = input.seek(SeekFrom::End(0))?;
        let input = Shared::new(input);
        let alone = || std::iter::once(0..length).collect();
        let (traces, is_complete) = if let Some(traces) = places::indexed(&mut input.part(0..length))? {
            (traces, true)
        } else if places::is_one_trace(&mut input.part(0..length))? {
            (alone(), true)
        } else {
            let found = places::search(&input, length)?;
            // If there is no complete trace, the reader says what is wrong with the first.
            if found.is_empty() { (alone(), true) } else { (found, false) }
        };
        Ok(Self { input, traces, is_complete })
    }

    /// Returns the number of traces, which is at least 1.
    pub fn count(&self) -> usize {
        self.traces.len()
    }

    /// Returns whether the file has its end. If not, later traces may be missing.
    ///
    /// A file that was cut off after its first trace is the same as one with a single trace, and one that was cut off
    /// within it counts as a single trace, which cannot be opened; both return `true`.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns the bytes that a trace takes in the file, given its number in the order of the file; 0 if there is no such
    /// trace.
    pub fn bytes(&self, number: usize) -> u64 {
        self.traces.get(number).map_or(0, |place| place.end - place.start)
    }

    /// Opens a trace, given its number in the order of the file.
    pub fn reader(&self, number: usize) -> Result<Reader, TraceError> {
        let place = self.traces.get(number).ok_or(TraceError::Misuse("a trace that is not in the file"))?;
        Reader::alone(Box::new(self.input.part(place.clone())))
    }

    /// Opens the trace with the most events; of several, the first in the file.
    pub fn largest(&self) -> Result<Reader, TraceError> {
        let mut largest = self.reader(0)?;
        for number in 1..self.count() {
            let reader = self.reader(number)?;
            if reader.summary().events > largest.summary().events {
                largest = reader;
            }
        }
        Ok(largest)
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("traces", &self.traces).finish_non_exhaustive()
    }
}
