//! One moment of a program in JSON. Its fields are described in `JSON.md`; a test compares the two.

use serde::Serialize;

use super::{
    json::{VERSION, lines},
    overview_json::{Frame, frames},
};
use crate::{
    estimate::Estimate,
    top::{About, Figures, Row, Snapshot, State},
};

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    program: &'a str,
    process: Option<u32>,
    is_live: bool,
    time_ns: u64,
    wall_ns: Option<u64>,
    ended: Option<&'a str>,
    followed: Followed,
    rate_ns: u64,
    growth_ns: u64,
    marks: Vec<Mark<'a>>,
    since_mark: Option<usize>,
    total: Use,
    sites: usize,
    by_site: Vec<Place<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Followed {
    one_in: u64,
    all_from_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Mark<'a> {
    time_ns: u64,
    name: &'a str,
}

#[derive(Serialize)]
struct Range {
    value: f64,
    least: f64,
    most: f64,
}

#[derive(Serialize)]
struct Use {
    calls: u64,
    bytes: u64,
    calls_per_second: f64,
    bytes_per_second: f64,
    live_blocks: Range,
    live_bytes: Range,
    growth_per_second: Range,
    age_ns: Option<Range>,
    selected_blocks: Option<Range>,
    selected_bytes: Option<Range>,
}

#[derive(Serialize)]
struct Place<'a> {
    is_pending: bool,
    #[serde(flatten)]
    figures: Use,
    frames: Vec<Frame<'a>>,
    through: Vec<Frame<'a>>,
}

impl From<Estimate> for Range {
    fn from(estimate: Estimate) -> Self {
        Self { value: estimate.median, least: estimate.least, most: estimate.most }
    }
}

impl Use {
    fn new(figures: &Figures, is_selected: bool) -> Self {
        let selected = |estimate: Estimate| is_selected.then(|| estimate.into());
        Self {
            calls: figures.calls,
            bytes: figures.bytes,
            calls_per_second: figures.calls_rate,
            bytes_per_second: figures.bytes_rate,
            live_blocks: figures.live_blocks.into(),
            live_bytes: figures.live_bytes.into(),
            growth_per_second: figures.growth.into(),
            age_ns: figures.age.map(Range::from),
            selected_blocks: selected(figures.selected_blocks),
            selected_bytes: selected(figures.selected_bytes),
        }
    }
}

/// Returns the report as JSON.
pub(crate) fn snapshot(about: &About, snapshot: &Snapshot, rows: &[&Row]) -> serde_json::Result<String> {
    let is_selected = snapshot.generation.mark > 0;
    let by_site = rows.iter().map(|row| Place {
        is_pending: row.is_pending,
        figures: Use::new(&row.figures, is_selected),
        frames: frames(&row.frames),
        through: frames(&row.through),
    });
    lines(&Report {
        version: VERSION,
        program: &about.command_line,
        process: (about.process > 0).then_some(about.process),
        is_live: about.is_live,
        time_ns: snapshot.time,
        wall_ns: about.wall_ns,
        ended: match &snapshot.state {
            State::Ended(why) => Some(why),
            _ => None,
        },
        followed: Followed {
            one_in: snapshot.factor,
            all_from_bytes: (snapshot.factor > 1).then_some(snapshot.large),
        },
        rate_ns: snapshot.rate_ns,
        growth_ns: snapshot.growth_ns,
        marks: snapshot.marks.iter().map(|mark| Mark { time_ns: mark.time, name: &mark.name }).collect(),
        since_mark: is_selected.then_some(snapshot.generation.mark),
        total: Use::new(&snapshot.all, is_selected),
        sites: snapshot.rows.len(),
        by_site: by_site.collect(),
        notes: &snapshot.notes,
    })
}
