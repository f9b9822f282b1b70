//! `millpond advise`: what to do about each call site.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};
use millpond_trace::{Lack, Reader};

use crate::{
    advise::{self, SiteAdvices},
    analysis::{Gains, Second, Selection, gains},
    cli, lacking, query, report, terminal, trace,
};

/// What a trace must say.
const NEEDS: [Lack; 3] = [Lack::Order, Lack::Lifetimes, Lack::Times];

/// Runs the command.
pub(crate) fn run(arguments: cli::Advise) -> Result<ExitCode> {
    arguments.places.check()?;
    let path = &arguments.input.trace;
    // Both files are opened before anything takes time.
    let mut first = Recording::open(path, &arguments)?;
    let other = arguments.second.as_deref().map(|path| Recording::open(path, &arguments)).transpose()?;
    let name = path.display().to_string();
    let selection = match &arguments.sites[..] {
        [] => Selection::First(arguments.top as usize),
        numbers => Selection::Named(numbers.to_vec()),
    };
    let (advices, gains) = advice(&mut first, &selection, &arguments).context(name)?;
    let prove =
        |mut other| second(&mut other, &advices, &selection, &arguments).context("the second recording");
    let proved = other.map(prove).transpose()?;
    terminal::print(&if arguments.input.json {
        report::advice_json(&advices, &gains, proved.as_ref())?
    } else {
        report::advice_text(&advices, &gains, proved.as_ref(), arguments.code)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A recording that is read in two ways.
struct Recording {
    /// All of it, which is replayed,
    whole: Reader,
    /// and what the advice is about.
    selected: Reader,
}

impl Recording {
    fn open(path: &Path, arguments: &cli::Advise) -> Result<Self> {
        let processes = trace::processes(path)?;
        let process = processes.one(arguments.input.selected.process.as_deref())?;
        processes.note(process);
        Ok(Self { whole: processes.reader(process)?, selected: processes.reader(process)? })
    }

    /// Returns the advice for the blocks that are selected.
    fn advise(&mut self, arguments: &cli::Advise) -> Result<SiteAdvices> {
        let cli::Advise { filter, places, .. } = arguments;
        lacking::require(&self.selected, "advise", &NEEDS)?;
        let selection = query::narrow_to_some(&mut self.selected, filter, places)?;
        advise::advise(&mut self.selected, places, selection)
    }
}

/// Returns the advice for a recording, and what it gains.
fn advice(
    recording: &mut Recording,
    selection: &Selection,
    arguments: &cli::Advise,
) -> Result<(SiteAdvices, Gains)> {
    let advices = recording.advise(arguments)?;
    if arguments.no_replay {
        return Ok((advices, Gains::default()));
    }
    if let Some(why) = query::not_replayed(&arguments.filter) {
        return Ok((advices, Gains { not_replayed: Some(why), ..Gains::default() }));
    }
    let gains = gains(&mut recording.whole, &advices, selection, &arguments.settings())?;
    Ok((advices, gains))
}

/// Returns what a second recording says about the advice.
fn second(
    recording: &mut Recording,
    first: &SiteAdvices,
    selection: &Selection,
    arguments: &cli::Advise,
) -> Result<Second> {
    let own = recording.advise(arguments)?;
    let is_replayed = !arguments.no_replay && query::not_replayed(&arguments.filter).is_none();
    let settings = is_replayed.then(|| arguments.settings());
    Second::new(&mut recording.whole, first, own, selection, settings.as_ref())
}
