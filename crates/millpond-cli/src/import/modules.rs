//! Where the code of a program is in its file.

use std::fs::{self, File};

use object::{Object as _, ObjectSegment as _, ReadCache};

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
    // Opening a pipe would block, and a device may have no end.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let bytes = ReadCache::new(File::open(path).ok()?);
    let file = object::File::parse(&bytes).ok()?;
    let mut segments = file.segments().map(|segment| Segment {
        address: segment.address(),
        size: segment.size(),
        offset: segment.file_range().0,
    });
    segments.find(|segment| address.checked_sub(segment.address).is_some_and(|inside| inside < segment.size))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn segments_are_those_of_regular_files() {
        let program = std::env::current_exe().unwrap();
        let program = program.to_str().unwrap();
        let bytes = fs::read(program).unwrap();
        let entry = object::File::parse(&*bytes).unwrap().entry();
        let Segment { address, size, offset } = segment(program, entry).unwrap();
        assert!(address <= entry && entry - address < size && offset < bytes.len() as u64);
        assert_eq!(segment(program, u64::MAX), None);
        for other in ["/dev/zero", "/", "/proc/self/status", "missing"] {
            assert_eq!(segment(other, 0), None, "{other}");
        }
    }
}
