//! Finds the units of all streams in the files of a process.

use std::{
    collections::BTreeMap, fs::File, io, os::unix::fs::FileExt, path::Path, rc::Rc,
    sync::atomic::Ordering::Relaxed,
};

use super::{FromBytes, RECORDS, Record, StreamReader, UNIT, Window};

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

/// The units of all streams of a process, by stream and sequence number.
#[derive(Debug, Default)]
pub struct Units {
    streams: BTreeMap<u32, BTreeMap<u32, Unit>>,
}

impl Units {
    /// Adds the units of a file, from offset `first`. Of two units with the same number, the one with more records is
    /// complete: the other was being written, or had been written and not yet restarted, when the process was killed.
    ///
    /// Files of windows must be added before the files to which windows are written out, so that no unit is missed if
    /// the process still runs.
    pub fn add(&mut self, path: &Path, first: u64) -> io::Result<()> {
        let file = Rc::new(File::open(path)?);
        let length = file.metadata()?.len();
        let mut offset = first;
        while offset + (size_of::<Window>() as u64) <= length {
            let mut head = [0; size_of::<Window>()];
            file.read_exact_at(&mut head, offset)?;
            if let Some(window) = Window::from_bytes(&head).filter(|window| window.valid.load(Relaxed) == 1) {
                let there = (length - offset) as usize / size_of::<Record>()
                    - size_of::<Window>() / size_of::<Record>();
                let used = (window.used.load(Relaxed) as usize).min(RECORDS).min(there);
                let (stream, sequence) = (window.stream.load(Relaxed), window.sequence.load(Relaxed));
                let known = self.streams.entry(stream).or_default();
                if known.get(&sequence).is_none_or(|other| other.used < used) {
                    known.insert(sequence, Unit { file: file.clone(), offset, used });
                }
            }
            offset += UNIT as u64;
        }
        Ok(())
    }

    /// Returns the streams with all their units in order.
    pub fn into_streams(self) -> Vec<StreamReader> {
        self.streams.into_values().map(|units| StreamReader::new(units.into_values().collect())).collect()
    }
}
