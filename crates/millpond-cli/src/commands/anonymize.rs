//! `millpond anonymize`: removes the names from traces.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{anonymize, cli, report, terminal, trace};

/// Runs the command.
pub(crate) fn run(arguments: cli::Anonymize) -> Result<ExitCode> {
    let cli::Anonymize { trace: path, output, process, force } = arguments;
    let processes = trace::processes(&path)?;
    let chosen = processes.named(process.as_deref())?;
    let name = path.display().to_string();
    let done = anonymize::run(&processes, &chosen, &output, force).context(name)?;
    terminal::print(&report::anonymized_text(&done, &output))?;
    Ok(ExitCode::SUCCESS)
}
