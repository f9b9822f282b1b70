//! `millpond show`: what a program's memory was used for.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use millpond_trace::Reader;

use crate::{cli, profile, report, terminal, trace};

/// Runs the command.
pub(crate) fn run(arguments: cli::Show) -> Result<ExitCode> {
    let places = &arguments.places;
    let servers_are_known = std::env::var_os("DEBUGINFOD_URLS").is_some_and(|urls| !urls.is_empty());
    ensure!(
        !places.debuginfod || servers_are_known,
        "--debuginfod needs the addresses of servers in DEBUGINFOD_URLS"
    );
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
