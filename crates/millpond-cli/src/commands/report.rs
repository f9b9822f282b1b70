//! `millpond report`: a trace as one HTML page.

use std::{io::Write as _, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    cli,
    output::{Output, is_standard_output},
    report, terminal, trace, units,
};

/// Runs the command.
pub(crate) fn run(arguments: cli::Report) -> Result<ExitCode> {
    arguments.places.check()?;
    let settings = arguments.settings();
    let cli::Report { trace: path, selected, output, force, places, filter, .. } = arguments;
    let processes = trace::processes(&path)?;
    let process = processes.one(selected.process.as_deref())?;
    processes.note(process);
    let name = output.unwrap_or_else(|| path.with_extension("html"));
    let mut output = Output::create(&name, force)?;
    let page = report::page(&processes, process, (&filter, &places), settings.as_ref())
        .with_context(|| path.display().to_string())?;
    output.write_all(page.as_bytes()).with_context(|| format!("cannot write {}", name.display()))?;
    output.finish()?;
    if !is_standard_output(&name) {
        let size = units::bytes(page.len() as f64);
        terminal::print(&format!("{}: {size}; open it in a browser\n", name.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
