//! `millpond recover`: completes a recording whose directory was left behind.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cli,
    record::{self, Options, StackOptions},
};

/// Runs the command.
pub(crate) fn run(arguments: cli::Recover) -> Result<ExitCode> {
    let cli::Recover { directory, output, traces } = arguments;
    let cli::Traces { force, process, no_args } = traces;
    let stacks = StackOptions::default();
    let options = Options {
        command: Vec::new(),
        output,
        force,
        aside: false,
        max_size: None,
        process,
        one: false,
        no_args,
        stacks,
        addresses: false,
    };
    let recording = record::recover(&directory, &options)?;
    record::report(&recording);
    Ok(recording.exit_code())
}
