//! `millpond record`: runs a program with the recorder in it, and turns what that leaves behind into traces.
//!
//! Recording needs Linux; what there is to say about it (`recording`, `obstacle`, `tell`) does not.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli;

#[cfg(recorder)]
mod linux;
mod obstacle;
mod recording;
mod size;
mod tell;

pub(crate) use recording::{Options, Recording, Trace};
pub(crate) use size::parse_size;
pub(crate) use tell::about;

/// The whole of `millpond record`.
pub(crate) fn main(options: cli::Record) -> Result<ExitCode> {
    let cli::Record { output, force, max_size, process, all, command } = options;
    let recording = run(&Options { command, output, force, max_size, process, all })?;
    tell::all(&recording);
    Ok(recording.exit_code())
}

/// Runs a program and records it. Fails if nothing could be recorded; the program's own failure is not one.
pub(crate) fn run(options: &Options) -> Result<Recording> {
    #[cfg(recorder)]
    return linux::run(options);
    #[cfg(not(recorder))]
    anyhow::bail!(
        "cannot record {:?} here: that needs Linux with glibc, on x86-64 or aarch64; traces made there can be replayed",
        options.command
    )
}
