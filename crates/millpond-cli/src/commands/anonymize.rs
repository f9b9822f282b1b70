//! `millpond anonymize`: removes the names from a trace.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{anonymize, cli, report, terminal, trace};

/// Runs the command.
pub(crate) fn run(arguments: cli::Anonymize) -> Result<ExitCode> {
    let cli::Anonymize { trace: path, output, force } = arguments;
    let mut reader = trace::open(&path)?;
    let name = path.display().to_string();
    let done = anonymize::run(&mut reader, &output, force).context(name)?;
    terminal::print(&report::anonymized_text(&done, &output))?;
    Ok(ExitCode::SUCCESS)
}
