//! The report as one HTML page that works offline: the page contains its data as JSON, and a script that draws them.

mod advice;
mod data;
mod document;
mod entries;
mod maps;
mod texts;

use anyhow::{Context as _, Result};
use millpond_trace::{Lack, Reader, Tables};

use self::{advice::Advised, data::Page, maps::Heaps};
use crate::{
    advise,
    analysis::Study,
    cli::{self, Settings},
    fragmentation, lacking,
    profile::{self, Details, Timed},
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
    heaps: Heaps,
}

/// Reads the trace of a process several times and returns the page. Without settings, nothing is replayed.
pub(crate) fn page(
    processes: &Processes,
    process: &Process,
    places: &cli::Places,
    settings: Option<&Settings>,
) -> Result<String> {
    let reader = &mut processes.reader(process)?;
    lacking::require(reader, "report", NEEDS)?;
    // First, because what is known about each site takes much memory, of which little remains.
    let has_events = reader.summary().events > 0;
    let advices = has_events.then(|| advise::advise(reader, places)).transpose()?.map(Advised::new);
    let details = &profile::details(processes, process, reader, places, 3)?;
    let mut timed = profile::timed(reader, details)?;
    let heaps = heaps(reader, details, settings)?;
    let frame = document::Document::new(&details.overview.command_line);
    let room = LIMIT.saturating_sub(frame.length());
    let json = fitting(&Sources { details, tables: reader.tables(), advices, heaps }, &mut timed, room)?;
    Ok(frame.with(&json))
}

/// Returns the heap of the program, if its addresses are known, and those of a replay.
fn heaps(reader: &mut Reader, details: &Details, settings: Option<&Settings>) -> Result<Heaps> {
    if reader.summary().events == 0 {
        return Ok(Heaps::default());
    }
    let moments = fragmentation::moments(&details.analysis.timeline, reader.summary().slots);
    let mut heaps = Vec::new();
    if details.overview.heap.is_some_and(|heap| heap.pages.is_some()) {
        heaps.push(fragmentation::recorded(reader, &moments, &details.site_of)?);
    }
    let mut replayed = |settings: &Settings| -> Result<()> {
        let study = Study::new(reader, settings)?;
        heaps.extend(fragmentation::replayed(reader, &study, settings, &moments, &details.site_of)?);
        Ok(())
    };
    let not_replayed = match settings.map(&mut replayed) {
        None => Some("The report was made with --no-replay.".into()),
        Some(Ok(())) => None,
        // What the report says otherwise does not depend on it.
        Some(Err(error)) => Some(format!("The trace was not replayed: {error:#}.")),
    };
    Ok(Heaps { moments, heaps, not_replayed })
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
