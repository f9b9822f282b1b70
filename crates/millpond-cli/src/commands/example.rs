//! `millpond` on its own: introduces the program and replays the trace that comes with it.

use std::process::ExitCode;

use anyhow::Result;

use super::analyze;
use crate::{cli::Settings, report, terminal, trace};

/// Runs the command.
pub(crate) fn run() -> Result<ExitCode> {
    terminal::print(report::BEFORE_BUNDLED)?;
    let analysis = analyze(&mut trace::bundled()?, Settings::default(), None)?;
    terminal::print(&report::text(&analysis))?;
    terminal::print(report::AFTER_BUNDLED)?;
    Ok(ExitCode::SUCCESS)
}
