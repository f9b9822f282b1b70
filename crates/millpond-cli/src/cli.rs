//! What can be said on the command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{
    record,
    replay::{Name, Touch},
};

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
    /// Record a program, replay what it allocated, and say whether pools would help.
    ///
    /// The program's output is left alone: the report goes to standard error when the program has ended. Its exit code
    /// is passed on. Of several processes, the one with the most allocations is replayed. For JSON, keep the trace with
    /// `-o FILE` and run `millpond replay --json FILE`.
    Try(Try),
}

#[derive(Args)]
pub(crate) struct Record {
    /// Where the trace goes; those of other processes go beside it, as FILE.PROCESS-NAME.mpt.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Stop recording when the data that wait in the directory for temporary files (TMPDIR) reach this size, such as
    /// 500M or 2G; 16 bytes per event. [default: half of what is free there]
    #[arg(long, value_name = "SIZE", value_parser = record::parse_size)]
    pub(crate) max_size: Option<u64>,
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, required = true, value_name = "PROGRAM ARGS")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args)]
pub(crate) struct Replay {
    /// A trace made by `millpond record`.
    #[arg(value_name = "FILE")]
    pub(crate) trace: PathBuf,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Print JSON. Its fields are described in JSON.md, which comes with the sources.
    #[arg(long)]
    pub(crate) json: bool,
    /// Check instead of measuring: stamp every block, and compare the stamps when it is resized or freed.
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Args)]
pub(crate) struct Try {
    /// Keep the trace in this file; children's traces go beside it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, required = true, value_name = "PROGRAM ARGS")]
    pub(crate) command: Vec<OsString>,
}

/// How a trace is replayed.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// How often each allocator replays the trace, after a first turn that does not count; medians and the spread between rounds are reported.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// What of each new block is written: its ends and a byte per 4 KiB (from 128 KiB on, its ends only), or all of it.
    #[arg(long, value_enum, default_value_t = Touch::Ends)]
    pub(crate) touch: Touch,
    /// Which of mimalloc, pools, advised and huge (advised, on huge pages) to compare with glibc, separated by commas; all
    /// by default.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) with: Vec<Name>,
    /// Most block sizes to advise.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) sizes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rounds: 5, touch: Touch::Ends, with: Vec::new(), sizes: 8 }
    }
}
