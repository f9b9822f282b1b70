//! Traces of real programs' allocations: what they hold, and how they lie on disk.
//!
//! * [`raw`] is the layout in which the recorder logs events inside the recorded process. It needs no
//!   standard library.
//! * [`Writer`] and [`Reader`] (feature `file`, on by default) write and read trace files, `*.mpt`: compressed,
//!   checksummed, read one block of events at a time, so a trace may be larger than memory. The format is
//!   described in [`format`](mod@format).
//!
//! ```
//! use millpond_trace::{Op, Outcome, Reader, Start, Writer};
//!
//! let mut file = Vec::new();
//! let mut writer = Writer::new(&mut file, &Start::default())?;
//! let slot = writer.allocate(1_000, 0, 0x40_1234, 32, 0, false)?;
//! writer.free(2_000, 0, 0x40_5678, slot)?;
//! let summary = writer.finish(Outcome::default())?;
//! assert_eq!((summary.events, summary.peak_bytes), (2, 32));
//!
//! let mut reader = Reader::from_bytes(file)?;
//! let mut events = Vec::new();
//! while reader.read(&mut events)? {
//!     for event in &events {
//!         assert!(matches!(event.op, Op::Allocate { slot: 0, size: 32, .. } | Op::Free { slot: 0 }));
//!     }
//! }
//! # Ok::<(), millpond_trace::TraceError>(())
//! ```
#![cfg_attr(not(feature = "file"), no_std)]

pub mod raw;

#[cfg(feature = "file")]
mod about;
#[cfg(feature = "file")]
mod block;
#[cfg(feature = "file")]
mod bytes;
#[cfg(feature = "file")]
mod error;
#[cfg(feature = "file")]
mod event;
#[cfg(feature = "file")]
pub mod format;
#[cfg(feature = "file")]
mod reader;
#[cfg(feature = "file")]
mod section;
#[cfg(feature = "file")]
mod slots;
#[cfg(feature = "file")]
mod writer;

#[cfg(feature = "file")]
pub use crate::{
    about::{Ending, Module, Outcome, Start, Summary},
    error::{Place, TraceError},
    event::{Event, Op},
    reader::Reader,
    writer::Writer,
};
