//! `millpond record`: runs a program, records it and reports where the traces are.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cli,
    record::{self, Options, StackOptions},
};

/// Runs the command.
pub(crate) fn run(arguments: cli::Record) -> Result<ExitCode> {
    let cli::Record { output, traces, max_size, stacks, free_stacks, check_stacks, addresses, command } =
        arguments;
    let cli::Traces { force, process, no_args } = traces;
    let stacks = StackOptions { frames: stacks, of_frees: free_stacks, check_every: check_stacks };
    let recording = record::run(&Options {
        command,
        output,
        force,
        aside: false,
        max_size,
        process,
        one: false,
        no_args,
        stacks,
        addresses,
    })?;
    record::report(&recording);
    Ok(recording.exit_code())
}
