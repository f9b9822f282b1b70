//! What can be said on the command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// Would memory pools help this program?  millpond try -- PROGRAM ARGS…
#[derive(Parser)]
#[command(name = "millpond", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Record every allocation of a program and of its children.
    Record(Record),
    /// Replay a trace against glibc, mimalloc and the pools chosen for it.
    Replay(Replay),
    /// Record, replay and advise in one go.
    Try(Try),
}

#[derive(Args)]
pub(crate) struct Record {
    /// Where the trace goes; children get files beside it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM ARGS")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args)]
pub(crate) struct Replay {
    /// A trace made by `millpond record`.
    pub(crate) trace: PathBuf,
}

#[derive(Args)]
pub(crate) struct Try {
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM ARGS")]
    pub(crate) command: Vec<OsString>,
}
