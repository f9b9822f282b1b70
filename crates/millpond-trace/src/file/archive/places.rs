//! Where the traces in a file are: by the index, or, if that is missing, by a walk through all sections.

use std::{
    io::{Seek as _, SeekFrom},
    ops::Range,
};

use super::part::{Part, Shared};
use crate::file::{
    TraceError,
    error::Place,
    format::{ARCHIVE_MARK, END_MARK},
    reader::{EDGE, check_header, footer, place_in},
    section::{Kind, Unpacker, read_exactly, word},
};

/// Bytes in the index for each trace, and in its checksum.
const ENTRY: u64 = 8;
const CHECKSUM: u64 = 4;

/// Returns the places of all traces by the index of a file; `None` if it has none, or if that is damaged.
pub(super) fn indexed(file: &mut Part) -> Result<Option<Vec<Range<u64>>>, TraceError> {
    let length = file.length();
    let Some(place) = footer(file, length)?.and_then(|footer| place_in(&footer, ARCHIVE_MARK)) else {
        return Ok(None);
    };
    let size = (length - EDGE).checked_sub(place);
    // A trace has a header and a footer, so the file is longer than any valid index.
    let is_valid = |size: &u64| size % ENTRY == CHECKSUM && size / ENTRY <= place / (2 * EDGE);
    let Some(size) = size.filter(is_valid) else { return Ok(None) };
    let mut index = vec![0; size as usize];
    file.seek(SeekFrom::Start(place))?;
    read_exactly(file, &mut index)?;
    let (lengths, checksum) = index.split_at((size - CHECKSUM) as usize);
    if crc32fast::hash(lengths) != word(checksum, 0) {
        return Ok(None);
    }
    let mut traces: Vec<Range<u64>> = Vec::new();
    for entry in lengths.chunks_exact(ENTRY as usize) {
        let start = traces.last().map_or(0, |last| last.end);
        let length = u64::from(word(entry, 4)) << 32 | u64::from(word(entry, 0));
        match start.checked_add(length).filter(|&end| start < end && end <= place) {
            Some(end) => traces.push(start..end),
            None => return Ok(None),
        }
    }
    Ok(Some(traces).filter(|traces| traces.last().is_some_and(|last| last.end == place)))
}

/// Returns whether a file ends as a single trace does.
pub(super) fn is_one_trace(file: &mut Part) -> Result<bool, TraceError> {
    let length = file.length();
    let Ok(version) = check_header(file, length) else { return Ok(false) };
    let Some(place) = footer(file, length)?.and_then(|footer| place_in(&footer, END_MARK)) else {
        return Ok(false);
    };
    let Some(room) = (length - EDGE).checked_sub(place) else { return Ok(false) };
    file.seek(SeekFrom::Start(place))?;
    let head = Unpacker::new(version)?.head(file, Place::Summary, room);
    Ok(head.is_ok_and(|found| found.kind == Some(Kind::Summary) && found.length() == room))
}

/// Walks through a file of this length from section to section; returns the places of the traces that are complete, up
/// to the first that is not.
pub(super) fn search(input: &Shared, length: u64) -> Result<Vec<Range<u64>>, TraceError> {
    let mut traces = Vec::new();
    let mut start = 0;
    while let Some(trace) = length_of_trace(&mut input.part(start..length))? {
        traces.push(start..start + trace);
        start += trace;
    }
    Ok(traces)
}

/// Returns the length of the trace at the start of a part; `None` if there is no complete one.
fn length_of_trace(part: &mut Part) -> Result<Option<u64>, TraceError> {
    let length = part.length();
    let Ok(version) = check_header(part, length) else { return Ok(None) };
    let mut unpacker = Unpacker::new(version)?;
    let mut position = EDGE;
    loop {
        part.seek(SeekFrom::Start(position))?;
        let left = length.saturating_sub(position);
        let Ok(found) = unpacker.head(part, Place::Table(0), left) else { return Ok(None) };
        let summary = position;
        position += found.length();
        if found.kind == Some(Kind::Summary) {
            let end = position + EDGE;
            let place = if end <= length { footer(part, end)? } else { None };
            let is_end = place.and_then(|footer| place_in(&footer, END_MARK)) == Some(summary);
            return Ok(is_end.then_some(end));
        }
    }
}
