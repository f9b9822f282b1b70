//! Where the code of a program is in its file.

use std::fs;

use object::{Object as _, ObjectSegment as _};

/// A part of a file that is mapped as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its address according to the file, and its size.
    pub(super) address: u64,
    pub(super) size: u64,
    /// Its offset in the file.
    pub(super) offset: u64,
}

/// Returns the segment of a file that contains an address; `None` if the file cannot be read or has none.
pub(super) fn segment(path: &str, address: u64) -> Option<Segment> {
    let bytes = fs::read(path).ok()?;
    let file = object::File::parse(&*bytes).ok()?;
    let segments = file.segments().map(|segment| Segment {
        address: segment.address(),
        size: segment.size(),
        offset: segment.file_range().0,
    });
    let mut segments = segments.into_iter();
    segments.find(|segment| address.checked_sub(segment.address).is_some_and(|inside| inside < segment.size))
}
