//! Command-line arguments.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{
    record,
    replay::{Name, Touch},
};

/// Would memory pools help this program?  millpond try -- PROGRAM ARGS…
#[derive(Parser)]
#[command(name = "millpond", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Shown below the help of all that run a program.
const EXIT_CODES: &str = "\
Exit codes of record and try: the program's own, or 128 and the number of the signal that ended it; 127 if it was not \
found, 126 if it cannot be run, 125 if millpond itself failed. Of replay: 0, or 125.\n\n\
With MILLPOND_NO_PROGRESS set in the environment, progress is not shown.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Record every allocation of a program.
    ///
    /// The program's input and output are left alone. If it becomes another program (exec), the last one is recorded; of
    /// the processes that it starts, their numbers of events are shown, and --process or --all keeps them.
    #[command(after_help = EXIT_CODES)]
    Record(Record),
    /// Replay a trace against glibc, mimalloc and the pools chosen for it.
    Replay(Replay),
    /// Record a program, replay what it allocated, and say whether pools would help.
    ///
    /// The program's output is left alone: the report goes to standard error when the program has ended. Its exit code
    /// is passed on. If it becomes another program (exec), the last one is judged; --process picks a process that it
    /// started. For JSON, keep the trace with `-o FILE` and run `millpond replay --json FILE`.
    #[command(after_help = EXIT_CODES)]
    Try(Try),
}

#[derive(Args)]
pub(crate) struct Record {
    /// Where the trace goes; - is standard output, and the program's own output then goes to standard error.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Overwrite FILE if it is there.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Stop recording when the data that wait in the directory for temporary files (TMPDIR) reach this size, such as
    /// 500M or 2G; 16 bytes per event. [default: half of what is free there]
    #[arg(long, value_name = "SIZE", value_parser = record::parse_size)]
    pub(crate) max_size: Option<u64>,
    /// Which process to keep: its number, or the name of its program; of several, the one with the most events.
    #[arg(long, value_name = "NAME")]
    pub(crate) process: Option<String>,
    /// Keep the traces of all other processes too, beside FILE, as FILE.PROCESS-NAME.mpt.
    #[arg(long)]
    pub(crate) all: bool,
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
    /// Keep the trace in this file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite FILE if it is there.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Which process to judge: its number, or the name of its program; of several, the one with the most events.
    #[arg(long, value_name = "NAME")]
    pub(crate) process: Option<String>,
    /// Run the program N times with recording and N times without, in turn, to measure what recording costs it. Only the
    /// first run is shown. [default: run it once, recorded, and estimate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: Option<u32>,
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
    /// What of each new block is written: its ends and a byte per 4 KiB (its ends only, if it is large and the program
    /// had no memory for all of it), or all of it.
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
