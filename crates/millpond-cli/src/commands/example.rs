//! `millpond` on its own: introduces the program and replays the trace that comes with it.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use super::analyze;
use crate::{cli::Settings, report, terminal, trace};

/// The default settings.
#[derive(Parser)]
struct Defaults {
    #[command(flatten)]
    settings: Settings,
}

/// Runs the command.
pub(crate) fn run() -> Result<ExitCode> {
    terminal::print(report::BEFORE_BUNDLED)?;
    let Defaults { settings } = Defaults::try_parse_from([""; 0])?;
    let analysis = analyze(&mut trace::bundled()?, settings)?;
    terminal::print(&report::text(&analysis))?;
    terminal::print(report::AFTER_BUNDLED)?;
    Ok(ExitCode::SUCCESS)
}
