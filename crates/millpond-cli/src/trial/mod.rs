//! `millpond try`: record, replay and advise in one go.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{
    cli, command,
    record::{self, Recording, Trace},
    report, trace,
    units::counted,
};

/// Other processes that are named one by one.
const NAMED: usize = 4;

/// Runs the program, then reports on standard error: standard output is the program's.
pub(crate) fn main(options: cli::Try) -> Result<ExitCode> {
    let cli::Try { output, settings, command } = options;
    let scratch = tempfile::tempdir().context("cannot make a directory for the trace")?;
    let path = output.clone().unwrap_or_else(|| scratch.path().join("try.mpt"));
    let recording = record::run(&record::Options { command, output: path, max_size: None })?;
    let most =
        recording.traces.iter().max_by_key(|trace| trace.summary.events).context("nothing was recorded")?;
    let mut reader = trace::open(&most.path)?;
    // The open file is all that is needed: nothing stays behind, even if the replay is interrupted.
    drop(scratch);
    report::print_aside(&notes(&recording, most, output.is_some()))?;
    let findings = command::examine(&mut reader, settings)?;
    report::print_aside(&report::text(&findings))?;
    Ok(recording.exit_code())
}

/// What was recorded besides, what was not, and where it is; and a line to set it off from the program's output.
fn notes(recording: &Recording, replayed: &Trace, kept: bool) -> String {
    let mut text = String::new();
    let mut note = |line: String| {
        text.push_str("millpond: ");
        text.push_str(&line);
        text.push('\n');
    };
    if let Some((path, obstacle)) = &recording.obstacle {
        note(format!("{} {obstacle}", path.display()));
    }
    let others: Vec<_> = recording.traces.iter().filter(|trace| trace.path != replayed.path).collect();
    if !others.is_empty() {
        let named: Vec<_> = others.iter().take(NAMED).map(|trace| name(trace)).collect();
        let more = if others.len() > NAMED { ", ..." } else { "" };
        note(format!(
            "of {} recorded processes, {} is replayed, which had the most; the others: {}{more}",
            recording.traces.len(),
            name(replayed),
            named.join(", ")
        ));
    }
    if let Some(reason) = &replayed.stopped {
        note(format!("the trace is not complete: recording stopped because {reason}"));
    }
    if recording.failed > 0 {
        note(format!("processes that could not be recorded: {}", recording.failed));
    }
    if kept {
        note(format!("the trace is kept in {}", replayed.path.display()));
    }
    text.push('\n');
    text
}

/// A process in a few words.
fn name(trace: &Trace) -> String {
    let program = trace.start.program.rsplit('/').next().unwrap_or_default();
    format!("{program} (process {}, {})", trace.start.process, counted(trace.summary.events, "event"))
}
