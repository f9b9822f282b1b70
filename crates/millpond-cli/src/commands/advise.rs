//! `millpond advise`: what to do about each call site.

use std::process::ExitCode;

use anyhow::{Context, Result};
use millpond_trace::{Lack, Reader};

use crate::{
    advise::{self, SiteAdvices},
    analysis::{Gains, Second, Selection, gains},
    cli, lacking, report, terminal, trace,
};

/// What a trace must say.
const NEEDS: [Lack; 3] = [Lack::Order, Lack::Lifetimes, Lack::Times];

/// Runs the command.
pub(crate) fn run(arguments: cli::Advise) -> Result<ExitCode> {
    arguments.places.check()?;
    let path = &arguments.input.trace;
    let process = arguments.input.selected.process.as_deref();
    // Both files are opened before anything takes time.
    let mut reader = trace::open(path, process)?;
    let other = arguments.second.as_deref().map(|path| trace::open(path, process)).transpose()?;
    let name = path.display().to_string();
    let selection = match &arguments.sites[..] {
        [] => Selection::First(arguments.top as usize),
        numbers => Selection::Named(numbers.to_vec()),
    };
    let (advices, gains) = advice(&mut reader, &selection, &arguments).context(name)?;
    let prove =
        |mut reader| second(&mut reader, &advices, &selection, &arguments).context("the second recording");
    let proved = other.map(prove).transpose()?;
    terminal::print(&if arguments.input.json {
        report::advice_json(&advices, &gains, proved.as_ref())?
    } else {
        report::advice_text(&advices, &gains, proved.as_ref(), arguments.code)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the advice for a trace, and what it gains.
fn advice(
    reader: &mut Reader,
    selection: &Selection,
    arguments: &cli::Advise,
) -> Result<(SiteAdvices, Gains)> {
    lacking::require(reader, "advise", &NEEDS)?;
    let advices = advise::advise(reader, &arguments.places)?;
    if arguments.no_replay {
        return Ok((advices, Gains::default()));
    }
    let gains = gains(reader, &advices, selection, &arguments.settings())?;
    Ok((advices, gains))
}

/// Returns what a second recording says about the advice.
fn second(
    reader: &mut Reader,
    first: &SiteAdvices,
    selection: &Selection,
    arguments: &cli::Advise,
) -> Result<Second> {
    lacking::require(reader, "advise", &NEEDS)?;
    let own = advise::advise(reader, &arguments.places)?;
    let settings = (!arguments.no_replay).then(|| arguments.settings());
    Second::new(reader, first, own, selection, settings.as_ref())
}
