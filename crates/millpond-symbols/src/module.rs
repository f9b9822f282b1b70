//! Modules, the files that a program had mapped.

use std::path::PathBuf;

use crate::build_id::BuildId;

/// A mapping of an executable or shared library into a program, as in a line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The mapped file.
    pub path: PathBuf,
    /// The build id of the file that was mapped; `None` if it was not recorded.
    pub build_id: Option<BuildId>,
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// Offset in the file at which the mapping begins.
    pub offset: u64,
}

impl Module {
    /// Returns the offset in the file of what is mapped at an address; `None` outside of the module.
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        (self.start..self.end).contains(&address).then(|| (address - self.start).wrapping_add(self.offset))
    }
}
