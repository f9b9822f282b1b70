//! The result of a check as text and in Markdown, and budgets with a comment.

use std::fmt::Write as _;

use anyhow::Result;

use super::{about::BOLD, diff_text::range, table};
use crate::{
    budget::{Budget, Checked, Item, Outcome, Run},
    trace,
    units::{counted, percent, time},
};

/// Returns the report as text.
pub(crate) fn text(checked: &Checked) -> String {
    let mut text = format!("{BOLD}{}{BOLD:#}\n", conclusion(checked));
    let rows = checked.items.iter().map(|item| {
        let (found, limit) = numbers(item);
        vec![format!("{}: {}", item.about, item.figure.name()), found, limit, word(item)]
    });
    text.push_str(&table::render(&["", "found", "max", ""], rows.collect()));
    let _ = writeln!(text, "{}", times(checked));
    notes(checked, &mut text);
    text
}

/// Returns the report in Markdown.
pub(crate) fn markdown(checked: &Checked) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('|', "\\|");
    let mut text = format!("### {}\n\n", escaped(&conclusion(checked)));
    text.push_str("| | found | max | |\n|---|---:|---:|---|\n");
    for item in &checked.items {
        let (found, limit) = numbers(item);
        let about = escaped(&format!("{}: {}", item.about, item.figure.name()));
        let _ = writeln!(text, "| {about} | {found} | {limit} | {} |", word(item));
    }
    let _ = writeln!(text, "\n{}\n", escaped(&times(checked)));
    text
}

/// Returns a budget as a file, with a comment that says how it was made.
pub(crate) fn budget(budget: &Budget, runs: usize, tolerance: f64) -> Result<String> {
    Ok(format!(
        "# Made by `millpond check --write-budget` from {}: the largest value, plus the range of the runs, plus\n\
         # {tolerance} %. `millpond check --help` says what can be written here.\n{}",
        counted(runs as u64, "run"),
        budget.text()?
    ))
}

/// Says in a sentence whether the budget is kept.
pub(super) fn conclusion(checked: &Checked) -> String {
    let program = checked.runs.first().map_or("", |run| &run.command_line);
    let program = super::about::shortened(program, 60);
    let (exceeded, unclear) =
        (checked.with(Outcome::Exceeded).count() as u64, checked.with(Outcome::Unclear).count() as u64);
    let of = counted(checked.items.len() as u64, "limit");
    match (exceeded, unclear) {
        (0, 0) => format!("{program} keeps to its budget: {of}"),
        (0, unclear) => format!("{program} keeps to its budget, but some runs exceed {unclear} of {of}"),
        (exceeded, _) => format!("{program} exceeds its budget: {exceeded} of {of}"),
    }
}

/// Formats what was found and the limit.
fn numbers(item: &Item) -> (String, String) {
    let format = |number| item.figure.format(number);
    let (found, limit) = (range(item.found, format), format(item.limit));
    // Rounded, a number above the limit may read as the limit.
    match found == limit && item.outcome != Outcome::Kept {
        true => (range(item.found, |number| number.to_string()), item.limit.to_string()),
        false => (found, limit),
    }
}

/// Says whether a limit is kept.
pub(super) fn word(item: &Item) -> String {
    let above = |found: u64| match item.limit {
        0 => "more than none".into(),
        limit => format!("{} above", percent((found - limit) as f64 / limit as f64)),
    };
    match item.outcome {
        Outcome::Kept => "kept".into(),
        Outcome::Unclear => "kept by some runs".into(),
        Outcome::Exceeded => format!("EXCEEDED, {}", above(item.found.least)),
    }
}

/// Formats the times of all runs, which are not checked.
pub(super) fn times(checked: &Checked) -> String {
    let list = |number: fn(&Run) -> u64| {
        let times =
            checked.runs.iter().map(number).map(|ns| if ns > 0 { time(ns as f64) } else { "?".into() });
        times.collect::<Vec<_>>().join(", ")
    };
    let (cpu, wall) = (list(|run| run.summary.cpu_ns), list(|run| run.summary.wall_ns));
    format!(
        "{}; CPU time {cpu}; elapsed {wall}; time is not checked",
        counted(checked.runs.len() as u64, "run")
    )
}

fn notes(checked: &Checked, text: &mut String) {
    for note in &checked.notes {
        let _ = writeln!(text, "a name is missing: {}", trace::printable(note));
    }
}
