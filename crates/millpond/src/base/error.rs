//! The one error that allocators return.

use core::fmt;

/// Why an allocator has no block to give.
///
/// The difference matters to callers: [`Exhausted`](Self::Exhausted) may pass, [`Unsupported`](Self::Unsupported)
/// never does, and [`Os`](Self::Os) carries what the operating system said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocError {
    /// No room is left; when blocks are freed there may be some again.
    Exhausted,
    /// This allocator never serves such a size or alignment.
    Unsupported,
    /// The operating system refused, with this code (`errno` on Unix, `GetLastError` on Windows).
    Os(i32),
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted => f.write_str("no memory left in this allocator"),
            Self::Unsupported => f.write_str("this allocator never serves such a size or alignment"),
            Self::Os(code) => write!(f, "the operating system gave no memory (error {code})"),
        }
    }
}

impl core::error::Error for AllocError {}
