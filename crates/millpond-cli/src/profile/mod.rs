//! What a program's memory was used for: by stack, size, thread and time.

mod heap;
mod sites;
mod tally;
mod timed;
mod together;
mod usage;

use std::collections::HashMap;

use anyhow::{Result, ensure};
use foldhash::fast::FixedState;
use millpond_trace::{Reader, Start, Summary, Thread, analysis::Analysis};

use self::tally::Tally;
pub(crate) use self::{
    heap::Heap,
    sites::{Site, Sites, places, sites, skipped},
    tally::{Phase, SizeUse, ThreadUse},
    timed::{Bin, Resized, SIZE_CLASSES, Timed, timed},
    usage::{Lifetime, Usage},
};
use crate::{
    cli,
    query::{self, Selection},
    symbols::Names,
    terminal::Progress,
    trace::{self, Process, Processes},
};

/// Everything about the use of memory in a trace, the largest first.
pub(crate) struct Overview {
    /// Program and arguments.
    pub(crate) command_line: String,
    /// The origin of the trace according to the trace.
    pub(crate) start: Start,
    /// The metadata of the trace.
    pub(crate) summary: Summary,
    /// What is known about each thread with events, and what it did.
    pub(crate) threads: Vec<(Thread, ThreadUse)>,
    /// By size.
    pub(crate) sizes: Vec<SizeUse>,
    /// By call site.
    pub(crate) sites: Vec<Site>,
    /// By time, in order of time.
    pub(crate) phases: Vec<Phase>,
    /// What the live blocks took at the peak, if the trace has addresses or usable sizes.
    pub(crate) heap: Option<Heap>,
    /// What stood in the way of more names, in words.
    pub(crate) notes: Vec<String>,
    /// All processes in the file, and the places in it of those that this is about.
    pub(crate) processes: Vec<Process>,
    pub(crate) shown: Vec<usize>,
    /// The blocks that this is about, if these are not all.
    pub(crate) selection: Option<Selection>,
}

/// An overview of one process, and what it was made from.
pub(crate) struct Details {
    pub(crate) overview: Overview,
    pub(crate) analysis: Analysis,
    /// The names of the functions in the trace.
    pub(crate) names: Names,
    /// The place in the overview of the site of each stack that allocated or resized.
    pub(crate) site_of: HashMap<u32, u32, FixedState>,
}

/// Reads the traces of these processes, each twice, and the files that have the names of its functions. If not all blocks
/// are selected, the traces are narrowed before.
pub(crate) fn overview(
    processes: &Processes,
    shown: &[&Process],
    filter: &cli::Filter,
    places: &cli::Places,
) -> Result<Overview> {
    let [process] = shown else { return together::overview(processes, shown, filter, places) };
    let mut reader = processes.reader(process)?;
    let selection = query::narrow_to_some(&mut reader, filter, places)?;
    let details = details(processes, process, &mut reader, places, 2)?;
    Ok(Overview { selection, ..details.overview })
}

/// Reads the trace of a process twice, with its reader. `passes` is how often the caller reads it in all, for the progress
/// that is shown.
pub(crate) fn details(
    processes: &Processes,
    process: &Process,
    reader: &mut Reader,
    places: &cli::Places,
    passes: u64,
) -> Result<Details> {
    let (progress, all) = (Progress::new("reading the trace"), reader.summary().events);
    let analysis = Analysis::read_with(reader, |done| progress.at(done, passes * all))?;
    ensure!(analysis.found_peak, "the trace's summary does not fit its events: record again");
    let tally = Tally::read(reader, |done| progress.at(all + done, passes * all))?;
    drop(progress);
    let Tally { mut sizes, threads, phases, heap } = tally;
    let tables = reader.tables();
    let names = Names::new(tables, places);
    let Sites { list: sites, of_stack: site_of } = sites(&analysis.sites, &tables.stacks, &names);
    let about = |number: u32| {
        let known = tables.threads.iter().rfind(|thread| thread.number == number);
        known.cloned().unwrap_or(Thread { number, ..Thread::default() })
    };
    let mut threads: Vec<_> = (0..).map(about).zip(threads).collect();
    threads.sort_by_key(|(thread, done)| (std::cmp::Reverse(done.bytes), thread.number));
    sort_sizes(&mut sizes);
    let overview = Overview {
        command_line: trace::command_line(reader),
        start: reader.start().clone(),
        summary: reader.summary().clone(),
        threads,
        sizes,
        sites,
        phases,
        heap,
        notes: names.notes.clone(),
        processes: processes.all().to_vec(),
        shown: vec![process.place],
        selection: None,
    };
    Ok(Details { overview, analysis, names, site_of })
}

/// Sorts sizes, those that were requested most often first.
fn sort_sizes(sizes: &mut [SizeUse]) {
    sizes.sort_by_key(|size| (std::cmp::Reverse(size.allocations), size.size));
}
