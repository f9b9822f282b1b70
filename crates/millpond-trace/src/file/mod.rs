//! Trace files. From the bottom up: encoding of numbers, sections of compressed columns, blocks of events as columns,
//! and the writer and reader that combine them.

mod about;
mod background;
mod block;
mod bytes;
mod error;
mod event;
pub mod format;
mod reader;
mod resources;
mod section;
mod slots;
mod writer;

pub use self::{
    about::{Ending, Module, Outcome, Start, Summary},
    error::{Place, TraceError},
    event::{Event, Op},
    reader::Reader,
    resources::Resources,
    writer::Writer,
};
