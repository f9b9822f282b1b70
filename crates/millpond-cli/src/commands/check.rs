//! `millpond check`: whether a program keeps to a budget.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Result};

use crate::{
    budget::{self, Outcome},
    cli,
    errors::BadInput,
    output::Output,
    query::Query,
    report, terminal,
};

/// Something is exceeded.
const EXCEEDED: u8 = 1;

/// Runs the command.
pub(crate) fn run(arguments: &cli::Check) -> Result<ExitCode> {
    let done = match (&arguments.budget, &arguments.write_budget) {
        (Some(budget), _) => check(budget, arguments),
        (None, Some(budget)) => write(budget, arguments),
        // The arguments have one of the two.
        (None, None) => Ok(ExitCode::SUCCESS),
    };
    done.map_err(|error| BadInput(error).into())
}

/// Returns what is read of the recordings.
fn query(arguments: &cli::Check) -> Query<'_> {
    let cli::Check { selected, filter, places, .. } = arguments;
    Query { process: selected.process.as_deref(), filter, places, needs: &[] }
}

fn check(budget: &Path, arguments: &cli::Check) -> Result<ExitCode> {
    arguments.places.check()?;
    let checked = budget::check(budget, &arguments.traces, query(arguments))?;
    let write = |path: &Path, text: String| {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    if let Some(path) = &arguments.junit {
        write(path, report::check_junit(&checked)?)?;
    }
    if let Some(path) = &arguments.sarif {
        write(path, report::check_sarif(&checked)?)?;
    }
    if let Some(path) = &arguments.markdown {
        let file = File::options().append(true).create(true).open(path);
        let written = file.and_then(|mut file| file.write_all(report::check_markdown(&checked).as_bytes()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    let json = arguments.json.then(|| report::check_json(&checked)).transpose()?;
    terminal::print(&json.unwrap_or_else(|| report::check_text(&checked)))?;
    let is_exceeded = checked.with(Outcome::Exceeded).next().is_some();
    Ok(if is_exceeded { ExitCode::from(EXCEEDED) } else { ExitCode::SUCCESS })
}

fn write(path: &Path, arguments: &cli::Check) -> Result<ExitCode> {
    arguments.places.check()?;
    let mut output = Output::text(path, arguments.force)?;
    let budget = budget::make(&arguments.traces, arguments.tolerance, query(arguments))?;
    let text = report::budget(&budget, arguments.traces.len(), arguments.tolerance)?;
    output.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}
