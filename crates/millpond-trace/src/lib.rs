//! Traces of the allocations of real programs: contents and file format.
//!
//! * [`raw`] is the layout in which the recorder logs events inside the recorded process. It does not need the standard
//!   library.
//! * [`Writer`] and [`Reader`] (feature `file`, enabled by default) write and read trace files, `*.mpt`. They are
//!   compressed and checksummed, and read one block of events at a time, so a trace may be larger than memory.
//!   [`ArchiveWriter`] and [`Archive`] are for files with the traces of several processes. The format is described in
//!   [`format`](mod@format).
//! * [`analysis`] computes in one pass over a trace which call stacks allocated what, for how long blocks lived, and what
//!   was live when.

// The libraries never panic and never print; their tests may (see clippy.toml).
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::print_stderr
)]
#![cfg_attr(not(feature = "file"), no_std)]

#[cfg(feature = "file")]
pub mod analysis;
#[cfg(feature = "file")]
mod file;
pub mod raw;

#[cfg(feature = "file")]
pub use crate::file::{
    Archive, ArchiveWriter, At, Call, Detail, Ending, Event, Family, Filter, Frame, FrameKind, Lack,
    Lifetimes, Mark, Module, Node, Op, Origin, Outcome, Place, Reader, Resources, Sample, Shape, Stacks,
    Start, Summary, Symbol, Tables, Thread, TraceError, Verb, Visitor, Writer, format,
};
