//! The results of `millpond try` in JSON.

use std::borrow::Cow;

use serde::Serialize;

use super::{
    Tried,
    json::{Report, VERSION, change_word, lines, report},
};
use crate::{
    analysis::{Difference, Prediction},
    estimate::Estimate,
    live::{self, Absent, Figure, Sample, Timed},
};

#[derive(Serialize)]
struct Output<'a> {
    version: u32,
    replay: Option<Report<'a>>,
    no_replay: Option<&'a str>,
    live: Option<Live<'a>>,
    not_timed: Option<&'a str>,
}

#[derive(Serialize)]
struct Live<'a> {
    program: &'a str,
    timed: Vec<Row<'a>>,
    absent: Vec<Left<'a>>,
    other_processes: usize,
    had_input: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    allocator: &'a str,
    library: Cow<'a, str>,
    cpu_ns: Estimate,
    wall_ns: Estimate,
    peak_bytes: Estimate,
    runs: Vec<&'a Sample>,
    cpu_change: Option<Changed>,
    peak_change: Option<Changed>,
    predicted_change: Option<Changed>,
    no_prediction: Option<&'a str>,
}

#[derive(Serialize)]
struct Changed {
    verdict: &'static str,
    range: Estimate,
}

#[derive(Serialize)]
struct Left<'a> {
    allocator: &'a str,
    why: &'a str,
}

/// Returns the results as JSON.
pub(crate) fn tried(tried: &Tried<'_>) -> serde_json::Result<String> {
    lines(&Output {
        version: VERSION,
        replay: tried.analysis.map(report),
        no_replay: tried.unjudged.as_deref(),
        live: tried.timed.as_ref().map(|timed| live(tried, timed)),
        not_timed: tried.untimed.as_deref(),
    })
}

fn live<'a>(tried: &'a Tried<'_>, timed: &'a Timed) -> Live<'a> {
    let own = Row {
        runs: timed.own.iter().chain(&timed.control).collect(),
        ..row(&timed.own_name, timed.own_library.to_string_lossy(), &timed.own)
    };
    let others = timed.others.iter().enumerate().map(|(at, (contender, runs))| {
        let prediction = tried.predicted.as_ref().and_then(|all| all.get(at)).map(Prediction::as_ref);
        Row {
            cpu_change: Some(changed(live::changed(timed, runs, |run| run.cpu_ns))),
            peak_change: Some(changed(live::changed(timed, runs, |run| run.peak_bytes))),
            predicted_change: prediction.and_then(Result::ok).map(|&difference| changed(difference)),
            no_prediction: prediction.and_then(Result::err).map(String::as_str),
            ..row(&contender.name, contender.library.path.to_string_lossy(), runs)
        }
    });
    Live {
        program: &tried.program,
        timed: [own].into_iter().chain(others).collect(),
        absent: timed.absent.iter().map(|Absent { name, why }| Left { allocator: name, why }).collect(),
        other_processes: tried.others,
        had_input: !tried.has_no_input,
    }
}

fn row<'a>(allocator: &'a str, library: Cow<'a, str>, runs: &'a [Sample]) -> Row<'a> {
    let of = |figure: Figure| Estimate::of(&live::of_figure(runs, figure));
    Row {
        allocator,
        library,
        cpu_ns: of(|run| run.cpu_ns),
        wall_ns: of(|run| run.wall_ns),
        peak_bytes: of(|run| run.peak_bytes),
        runs: runs.iter().collect(),
        cpu_change: None,
        peak_change: None,
        predicted_change: None,
        no_prediction: None,
    }
}

fn changed(difference: Difference) -> Changed {
    Changed { verdict: change_word(difference.change), range: difference.range }
}
