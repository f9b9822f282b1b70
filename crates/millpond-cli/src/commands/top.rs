//! `millpond top`: a program's call sites while it runs, or as a trace is replayed.

use std::{
    io::{IsTerminal, stdout},
    process::ExitCode,
};

use anyhow::Result;

use crate::{cli, report, screen, terminal, top};

/// Runs the command.
pub(crate) fn run(arguments: &cli::Top) -> Result<ExitCode> {
    arguments.places.check()?;
    let at_once = arguments.once || arguments.json || !stdout().is_terminal();
    let mut source = top::open(arguments, at_once)?;
    let mut places = top::Places::new(arguments.places.clone());
    if !at_once {
        return screen::show(source, places, arguments);
    }
    let snapshot = top::once(&mut *source, &mut places, arguments.since.as_deref())?;
    let rows = snapshot.sorted(arguments.column(), arguments.filter.as_deref().unwrap_or_default());
    let rows = &rows[..rows.len().min(arguments.lines)];
    let text = match arguments.json {
        true => report::top_json(source.about(), &snapshot, rows)?,
        false => report::top_text(source.about(), &snapshot, rows),
    };
    terminal::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
