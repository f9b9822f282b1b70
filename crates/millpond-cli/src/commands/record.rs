//! `millpond record`: runs a program, records it and reports where the traces are.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cli,
    record::{self, Options},
};

/// Runs the command.
pub(crate) fn run(arguments: cli::Record) -> Result<ExitCode> {
    let cli::Record { output, force, max_size, process, all, no_args, command } = arguments;
    let recording = record::run(&Options { command, output, force, max_size, process, all, no_args })?;
    record::report(&recording);
    Ok(recording.exit_code())
}
