//! The report as one HTML page that works offline: the page contains its data as JSON, and a script that draws them.

mod advice;
mod data;
mod document;
mod entries;
mod maps;
mod replays;
mod texts;
mod verdict;

use anyhow::{Context as _, Result};
use millpond_trace::{Lack, Tables};

use self::{advice::Advised, data::Page, maps::Heaps, replays::Replays};
use crate::{
    advise,
    cli::{self, Settings},
    lacking,
    profile::{self, Details, Timed},
    query,
    trace::{Process, Processes},
};

/// Max bytes of the page.
const LIMIT: usize = 3_000_000;
/// Max characters of the names of functions and files, and max frames of a site, in the order in which they are tried.
const LEVELS: [(usize, usize); 6] = [(1000, 24), (300, 24), (120, 16), (60, 8), (30, 4), (12, 2)];

/// What a trace must say, because nearly every view shows it.
const NEEDS: &[Lack] =
    &[Lack::Threads, Lack::Times, Lack::Clock, Lack::Order, Lack::Lifetimes, Lack::Peak, Lack::Sizes];

/// What a page is made from.
struct Sources<'a> {
    details: &'a Details,
    tables: &'a Tables,
    /// `None` if the trace has no events.
    advices: Option<Advised>,
    replays: Replays,
    heaps: Heaps,
}

/// Reads the trace of a process several times and returns the page, about the blocks that are selected. Without settings,
/// nothing is replayed.
pub(crate) fn page(
    processes: &Processes,
    process: &Process,
    (filter, places): (&cli::Filter, &cli::Places),
    settings: Option<&Settings>,
) -> Result<String> {
    let reader = &mut processes.reader(process)?;
    lacking::require(reader, "report", NEEDS)?;
    let whole = &mut processes.reader(process)?;
    let selection = query::narrow_to_some(reader, filter, places)?;
    // First, because what is known about each site takes much memory, of which little remains.
    let has_events = reader.summary().events > 0;
    let advices = has_events.then(|| advise::advise(reader, places, selection.clone())).transpose()?;
    let replays = Replays::new(whole, advices.as_ref(), filter, settings);
    let advices = advices.map(|advices| Advised::new(advices, &replays.gains));
    let mut details = profile::details(processes, process, reader, places, 3)?;
    details.overview.selection = selection;
    let mut timed = profile::timed(reader, &details)?;
    let heaps = Heaps::new(whole, &details, &replays)?;
    let frame = document::Document::new(&details.overview.command_line);
    let room = LIMIT.saturating_sub(frame.length());
    let sources = Sources { details: &details, tables: reader.tables(), advices, replays, heaps };
    let json = fitting(&sources, &mut timed, room)?;
    Ok(frame.with(&json))
}

/// Returns the data of a page in at most `room` bytes: if necessary with shorter names, or with fewer spans of time.
fn fitting(sources: &Sources<'_>, timed: &mut Timed, room: usize) -> Result<String> {
    let mut levels = LEVELS.into_iter();
    let mut level = levels.next().unwrap_or_default();
    loop {
        let page = Page::new(sources, timed, level);
        let json = document::escaped(&serde_json::to_string(&page)?);
        if json.len() <= room {
            return Ok(json);
        }
        // Names are shortened while they are what takes most; times are more useful than the ends of names.
        let shorter = if page.bytes_of_texts() > room / 3 { levels.next() } else { None };
        match shorter {
            Some(shorter) => level = shorter,
            None if timed.halve() => {}
            None => level = levels.next().context("the trace has too many names and threads for a page")?,
        }
    }
}
