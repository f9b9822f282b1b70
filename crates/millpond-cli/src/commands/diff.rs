//! `millpond diff`: what has changed from some recordings to others.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::{cli, compare, export::Measure, query::Query, report, terminal};

/// Runs the command.
pub(crate) fn run(arguments: cli::Diff) -> Result<ExitCode> {
    let cli::Diff { mut before, to: mut after, json, folded, selected, places, filter } = arguments;
    places.check()?;
    if after.is_empty() {
        ensure!(
            before.len() == 2,
            "give two recordings, or those before the change, --to, and those after it: \
             millpond diff OLD1 OLD2 --to NEW1 NEW2"
        );
        after = before.split_off(1);
    }
    let needs = folded.map_or(&[][..], Measure::needs);
    let query = Query { process: selected.process.as_deref(), filter: &filter, places: &places, needs };
    let comparison = compare::compare(&before, &after, query)?;
    terminal::print(&match folded {
        Some(measure) => report::diff_folded(&comparison, |usage| measure.of(&usage.totals())),
        None if json => report::diff_json(&comparison)?,
        None => report::diff_text(&comparison),
    })?;
    Ok(ExitCode::SUCCESS)
}
