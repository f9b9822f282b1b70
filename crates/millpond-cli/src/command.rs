//! `millpond replay FILE`, and `millpond` on its own.

use std::process::ExitCode;

use anyhow::Result;
use millpond_trace::Reader;

use crate::{
    cli::{self, Settings},
    findings::{Findings, Study},
    report::{self, Progress},
    trace,
};

/// Replays a trace file.
pub(crate) fn replay(options: cli::Replay) -> Result<ExitCode> {
    let mut reader = trace::open(&options.trace)?;
    let report = match (options.verify, options.json) {
        (true, json) => {
            let study = Study::new(&mut reader, &options.settings)?;
            let verified = study.verify(&mut reader, &options.settings)?;
            if json {
                report::verified_json(&study, &verified)?
            } else {
                report::verified_text(&study, &verified)
            }
        }
        (false, true) => report::json(&examine(&mut reader, options.settings, None)?)?,
        (false, false) => report::text(&examine(&mut reader, options.settings, None)?),
    };
    report::print(&report)?;
    Ok(ExitCode::SUCCESS)
}

/// Introduces the program and replays the trace that comes with it.
pub(crate) fn bundled() -> Result<ExitCode> {
    report::print(report::BEFORE_BUNDLED)?;
    let findings = examine(&mut trace::bundled()?, Settings::default(), None)?;
    report::print(&report::text(&findings))?;
    report::print(report::AFTER_BUNDLED)?;
    Ok(ExitCode::SUCCESS)
}

/// Studies and replays a trace, with a bar on a terminal. `recording` is the CPU time in nanoseconds that recording cost,
/// if it is known.
pub(crate) fn examine(reader: &mut Reader, settings: Settings, recording: Option<u64>) -> Result<Findings> {
    let study = Study::new(reader, &settings)?;
    let progress = Progress::new("replaying");
    study.replay(reader, settings, recording, |all| progress.turn(all))
}
