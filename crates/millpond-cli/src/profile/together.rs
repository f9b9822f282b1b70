//! Several processes of one program, taken together.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use foldhash::fast::FixedState;
use millpond_trace::{
    Ending, Start, Summary,
    analysis::{Analysis, Union},
};

use super::{Overview, SizeUse, sort_sizes, tally::Tally};
use crate::{
    cli,
    query::{self, Selection},
    symbols::Names,
    terminal::Progress,
    trace::{Process, Processes},
    units::counted,
};

/// Reads the traces of these processes, twice each, and adds up what can be added: sites and sizes. Threads and phases
/// are left out.
pub(super) fn overview(
    processes: &Processes,
    shown: &[&Process],
    filter: &cli::Filter,
    places: &cli::Places,
) -> Result<Overview> {
    let progress = Progress::new("reading the traces");
    let all = shown.iter().map(|process| 2 * process.events).sum();
    let mut done = 0;
    let mut sum = Sum::default();
    for &process in shown {
        let mut reader = processes.reader(process)?;
        let selection = query::narrow(&mut reader, filter, places)?;
        sum.selection = query::together(sum.selection, selection);
        let analysis = Analysis::read_with(&mut reader, |count| progress.at(done + count, all))?;
        ensure!(
            analysis.found_peak,
            "the summary of process {} does not fit its events: record again",
            process.process
        );
        done += process.events;
        let tally = Tally::read(&mut reader, |count| progress.at(done + count, all))?;
        done += process.events;
        let added = sum.sites.add(reader.tables(), &analysis);
        added.context("the processes have too many stacks to take them together")?;
        sum.add_sizes(tally.sizes);
        sum.add_summary(reader.summary());
    }
    drop(progress);
    let Sum { sites: Union { tables, sites, .. }, sizes, summary, selection } = sum;
    query::ensure_some(&summary, selection.as_ref())?;
    let names = Names::new(&tables, places);
    let mut sizes: Vec<_> = sizes.into_values().collect();
    sort_sizes(&mut sizes);
    let name = shown.first().map_or("", |process| &process.name);
    Ok(Overview {
        command_line: format!("{name}, {} together", counted(shown.len() as u64, "process")),
        start: Start { program: name.to_owned(), ..Start::default() },
        summary,
        threads: Vec::new(),
        sizes,
        sites: super::sites(&sites, &tables.stacks, &names).list,
        phases: Vec::new(),
        heap: None,
        notes: names.notes,
        processes: processes.all().to_vec(),
        shown: shown.iter().map(|process| process.place).collect(),
        selection,
    })
}

/// The sums so far.
#[derive(Default)]
struct Sum {
    sites: Union,
    sizes: HashMap<u64, SizeUse, FixedState>,
    summary: Summary,
    selection: Option<Selection>,
}

impl Sum {
    fn add_sizes(&mut self, sizes: Vec<SizeUse>) {
        for size in sizes {
            self.sizes.entry(size.size).and_modify(|sum| sum.add(&size)).or_insert(size);
        }
    }

    /// Adds counts and CPU time; of the peak, the time and the ending, the largest counts.
    fn add_summary(&mut self, other: &Summary) {
        let sum = &mut self.summary;
        sum.events += other.events;
        sum.allocations += other.allocations;
        sum.frees += other.frees;
        sum.resizes += other.resizes;
        sum.requested = sum.requested.saturating_add(other.requested);
        if other.peak_bytes > sum.peak_bytes {
            (sum.peak_bytes, sum.peak_blocks) = (other.peak_bytes, other.peak_blocks);
        }
        sum.threads = sum.threads.max(other.threads);
        sum.live_at_end += other.live_at_end;
        sum.wall_ns = sum.wall_ns.max(other.wall_ns);
        sum.cpu_ns = sum.cpu_ns.saturating_add(other.cpu_ns);
        sum.unknown_frees += other.unknown_frees;
        sum.overlaps += other.overlaps;
        sum.failed += other.failed;
        if sum.ending == Ending::Exited || sum.ending.is_complete() && !other.ending.is_complete() {
            (sum.ending, sum.stopped) = (other.ending, other.stopped.clone());
        }
        if sum.allocator.is_empty() {
            sum.allocator.clone_from(&other.allocator);
        }
    }
}
