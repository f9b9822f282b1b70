//! What a program's memory was used for: by stack, size, thread and time.

mod sites;
mod tally;
mod together;
mod usage;

use anyhow::{Result, ensure};
use millpond_trace::{Start, Summary, Thread, analysis::Analysis};

use self::tally::Tally;
pub(crate) use self::{
    sites::{Site, sites},
    tally::{Phase, SizeUse, ThreadUse},
    usage::{Lifetime, Usage},
};
use crate::{
    cli,
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
    /// What stood in the way of more names, in words.
    pub(crate) notes: Vec<String>,
    /// All processes in the file, and the places in it of those that this is about.
    pub(crate) processes: Vec<Process>,
    pub(crate) shown: Vec<usize>,
}

/// Reads the traces of these processes, each twice, and the files that have the names of its functions.
pub(crate) fn overview(processes: &Processes, shown: &[&Process], places: &cli::Places) -> Result<Overview> {
    match shown {
        [process] => of_one(processes, process, places),
        several => together::overview(processes, several, places),
    }
}

fn of_one(processes: &Processes, process: &Process, places: &cli::Places) -> Result<Overview> {
    let reader = &mut processes.reader(process)?;
    let (progress, all) = (Progress::new("reading the trace"), reader.summary().events);
    let analysis = Analysis::read_with(reader, |done| progress.at(done, 2 * all))?;
    ensure!(analysis.found_peak, "the trace's summary does not fit its events: record again");
    let tally = Tally::read(reader, |done| progress.at(all + done, 2 * all))?;
    drop(progress);
    let Tally { mut sizes, threads, phases } = tally;
    let tables = reader.tables();
    let names = Names::new(tables, places);
    let sites = sites(&analysis.sites, &tables.stacks, &names).list;
    let about = |number: u32| {
        let known = tables.threads.iter().rfind(|thread| thread.number == number);
        known.cloned().unwrap_or(Thread { number, ..Thread::default() })
    };
    let mut threads: Vec<_> = (0..).map(about).zip(threads).collect();
    threads.sort_by_key(|(thread, done)| (std::cmp::Reverse(done.bytes), thread.number));
    sort_sizes(&mut sizes);
    Ok(Overview {
        command_line: trace::command_line(reader),
        start: reader.start().clone(),
        summary: reader.summary().clone(),
        threads,
        sizes,
        sites,
        phases,
        notes: names.notes,
        processes: processes.all().to_vec(),
        shown: vec![process.place],
    })
}

/// Sorts sizes, those that were requested most often first.
fn sort_sizes(sizes: &mut [SizeUse]) {
    sizes.sort_by_key(|size| (std::cmp::Reverse(size.allocations), size.size));
}
