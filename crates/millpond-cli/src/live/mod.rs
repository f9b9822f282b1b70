//! Times a program itself under several allocators: as it is, and with each library preloaded.
//!
//! * `contenders`, `bindings` – which libraries there are, and whether they serve the program's calls;
//! * `runner` – runs the program once, in a small process of its own, so that the peak of its memory is its own;
//! * `rounds` – all take turns;
//! * `compared` – how they differ, as far as the rounds show.

mod bindings;
mod compared;
mod contenders;
mod rounds;
pub(crate) mod runner;

use std::{ffi::OsString, path::PathBuf};

use anyhow::Result;

pub(crate) use self::{
    compared::{Figure, changed, of_figure},
    runner::{Ending, Sample},
};
use crate::{record, replay::Library};

/// A program to time, and the allocators to time it under.
pub(crate) struct Lineup {
    program: record::Program,
    arguments: Vec<OsString>,
    /// What serves the program as it is.
    own: PathBuf,
    contenders: Vec<Contender>,
    absent: Vec<Absent>,
}

/// An allocator that can be preloaded.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) library: Library,
}

/// An allocator that the program is not timed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Absent {
    pub(crate) name: String,
    /// The reason, as a clause.
    pub(crate) why: String,
}

/// The times and the memory of a program under several allocators.
pub(crate) struct Timed {
    /// The name of the allocator that the program has as it is, for display.
    pub(crate) own_name: String,
    /// The file that serves the program as it is.
    pub(crate) own_library: PathBuf,
    /// The runs as it is, one per round,
    pub(crate) own: Vec<Sample>,
    /// and once more in each round: they differ from the others by chance.
    pub(crate) control: Vec<Sample>,
    /// The others.
    pub(crate) others: Vec<(Contender, Vec<Sample>)>,
    pub(crate) absent: Vec<Absent>,
}

impl Lineup {
    /// Finds the program and the allocators; `more` are libraries that the user names.
    pub(crate) fn new(command: &[OsString], more: &[(String, PathBuf)]) -> Result<Self> {
        let (program, arguments) = record::preloadable(command)?;
        let own = bindings::own(&program.binary)?;
        let (contenders, mut absent) = contenders::find(&program.binary, more)?;
        let (contenders, same): (Vec<_>, Vec<_>) =
            contenders.into_iter().partition(|contender| contender.library.path != own);
        let why = "it serves the program as it is".to_owned();
        absent.extend(same.into_iter().map(|contender| Absent { name: contender.name, why: why.clone() }));
        Ok(Self { program, arguments, own, contenders, absent })
    }
}
