//! `millpond show`: what a program's memory was used for.

use std::process::ExitCode;

use anyhow::{Context, Result};
use millpond_trace::Reader;

use crate::{cli, profile, report, terminal, trace};

/// Runs the command.
pub(crate) fn run(arguments: cli::Show) -> Result<ExitCode> {
    arguments.places.check()?;
    let path = &arguments.input.trace;
    let mut reader = trace::open(path)?;
    let name = path.display().to_string();
    terminal::print(&report_on(&mut reader, &arguments).context(name)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns what is in a trace, in the requested format.
fn report_on(reader: &mut Reader, arguments: &cli::Show) -> Result<String> {
    let overview = profile::overview(reader, &arguments.places)?;
    if arguments.input.json {
        Ok(report::overview_json(&overview)?)
    } else {
        Ok(report::overview_text(&overview))
    }
}
