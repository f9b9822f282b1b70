//! `millpond try`: records, replays and advises in one command.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};

use crate::{
    analysis::{self, Study},
    cli,
    estimate::Estimate,
    record::{self, Recording, StackOptions},
    report, terminal, trace,
};

#[cfg(unix)]
mod runs;

/// Runs the program, then reports on standard error, because standard output belongs to the program.
pub(crate) fn run(arguments: cli::Try) -> Result<ExitCode> {
    let cli::Try { output, force, process, runs, settings, no_args, command } = arguments;
    if output.as_deref() == Some("-".as_ref()) {
        bail!(
            "the trace of `millpond try` cannot go to standard output: give it a file, or use `millpond record -o -`"
        );
    }
    let scratch = tempfile::tempdir().context("cannot make a directory for the trace")?;
    let path = output.clone().unwrap_or_else(|| scratch.path().join("try.mpt"));
    // Only a trace that is kept needs stacks; without them, recording costs less.
    let stacks = if output.is_some() { StackOptions::default() } else { StackOptions::callers() };
    let is_named = process.is_some();
    let options = record::Options {
        command,
        output: path.clone(),
        force,
        max_size: None,
        process,
        one: output.is_none(),
        no_args,
        stacks,
        addresses: false,
    };
    let (recording, cost) = match runs {
        Some(runs) => record_and_compare(&options, runs)?,
        None => (record::run(&options)?, None),
    };
    for line in notes(&recording, is_named, output.is_some()) {
        terminal::eprint(&line);
    }
    let Some(judged) = recording.chosen() else { return Ok(recording.exit_code()) };
    let summary = &judged.summary;
    if summary.events == 0 {
        terminal::eprint(&format!(
            "{} did not allocate anything through malloc: there is nothing to gain",
            judged.name
        ));
    } else if let Some(reason) = analysis::incomplete(summary) {
        terminal::eprint(&format!("no verdict: {reason}"));
    } else {
        judge(&path, settings, cost, scratch)?;
    }
    Ok(recording.exit_code())
}

/// Also runs the program without recording.
#[cfg(unix)]
fn record_and_compare(options: &record::Options, runs: u32) -> Result<(Recording, Option<Estimate>)> {
    runs::record(options, runs)
}

/// Recording needs Linux.
#[cfg(not(unix))]
fn record_and_compare(options: &record::Options, _: u32) -> Result<(Recording, Option<Estimate>)> {
    Ok((record::run(options)?, None))
}

/// Replays a trace and reports the results, separated from the program's output by a line.
fn judge(
    path: &Path,
    settings: cli::Settings,
    cost: Option<Estimate>,
    scratch: tempfile::TempDir,
) -> Result<()> {
    let processes = trace::processes(path)?;
    let mut reader = processes.reader(processes.one(None)?)?;
    // The open file is all that is needed, so no file is left behind, even if the replay is interrupted.
    drop(scratch);
    let settings = cli::Settings { baseline: settings.baseline.trusted(), ..settings };
    let study = Study { cost, ..Study::new(&mut reader, &settings)? };
    if let Some(exclusion) = &study.exclusion {
        terminal::eprint(&format!("no verdict: {exclusion}"));
        return Ok(());
    }
    terminal::print_aside("\n")?;
    terminal::print_aside(&report::text(&study.replay(&mut reader, settings)?))
}

/// Reports what is judged, what was not recorded, and where the trace is; `is_named` says whether the user has named the
/// process.
fn notes(recording: &Recording, is_named: bool, kept: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(judged) = recording.chosen().filter(|_| !recording.is_alone()) {
        let process = judged.start.process;
        let why = if is_named { "" } else { ", which has the most events" };
        lines.push(format!("this report is about {} (process {process}){why}", judged.name));
    }
    lines.extend(record::about(recording));
    if kept && !recording.traces.is_empty() {
        lines.push(format!("the trace is kept in {}", recording.path.display()));
    }
    lines
}
