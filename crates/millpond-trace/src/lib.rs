//! Traces of real programs' allocations: what they hold, and how they lie on disk.
//!
//! * [`raw`] is the layout in which the recorder logs events inside the recorded process. It needs no
//!   standard library.
//! * [`Writer`] and [`Reader`] (feature `file`, on by default) write and read trace files, `*.mpt`: compressed,
//!   checksummed, read one block of events at a time, so a trace may be larger than memory. The format is
//!   described in [`format`](mod@format).

// The libraries never panic and never print. (Their tests may: clippy.toml.)
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
mod file;
pub mod raw;

#[cfg(feature = "file")]
pub use crate::file::{
    Ending, Event, Module, Op, Outcome, Place, Reader, Resources, Start, Summary, TraceError, Writer, format,
};
