//! Trace files. From the bottom up: encoding of numbers, sections of compressed columns, blocks of events as columns,
//! and the writer and reader that combine them.

mod about;
mod archive;
mod background;
mod block;
mod bytes;
mod error;
mod event;
pub mod format;
mod narrow;
mod origin;
mod reader;
mod resources;
mod section;
mod slots;
mod tables;
mod writer;

pub use self::{
    about::{Ending, Outcome, Start, Summary},
    archive::{Archive, ArchiveWriter},
    error::{Place, TraceError},
    event::{At, Call, Detail, Event, Family, Op, Shape, Verb, Visitor},
    narrow::{Filter, Lifetimes},
    origin::{Lack, Origin},
    reader::Reader,
    resources::Resources,
    tables::{Frame, FrameKind, Mark, Module, Node, Sample, Stacks, Symbol, Tables, Thread},
    writer::Writer,
};
