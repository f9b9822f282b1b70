//! A comparison in JSON. Its fields are described in `JSON.md`; a test compares the two.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    json::{Trace, VERSION, lines, trace},
    overview_json::{Frame, frames},
};
use crate::{
    compare::{Change, Changes, Comparison, Figure, Run},
    profile::Lifetime,
};

/// The change of each figure, by its name.
type Figures = BTreeMap<&'static str, Option<Change>>;

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    before: Vec<Trace<'a>>,
    after: Vec<Trace<'a>>,
    total: Figures,
    by_site: Vec<Place<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Place<'a> {
    is_changed: bool,
    figures: Figures,
    runs_before: usize,
    runs_after: usize,
    lifetime_before: Option<Lifetime>,
    lifetime_after: Option<Lifetime>,
    frames: Vec<Frame<'a>>,
}

/// Returns the report as JSON.
pub(crate) fn diff(comparison: &Comparison) -> serde_json::Result<String> {
    let Comparison { before, after, total, sites, notes, .. } = comparison;
    let places = sites.iter().map(|site| Place {
        is_changed: site.is_changed(),
        figures: figures(&site.changes),
        runs_before: site.runs_before,
        runs_after: site.runs_after,
        lifetime_before: site.lifetime_before,
        lifetime_after: site.lifetime_after,
        frames: frames(&site.frames),
    });
    lines(&Report {
        version: VERSION,
        before: traces(before),
        after: traces(after),
        total: figures(total),
        by_site: places.collect(),
        notes,
    })
}

fn traces(runs: &[Run]) -> Vec<Trace<'_>> {
    runs.iter().map(|run| trace(&run.start, &run.summary, None)).collect()
}

fn figures(changes: &Changes) -> Figures {
    Figure::ALL.iter().zip(changes).map(|(figure, &change)| (figure.key(), change)).collect()
}
