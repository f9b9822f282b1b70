//! Errors of traces. Each has a message of one line that says what to do.

use std::{fmt, io};

/// The reason why a trace could not be read or written.
#[derive(Debug)]
#[non_exhaustive]
pub enum TraceError {
    /// An error of the operating system.
    Io(io::Error),
    /// The file does not begin with the magic number of a trace.
    NotATrace,
    /// The file has a later version of the format than this library supports.
    Newer {
        /// The version in the file.
        found: u32,
        /// The latest supported version.
        supported: u32,
    },
    /// The end of the file is missing: the writer was interrupted, or the file was copied incompletely.
    Truncated,
    /// The file is complete but damaged: a checksum differs, or a value is out of bounds.
    Corrupt {
        /// Where the damage is.
        place: Place,
        /// What is wrong.
        what: &'static str,
    },
    /// The caller of [`Writer`](crate::Writer) passed something that a trace cannot contain.
    Misuse(&'static str),
}

/// A part of a trace file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first bytes: magic number and version.
    Header,
    /// The start section.
    Start,
    /// A block of events, counted from 0.
    Block(u32),
    /// A section with rows of a table, counted from 0.
    Table(u32),
    /// The summary section.
    Summary,
    /// The last bytes, with the position of the summary.
    Footer,
}

impl Place {
    /// Returns the error for damage at this place.
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
            Self::Table(number) => write!(f, "section {number} of the tables"),
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
