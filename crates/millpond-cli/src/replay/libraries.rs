//! The replay against the `malloc` of several libraries.

use std::path::PathBuf;

use anyhow::Result;
use millpond_trace::Reader;

use super::{
    Baseline, Comparison, Name, check_memory, race::Source, rounds, task, touched::Touched, worker::Task,
};
use crate::{cli::Settings, trace::Histogram};

/// A library whose `malloc` a program can use by `LD_PRELOAD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Library {
    /// The whole path.
    pub(crate) path: PathBuf,
    /// Environment variables that configure it.
    pub(crate) variables: Vec<(String, String)>,
}

/// Replays a trace with the baseline and with each library. The outcomes are those of the baseline, and then of the
/// libraries.
pub(crate) fn measure_libraries(
    reader: &mut Reader,
    histogram: &Histogram,
    libraries: &[Library],
    settings: &Settings,
    baseline: Baseline,
) -> Result<Comparison> {
    let touched = Touched::new(settings.touch, histogram, &reader.summary().resources);
    check_memory(histogram, |size| touched.written.is_written(size))?;
    let mut task = task(reader, histogram, &[], touched.written);
    let mut tasks = vec![task.clone()];
    task.set(baseline.name(), &baseline);
    tasks.push(task.clone());
    tasks.extend(libraries.iter().map(|library| Task {
        contender: Name::Library,
        library: Some(library.path.clone()),
        variables: library.variables.clone(),
        ..task.clone()
    }));
    let peak = reader.summary().peak_bytes;
    let source = Source::new(reader, &histogram.threads.workers);
    let names = [baseline.name()].into_iter().chain(libraries.iter().map(|_| Name::Library));
    let (outcomes, bare) =
        rounds::compare(source, &tasks, names, settings.rounds, "replaying libraries", peak)?;
    Ok(Comparison { outcomes, baseline, bare, touched: Some(touched), ..Comparison::default() })
}
