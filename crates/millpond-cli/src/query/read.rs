//! Reading of recordings that are compared with others.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use millpond_trace::{Lack, Reader, analysis::Analysis};

use crate::{cli, lacking, symbols::Names, terminal::Progress, trace};

/// What is read of each recording.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) process: Option<&'a str>,
    pub(crate) filter: &'a cli::Filter,
    pub(crate) places: &'a cli::Places,
    /// What a trace must not lack, besides what every comparison needs.
    pub(crate) needs: &'a [Lack],
}

/// A recording that has been read.
pub(crate) struct Found {
    pub(crate) reader: Reader,
    pub(crate) analysis: Analysis,
    pub(crate) names: Names,
}

impl Query<'_> {
    /// Reads a recording. If no block in it is selected, it is empty.
    pub(crate) fn read(&self, path: &Path) -> Result<Found> {
        let mut reader = trace::open(path, self.process)?;
        let name = || path.display().to_string();
        let needs = [&[Lack::Order, Lack::Peak, Lack::Counts], self.needs].concat();
        lacking::require(&reader, "a comparison", &needs).with_context(name)?;
        super::narrow(&mut reader, self.filter, self.places).with_context(name)?;
        let (progress, all) = (Progress::new("reading a trace"), reader.summary().events);
        let analysis = Analysis::read_with(&mut reader, |done| progress.at(done, all)).with_context(name)?;
        ensure!(analysis.found_peak, "{}: the trace's summary does not fit its events: record again", name());
        let names = Names::new(reader.tables(), self.places);
        Ok(Found { reader, analysis, names })
    }
}
