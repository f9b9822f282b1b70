//! `millpond advise`: what to do about each call site.

use std::process::ExitCode;

use anyhow::{Context, Result};
use millpond_trace::Reader;

use crate::{advise, cli, report, terminal, trace};

/// Runs the command.
pub(crate) fn run(arguments: cli::Advise) -> Result<ExitCode> {
    arguments.places.check()?;
    let path = &arguments.input.trace;
    let mut reader = trace::open(path, arguments.input.selected.process.as_deref())?;
    let name = path.display().to_string();
    terminal::print(&report_on(&mut reader, &arguments).context(name)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the advice for a trace, in the requested format.
fn report_on(reader: &mut Reader, arguments: &cli::Advise) -> Result<String> {
    let advices = advise::advise(reader, &arguments.places)?;
    if arguments.input.json {
        Ok(report::advice_json(&advices)?)
    } else {
        Ok(report::advice_text(&advices, arguments.code))
    }
}
