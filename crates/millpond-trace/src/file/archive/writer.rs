//! Writing several traces to one file.

use std::{
    fmt,
    io::{self, Write},
};

use crate::file::{TraceError, format::ARCHIVE_MARK};

/// Writes traces to one file, one after the other, and an index after them. A single trace is written as if alone.
///
/// An archive that is not [finished](Self::finish) has no index; its complete traces can be read nevertheless.
pub struct ArchiveWriter<W: Write> {
    out: W,
    /// The lengths of the traces so far.
    lengths: Vec<u64>,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive.
    pub fn new(out: W) -> Self {
        Self { out, lengths: Vec::new() }
    }

    /// Begins a trace: what is written to the result from here on belongs to it. The trace before must be complete.
    pub fn begin(&mut self) -> impl Write + use<'_, W> {
        self.lengths.push(0);
        Member { archive: self }
    }

    /// Returns the length in bytes of the trace that was begun last.
    pub fn length(&self) -> u64 {
        self.lengths.last().copied().unwrap_or(0)
    }

    /// Writes the index, if there are several traces, and flushes.
    pub fn finish(mut self) -> Result<W, TraceError> {
        if self.lengths.len() > 1 {
            let index: Vec<u8> = self.lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
            let place = self.lengths.iter().sum::<u64>().to_le_bytes();
            self.out.write_all(&index)?;
            self.out.write_all(&crc32fast::hash(&index).to_le_bytes())?;
            self.out.write_all(&place)?;
            self.out.write_all(&crc32fast::hash(&place).to_le_bytes())?;
            self.out.write_all(&ARCHIVE_MARK)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> fmt::Debug for ArchiveWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveWriter").field("lengths", &self.lengths).finish_non_exhaustive()
    }
}

/// The trace that was begun last.
struct Member<'a, W: Write> {
    archive: &'a mut ArchiveWriter<W>,
}

impl<W: Write> Write for Member<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.archive.out.write(bytes)?;
        if let Some(length) = self.archive.lengths.last_mut() {
            *length += written as u64;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.archive.out.flush()
    }
}
