//! `millpond record`: runs a program with the recorder in it, and turns what that leaves behind into traces.
//!
//! In the order in which things happen:
//!
//! * `program`, `obstacle` – find the program that will run, and what stands in the way of recording it;
//! * `scratch`, `library` – the directory that the recorder writes to, and the recorder itself, put where the dynamic
//!   linker finds it;
//! * `launch` – runs the program, its input and output untouched;
//! * `image`, `lane`, `merge` – read what each process left, and put the events of its threads in order of time;
//! * `collect`, `convert`, `output` – addresses become slots, ticks become nanoseconds, and a trace is written for each
//!   process;
//! * `tell` – says what was recorded, and what was not and why.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli;

#[cfg(recorder)]
mod collect;
#[cfg(recorder)]
mod convert;
#[cfg(recorder)]
mod image;
#[cfg(recorder)]
mod lane;
#[cfg(recorder)]
mod launch;
#[cfg(recorder)]
mod library;
#[cfg(recorder)]
mod merge;
#[cfg(recorder)]
mod obstacle;
#[cfg(recorder)]
mod output;
#[cfg(recorder)]
mod program;
#[cfg(recorder)]
mod scratch;
#[cfg(recorder)]
mod session;
mod size;
#[cfg(recorder)]
mod tell;

#[cfg(recorder)]
#[allow(unused_imports, reason = "for `try`")]
pub(crate) use session::{Options, Recording, Trace, run};
pub(crate) use size::parse_size;

/// The whole of `millpond record`.
#[cfg(recorder)]
pub(crate) fn main(options: cli::Record) -> Result<ExitCode> {
    let cli::Record { output, max_size, command } = options;
    let recording = run(&Options { command, output, max_size })?;
    tell::all(&recording);
    Ok(recording.exit_code())
}

/// There is no recorder for this system.
#[cfg(not(recorder))]
pub(crate) fn main(_: cli::Record) -> Result<ExitCode> {
    anyhow::bail!(
        "recording needs Linux with glibc, on x86-64 or aarch64; traces made there can be replayed here"
    )
}
