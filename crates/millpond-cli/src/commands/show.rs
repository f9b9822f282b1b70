//! `millpond show`: what a program's memory was used for.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{
    cli, profile, report, terminal,
    trace::{self, Processes},
};

/// Runs the command.
pub(crate) fn run(arguments: cli::Show) -> Result<ExitCode> {
    arguments.places.check()?;
    let path = &arguments.input.trace;
    let processes = trace::processes(path)?;
    let name = path.display().to_string();
    terminal::print(&report_on(&processes, &arguments).context(name)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns what is in a file, in the requested format.
fn report_on(processes: &Processes, arguments: &cli::Show) -> Result<String> {
    let wanted = arguments.input.selected.process.as_deref();
    let shown = match arguments.together {
        true => processes.together(wanted)?,
        false => vec![processes.one(wanted)?],
    };
    let overview = profile::overview(processes, &shown, &arguments.filter, &arguments.places)?;
    if arguments.input.json {
        Ok(report::overview_json(&overview)?)
    } else {
        Ok(report::overview_text(&overview))
    }
}
