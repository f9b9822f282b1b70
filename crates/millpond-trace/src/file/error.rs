//! What can be wrong with a trace, each with one line for people that says what to do.

use std::{fmt, io};

/// Why a trace could not be read or written.
#[derive(Debug)]
#[non_exhaustive]
pub enum TraceError {
    /// The operating system's own error.
    Io(io::Error),
    /// The file does not begin like a trace.
    NotATrace,
    /// A later version of the format than this library knows.
    Newer {
        /// The version in the file.
        found: u32,
        /// The latest version that can be read.
        supported: u32,
    },
    /// The end of the file is missing: its writer was interrupted, or it was copied in part.
    Truncated,
    /// The file is whole, but what it says cannot be right: a checksum differs, or a value is out of its bounds.
    Corrupt {
        /// Where.
        place: Place,
        /// What is wrong there.
        what: &'static str,
    },
    /// The caller of [`Writer`](crate::Writer) asked for something that a trace cannot hold.
    Misuse(&'static str),
}

/// A part of a trace file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first bytes: magic and version.
    Header,
    /// What was known when recording began.
    Start,
    /// A block of events, counted from 0.
    Block(u32),
    /// What was known when recording had ended.
    Summary,
    /// The last bytes, which say where the summary is.
    Footer,
}

impl Place {
    /// The error for this place.
    pub(crate) fn corrupt(self, what: &'static str) -> TraceError {
        TraceError::Corrupt { place: self, what }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("the header"),
            Self::Start => f.write_str("the start section"),
            Self::Block(number) => write!(f, "block {number} of the events"),
            Self::Summary => f.write_str("the summary"),
            Self::Footer => f.write_str("the footer"),
        }
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("reading or writing the trace failed"),
            Self::NotATrace => {
                f.write_str("not a Millpond trace: give a file that `millpond record` has written")
            }
            Self::Newer { found, supported } => write!(
                f,
                "the trace has format version {found}, and this program reads up to {supported}: \
                 update millpond, or record again with this one"
            ),
            Self::Truncated => {
                f.write_str("the trace is cut off, its end is missing: copy the file again, or record again")
            }
            Self::Corrupt { place, what } => {
                write!(f, "the trace is damaged in {place} ({what}): copy the file again, or record again")
            }
            Self::Misuse(what) => write!(f, "this cannot be written to a trace: {what}"),
        }
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for TraceError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
