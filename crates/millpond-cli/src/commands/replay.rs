//! `millpond replay FILE`, and `millpond` on its own.

use std::process::ExitCode;

use anyhow::{Context, Result};
use millpond_trace::Reader;

use crate::{
    analysis::{Analysis, Study},
    cli::{self, Settings},
    estimate::Estimate,
    report, terminal, trace,
};

/// Replays a trace file.
pub(crate) fn replay(options: cli::Replay) -> Result<ExitCode> {
    let mut reader = trace::open(&options.trace)?;
    let name = options.trace.display().to_string();
    terminal::print(&report_on(&mut reader, options).context(name)?)?;
    Ok(ExitCode::SUCCESS)
}

/// What replaying a trace comes to, in the form that was asked for.
fn report_on(reader: &mut Reader, options: cli::Replay) -> Result<String> {
    if options.verify {
        let study = Study::new(reader, &options.settings)?;
        let verified = study.verify(reader, &options.settings)?;
        let json = options.json.then(|| report::verified_json(&study, &verified)).transpose()?;
        return Ok(json.unwrap_or_else(|| report::verified_text(&study, &verified)));
    }
    let analysis = analyze(reader, options.settings, None)?;
    let json = options.json.then(|| report::json(&analysis)).transpose()?;
    Ok(json.unwrap_or_else(|| report::text(&analysis)))
}

/// Introduces the program and replays the trace that comes with it.
pub(crate) fn bundled() -> Result<ExitCode> {
    terminal::print(report::BEFORE_BUNDLED)?;
    let analysis = analyze(&mut trace::bundled()?, Settings::default(), None)?;
    terminal::print(&report::text(&analysis))?;
    terminal::print(report::AFTER_BUNDLED)?;
    Ok(ExitCode::SUCCESS)
}

/// Studies and replays a trace. `cost` is what recording cost, if that was measured.
pub(crate) fn analyze(reader: &mut Reader, settings: Settings, cost: Option<Estimate>) -> Result<Analysis> {
    let study = Study { cost, ..Study::new(reader, &settings)? };
    study.replay(reader, settings)
}
