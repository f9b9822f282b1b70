//! `millpond import`: a trace from a file of another program.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cli,
    import::import,
    lacking,
    output::{Output, is_standard_output},
    terminal,
    units::counted,
};

/// Runs the command.
pub(crate) fn run(arguments: cli::Import) -> Result<ExitCode> {
    let cli::Import { file, from, output: name, force } = arguments;
    let output = Output::create(&name, force)?;
    let summary = import(&file, from, output)?;
    let target =
        if is_standard_output(&name) { "standard output".into() } else { name.display().to_string() };
    let events = counted(summary.events, "event");
    let origin = summary.resources.origin();
    terminal::eprint(&format!("{target}: {events}; {}", lacking::sentence(origin).unwrap_or_default()));
    Ok(ExitCode::SUCCESS)
}
