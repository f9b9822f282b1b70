//! `millpond replay`: replays a trace file.

use std::process::ExitCode;

use anyhow::{Context, Result};
use millpond_trace::{Lack, Reader};

use super::analyze;
use crate::{analysis::Study, cli, lacking, report, terminal, trace};

/// Runs the command.
pub(crate) fn run(arguments: cli::Replay) -> Result<ExitCode> {
    let path = &arguments.input.trace;
    let mut reader = trace::open(path, arguments.input.selected.process.as_deref())?;
    let name = path.display().to_string();
    terminal::print(&report_on(&mut reader, arguments).context(name)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the result of replaying a trace, in the requested format.
fn report_on(reader: &mut Reader, arguments: cli::Replay) -> Result<String> {
    lacking::require(reader, "replay", &[Lack::Order, Lack::Sizes])?;
    let has_json = arguments.input.json;
    if arguments.verify {
        let study = Study::new(reader, &arguments.settings)?;
        let verified = study.verify(reader, &arguments.settings)?;
        let json = has_json.then(|| report::verified_json(&study, &verified)).transpose()?;
        return Ok(json.unwrap_or_else(|| report::verified_text(&study, &verified)));
    }
    let analysis = analyze(reader, arguments.settings)?;
    let json = has_json.then(|| report::json(&analysis)).transpose()?;
    Ok(json.unwrap_or_else(|| report::text(&analysis)))
}
