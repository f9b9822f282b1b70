//! Build ids, which tell two builds of a file apart.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The build id of an executable or shared library: the bytes that the linker wrote, usually 20.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BuildId(Vec<u8>);

impl BuildId {
    /// Returns the build id with these bytes; `None` if there are fewer than 2 or more than 64, which no linker writes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (2..=64).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// Returns its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path of its debug information below a `.build-id` folder: `xx/yyyy.debug`.
    pub(crate) fn debug_path(&self) -> String {
        let text = self.to_string();
        let (folder, file) = text.split_at(2);
        format!("{folder}/{file}.debug")
    }
}

/// In hexadecimal digits.
impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
