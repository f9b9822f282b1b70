//! Arguments of `millpond try`.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;

use super::Settings;

/// Shown below its help.
pub(super) const MORE: &str = "\
Examples:
  millpond try -- ./app data                          would pools help?
  millpond try --live -- ./app data                   and which malloc is the fastest?
  millpond try --live --rounds 20 -- ./app < data     with smaller ranges
  millpond try --live --preload mine=./libmine.so -- ./app
  millpond try --live --json -- ./app > app.json

With --live, the program runs as it is and with each library in LD_PRELOAD, in turn: twice per round as it is, because \
the difference of these two is chance, and once in a first round that does not count. Libraries are found by the \
dynamic linker: libmimalloc, libjemalloc, libtcmalloc_minimal; and libmillpond_malloc.so in the folder of millpond, or \
where the variable MILLPOND_MALLOC_LIBRARY says. Before that, the dynamic linker is asked which library serves the \
program's calls to malloc; one that does not is left out. The runs after the first have no output. All runs get the same \
input: a file is read again, a pipe is saved in a temporary file first, and instead of a terminal there is no input. \
A program that ends in another way than the first time is not timed.

A range is that of the differences in the same round, and of what differs by chance: \"cannot tell\" if it contains zero.

`try` exits as the program does (with 128 + N if signal N ended it), or with 127 if it was not found, 126 if it cannot \
be run, and 125 if millpond itself failed. Progress is not shown if the variable MILLPOND_NO_PROGRESS is set.";

#[derive(Args)]
pub(crate) struct Try {
    /// Keep the traces in this file, with call stacks.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite FILE if it exists.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Process to judge, by its number or the name of its program; of several, the one with the most events.
    /// [default: of all processes, the one with the most events]
    #[arg(long, value_name = "NAME")]
    pub(crate) process: Option<String>,
    /// Run the program N times with recording and N times without, in turn, to measure what recording costs. Only the
    /// output of the first run is shown. [default: run it once, with recording, and estimate the cost]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: Option<u32>,
    /// Also time the program itself, in as many rounds: as it is, and under mimalloc, jemalloc, tcmalloc and Millpond's
    /// malloc, as far as they are installed. This also measures what recording costs.
    #[arg(long, conflicts_with = "runs")]
    pub(crate) live: bool,
    /// Another library with a malloc to time the program under; may be given several times.
    #[arg(long, value_name = "NAME=LIBRARY", value_parser = parse_preload, requires = "live")]
    pub(crate) preload: Vec<(String, PathBuf)>,
    /// Print JSON to standard output, and the program's own output to standard error. JSON.md in the sources describes
    /// its fields.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Leave the arguments of programs out of the trace.
    #[arg(long)]
    pub(crate) no_args: bool,
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, required = true, value_name = "PROGRAM ARGS")]
    pub(crate) command: Vec<OsString>,
}

/// Parses a name and the path of a library.
fn parse_preload(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.into(), path.into())),
        _ => Err("expected a name, = and the path of a library".into()),
    }
}
