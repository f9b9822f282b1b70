//! Where the events come from.

use anyhow::Result;
use millpond_trace::{Mark, Tables};

use super::model::Model;

/// A program whose allocations are watched.
pub(crate) trait Source {
    /// Describes the program.
    fn about(&self) -> &About;

    /// The program as far as its events have been read.
    fn model(&self) -> &Model;

    /// Reads some of the events up to the present, or up to the moment that is replayed.
    fn advance(&mut self) -> Result<State>;

    /// Returns whether everything is counted that had happened when this was opened.
    fn has_caught_up(&self) -> bool;

    /// Stops the clock of a replay, or lets it go on.
    fn hold(&mut self, held: bool);

    /// Returns the tables with the stacks of all events that were read.
    fn tables(&mut self) -> Result<&Tables>;

    /// Returns the stacks in the tables for those of the model, as far as the last call of [`tables`](Self::tables).
    fn stacks(&self) -> &[u32];

    /// Returns the marks up to now, in time order.
    fn marks(&self) -> &[Mark];
}

/// A program.
pub(crate) struct About {
    /// Program and arguments, on one line.
    pub(crate) command_line: String,
    /// The process number; 0 if unknown.
    pub(crate) process: u32,
    /// Whether it is running, and not replayed.
    pub(crate) is_live: bool,
    /// The length of the recording in nanoseconds, if it has ended.
    pub(crate) wall_ns: Option<u64>,
}

/// How far the events have been read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// There are older events to be read: a share of all so far is done.
    Behind(f64),
    /// All that there are.
    Current,
    /// All, and there will be no more, for this reason.
    Ended(String),
}
