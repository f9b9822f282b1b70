//! What most formats are made from: the figures of each call stack, with names.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use foldhash::fast::FixedState;
use millpond_trace::{
    Frame, FrameKind, Module, Origin, Reader, Stacks,
    analysis::{Analysis, Site, Totals},
};

use crate::{
    cli,
    symbols::{Function, Names},
    terminal::Progress,
};

/// Stands for the callers of a stack that was not recorded.
pub(super) const UNKNOWN: &str = "(unknown caller)";

/// What one pass over a trace computes, with the names of its functions.
pub(super) struct Recording {
    pub(super) analysis: Analysis,
    pub(super) names: Names,
    pub(super) origin: Origin,
}

impl Recording {
    /// Reads a trace, and the files that have the names of its functions. Afterwards, the tables of the trace are known.
    pub(super) fn read(reader: &mut Reader, places: &cli::Places) -> Result<Self> {
        let (progress, all) = (Progress::new("reading the trace"), reader.summary().events);
        Self::read_with(reader, places, |done| progress.at(done, all))
    }

    /// Does the same, and calls `progress` after each block of events with the number of events read so far.
    pub(super) fn read_with(
        reader: &mut Reader,
        places: &cli::Places,
        progress: impl FnMut(u64),
    ) -> Result<Self> {
        let analysis = Analysis::read_with(reader, progress)?;
        ensure!(analysis.found_peak, "the trace's summary does not fit its events: record again");
        let names = Names::new(reader.tables(), places);
        Ok(Self { analysis, names, origin: reader.summary().resources.origin() })
    }

    /// Iterates over the call stacks that allocated or resized.
    pub(super) fn used(&self) -> impl Iterator<Item = &Site> {
        self.analysis.sites.iter().filter(|site| site.allocations + site.resizes > 0)
    }

    /// Returns the sum of all call stacks.
    pub(super) fn totals(&self) -> Totals {
        self.used().map(Totals::from).fold(Totals::default(), |sum, site| sum + site)
    }

    /// Returns the functions in a stack, innermost first; none if it is unknown.
    pub(super) fn functions(&self, stacks: &Stacks, stack: u32) -> Vec<&Function> {
        self.names.in_stack(stacks, stack).map(|function| self.names.function(function)).collect()
    }
}

/// Returns the build id of a module in hexadecimal; empty if it is unknown.
pub(super) fn build_id(module: &Module) -> String {
    module.build_id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the word for what the address of a frame is.
pub(super) fn kind(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Return => "return",
        FrameKind::Exact => "exact",
        FrameKind::Guessed => "guessed",
        FrameKind::Cut => "cut",
    }
}

/// Returns a number for each stack that is the same for equal stacks: a trace may have a stack several times.
pub(super) fn unique(stacks: &Stacks) -> Vec<u32> {
    let mut known: HashMap<(u32, Frame), u32, FixedState> = HashMap::default();
    let mut numbers = vec![0; stacks.len()];
    for (number, node) in (0..).zip(stacks.nodes()).skip(1) {
        let key = (numbers[node.parent as usize], stacks.frames()[node.frame as usize]);
        numbers[number as usize] = *known.entry(key).or_insert(number);
    }
    numbers
}

/// Returns a function with its file and line in brackets, as far as known.
pub(super) fn labelled(function: &Function) -> String {
    let Function { name, file, line, .. } = function;
    match (file.as_str(), line) {
        ("", _) => name.clone(),
        (file, 0) => format!("{name} ({file})"),
        (file, line) => format!("{name} ({file}:{line})"),
    }
}
