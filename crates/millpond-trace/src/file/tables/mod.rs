//! Tables: what a trace knows about its process besides the events. Each is a sequence of rows that is written in
//! sections between the blocks of events, and read as the reader comes to them.

mod module;
mod reader;
mod rows;
mod stacks;

pub(crate) use self::{
    module::Change,
    reader::TableReader,
    rows::{ROWS, Row, Rows},
    stacks::NodeWriter,
};
pub use self::{
    module::Module,
    rows::{Mark, Sample, Symbol, Thread},
    stacks::{Frame, FrameKind, Node, Stacks},
};

/// The tables of a trace, as far as it has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// The call stacks.
    pub stacks: Stacks,
    /// The executable mappings that the process had. [`Frame::module`] is an index into them.
    pub modules: Vec<Module>,
    /// What is known about the threads. Not all threads need to be among them, nor must all of them have events.
    pub threads: Vec<Thread>,
    /// Points in time that the program or a user has named.
    pub marks: Vec<Mark>,
    /// Resources that the process used, at points in time.
    pub samples: Vec<Sample>,
    /// Names of functions in a trace that was converted from another file: of the frames with these addresses, innermost
    /// first.
    pub symbols: Vec<Symbol>,
}
