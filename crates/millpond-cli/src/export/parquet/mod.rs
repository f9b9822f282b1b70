//! Parquet: a folder of tables for SQL engines, to which any number of recordings can be added.
//!
//! A run is all processes of a recording. [`Tables`](tables::Tables) are written process by process, each in two passes over
//! its trace, and never kept as a whole.

mod dataset;
mod events;
mod labels;
mod schema;
mod table;
mod tables;

use anyhow::{Context, Result};
use millpond_trace::{Lack, Summary};

use self::{dataset::Dataset, labels::Labels, tables::Tables};
use super::recording::Recording;
use crate::{cli, lacking, query, terminal::Progress, trace};

/// Adds a recording to a folder of tables. Returns what stood in the way of more names, in words.
pub(crate) fn export(arguments: &cli::Export) -> Result<Vec<String>> {
    let cli::Export { trace: path, selected, output, force, places, filter, labels, .. } = arguments;
    let processes = trace::processes(path)?;
    let shown = processes.named(selected.process.as_deref())?;
    let labels = Labels::new(labels, processes.all())?;
    let dataset = Dataset::create(output, &labels.run, *force)?;
    let mut tables = Tables::create(&dataset, labels)?;
    // Each trace is read twice.
    let (progress, all) = (Progress::new("exporting"), shown.iter().map(|process| 2 * process.events).sum());
    let (mut before, mut events, mut notes, mut selection) = (0, 0, Vec::new(), None);
    for process in shown {
        let what = || format!("process {} of {}", process.place, path.display());
        let mut reader = processes.reader(process)?;
        lacking::require(&reader, "this format", &[Lack::Order]).with_context(what)?;
        let selected = query::narrow(&mut reader, filter, places).with_context(what)?;
        let at = |done| progress.at(before + done, all);
        let recording = Recording::read_with(&mut reader, places, at).with_context(what)?;
        let at = |done| progress.at(before + process.events + done, all);
        tables.add(&mut reader, process, &recording, selected.as_ref(), at).with_context(what)?;
        before += 2 * process.events;
        events += reader.summary().events;
        notes.extend(recording.names.notes);
        selection = query::together(selection, selected);
    }
    query::ensure_some(&Summary { events, ..Summary::default() }, selection.as_ref())?;
    dataset.finish(tables.finish()?)?;
    notes.sort();
    notes.dedup();
    Ok(notes)
}
