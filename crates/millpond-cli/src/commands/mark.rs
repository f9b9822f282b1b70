//! `millpond mark`: names a moment in a recording that is in progress.

use std::process::ExitCode;

use anyhow::Result;

use crate::{cli, record, terminal};

/// Runs the command.
pub(crate) fn run(arguments: cli::Mark) -> Result<ExitCode> {
    match (arguments.target, arguments.name) {
        (Some(target), Some(name)) => record::mark(&target, &name)?,
        _ => terminal::print(millpond_record::MARK_HEADER)?,
    }
    Ok(ExitCode::SUCCESS)
}
