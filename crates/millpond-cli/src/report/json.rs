//! The report in JSON. Its fields are described in `JSON.md`; a test compares the two.

use std::{borrow::Cow, path::Path};

use millpond_trace::{Ending, Lack, Start, Summary};
use serde::Serialize;

use super::overview_json::{Frame, frames};
use crate::{
    advise::{Advice, Block, Language},
    analysis::{Analysis, Bound, Change, Study},
    estimate::Estimate,
    lacking,
    profile::Site,
    replay::{Baseline, Name, Outcome, Relation, Touch, Verification, Written, mimalloc_version, outliers},
};

/// Increased if a field changes its meaning or is removed; new fields do not change it.
pub(crate) const VERSION: u32 = 1;

#[derive(Serialize)]
pub(super) struct Report<'a> {
    version: u32,
    trace: Trace<'a>,
    settings: Settings,
    baseline: Base<'a>,
    allocators: Vec<Allocator>,
    without_huge: Option<&'a str>,
    loop_ns: Estimate,
    bound: Limit,
    advice: Advised<'a>,
    places: Option<Vec<Place<'a>>>,
    verdict: Judgement<'a>,
}

#[derive(Serialize)]
struct Verified<'a> {
    version: u32,
    trace: Trace<'a>,
    baseline: Base<'a>,
    verified: Vec<Checked>,
}

#[derive(Serialize)]
pub(crate) struct Trace<'a> {
    program: &'a str,
    arguments: &'a [String],
    process: Option<u32>,
    parent: Option<u32>,
    unix_ns: Option<u64>,
    events: u64,
    allocations: u64,
    resizes: u64,
    frees: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    foreign_calls: Option<u64>,
    requested_bytes: u64,
    peak_bytes: Option<u64>,
    peak_blocks: Option<u64>,
    live_at_end: u64,
    threads: Option<u32>,
    cpu_ns: Option<u64>,
    wall_ns: Option<u64>,
    ending: &'static str,
    stopped: Option<&'a str>,
    allocator: Option<&'a str>,
    served_by: Option<&'a str>,
    origin: Option<&'static str>,
    lacks: Vec<&'static str>,
}

#[derive(Serialize)]
struct Settings {
    rounds: u32,
    touch: Touch,
    threads_merged: bool,
    threads: u16,
    written_below_bytes: Option<u64>,
    written_from_memory: bool,
    mimalloc_version: String,
}

#[derive(Serialize)]
struct Base<'a> {
    name: Name,
    library: Option<Cow<'a, str>>,
    relation: Relation,
    same_build: Option<bool>,
}

#[derive(Serialize)]
struct Allocator {
    name: Name,
    block_sizes: Option<Vec<usize>>,
    ns_per_event: Estimate,
    total_ns: Estimate,
    rounds_ns: Vec<f64>,
    first_ns: f64,
    time_vs_baseline: Option<f64>,
    time_differs: bool,
    peak_resident_bytes: Option<Estimate>,
    memory_vs_baseline: Option<f64>,
    memory_differs: bool,
    written_bytes: u64,
    handed_out_bytes: u64,
    internal_waste_bytes: i64,
    external_waste_bytes: Option<i64>,
    gain_share: Option<f64>,
    gain_share_range: Option<Estimate>,
    outlying_rounds: Vec<usize>,
    page_faults: u64,
    walk_ns_per_block: Option<Estimate>,
}

#[derive(Serialize)]
struct Limit {
    allocation_ns: f64,
    recording_ns: f64,
    program_cpu_ns: Option<f64>,
    allocation_share: Option<f64>,
    allocation_range_ns: Estimate,
    recording_range_ns: Estimate,
    recording_measured: bool,
    program_cpu_range_ns: Option<Estimate>,
    allocation_share_range: Option<Estimate>,
    doubt: Option<String>,
}

#[derive(Serialize)]
struct Advised<'a> {
    covered_share: f64,
    blocks: Vec<Cut>,
    languages: &'a [Language],
    rust: String,
    rust_huge: String,
    c: String,
    c_huge: String,
    cpp: String,
    cpp_huge: String,
}

#[derive(Serialize)]
struct Cut {
    block_bytes: usize,
    least_request: usize,
    most_request: usize,
    allocations: u64,
    share: f64,
    most_live: u64,
    waste_share: f64,
}

#[derive(Serialize)]
struct Place<'a> {
    share: f64,
    frames: Vec<Frame<'a>>,
    through: Vec<Frame<'a>>,
}

#[derive(Serialize)]
struct Judgement<'a> {
    best: Option<Name>,
    best_ordinary: Option<Name>,
    time: &'static str,
    memory: &'static str,
    text: &'a str,
    locality: Option<&'a str>,
    mimalloc: Option<&'a str>,
}

#[derive(Serialize)]
struct Checked {
    name: Name,
    #[serde(flatten)]
    found: Verification,
}

/// Returns the report as JSON.
pub(crate) fn analysis(analysis: &Analysis) -> serde_json::Result<String> {
    lines(&report(analysis))
}

/// Returns the report in its fields.
pub(super) fn report(analysis: &Analysis) -> Report<'_> {
    let Analysis { study, settings, comparison, bound, verdict, places } = analysis;
    Report {
        version: VERSION,
        trace: of_study(study),
        settings: Settings {
            rounds: settings.rounds,
            touch: settings.touch,
            threads_merged: false,
            threads: study.histogram.threads.at_once,
            written_below_bytes: match comparison.touched.map(|touched| touched.written) {
                Some(Written::Below(large)) if large < usize::MAX => Some(large as u64),
                _ => None,
            },
            written_from_memory: comparison.touched.is_some_and(|touched| touched.is_known),
            mimalloc_version: mimalloc_version(),
        },
        baseline: base(&comparison.baseline),
        allocators: comparison.outcomes.iter().map(|outcome| allocator(analysis, outcome)).collect(),
        without_huge: comparison.without_huge.as_deref(),
        loop_ns: comparison.bare,
        bound: limit(bound),
        advice: advised(&study.advice),
        places: places.as_ref().map(|places| places.sites.iter().map(place).collect()),
        verdict: Judgement {
            best: verdict.best,
            best_ordinary: verdict.best_ordinary,
            time: change_word(verdict.time),
            memory: change_word(verdict.memory),
            text: &verdict.text,
            locality: verdict.locality.as_deref(),
            mimalloc: verdict.mimalloc.as_deref(),
        },
    }
}

/// Returns the report of a verifying replay as JSON.
pub(crate) fn verified(study: &Study, verified: &[(Name, Verification)]) -> serde_json::Result<String> {
    let verified = verified.iter().map(|&(name, found)| Checked { name, found }).collect();
    lines(&Verified { version: VERSION, trace: of_study(study), baseline: base(&study.baseline), verified })
}

fn base(baseline: &Baseline) -> Base<'_> {
    Base {
        name: baseline.name(),
        library: baseline.library.as_deref().map(Path::to_string_lossy),
        relation: baseline.relation,
        same_build: baseline.is_same_build,
    }
}

fn place((share, site): &(f64, Site)) -> Place<'_> {
    Place { share: *share, frames: frames(&site.frames), through: frames(&site.through) }
}

/// Formats a report.
pub(super) fn lines(report: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

fn of_study(study: &Study) -> Trace<'_> {
    trace(&study.start, &study.summary, study.histogram.threads.foreign)
}

/// Describes a trace, with the number of calls that concern another thread's block.
pub(crate) fn trace<'a>(
    start: &'a Start,
    summary: &'a Summary,
    foreign_calls: impl Into<Option<u64>>,
) -> Trace<'a> {
    let origin = summary.resources.origin();
    let [has_peak, has_threads, has_times] =
        [Lack::Peak, Lack::Threads, Lack::Times].map(|lack| !origin.has_no(lack));
    Trace {
        program: &start.program,
        arguments: &start.arguments,
        process: (start.process > 0).then_some(start.process),
        parent: (start.parent > 0).then_some(start.parent),
        unix_ns: (start.unix_ns > 0).then_some(start.unix_ns),
        events: summary.events,
        allocations: summary.allocations,
        resizes: summary.resizes,
        frees: summary.frees,
        foreign_calls: foreign_calls.into().filter(|_| has_threads),
        requested_bytes: summary.requested,
        peak_bytes: has_peak.then_some(summary.peak_bytes),
        peak_blocks: has_peak.then_some(summary.peak_blocks),
        live_at_end: summary.live_at_end,
        threads: has_threads.then_some(summary.threads),
        cpu_ns: (summary.cpu_ns > 0).then_some(summary.cpu_ns),
        wall_ns: has_times.then_some(summary.wall_ns),
        ending: ending(summary.ending),
        stopped: (!summary.stopped.is_empty()).then_some(summary.stopped.as_str()),
        allocator: (!summary.allocator.is_empty()).then_some(summary.allocator.as_str()),
        served_by: (!summary.served_by.is_empty()).then_some(summary.served_by.as_str()),
        origin: origin.program(),
        lacks: origin.lacks().iter().map(|&lack| lacking::word(lack)).collect(),
    }
}

/// Returns the word for how a recording ended.
pub(crate) fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Exited => "exited",
        Ending::Cut => "cut",
        Ending::Full => "full",
        Ending::Stopped => "stopped",
    }
}

fn allocator(analysis: &Analysis, outcome: &Outcome) -> Allocator {
    let Analysis { study, comparison, bound, .. } = analysis;
    let total = Estimate::of(&outcome.times);
    let peak = (!outcome.peaks.is_empty()).then(|| Estimate::of(&outcome.peaks));
    let baseline = comparison.of_baseline().unwrap_or(outcome);
    let ratio = |ours: &[f64], theirs: &[f64]| {
        let theirs = Estimate::of(theirs).median;
        (theirs > 0.0).then(|| Estimate::of(ours).median / theirs)
    };
    let faster = Estimate::difference(&baseline.times, &outcome.times);
    let memory_use = outcome.memory_use;
    Allocator {
        name: outcome.name,
        block_sizes: outcome.name.is_advised().then(|| study.advice.sizes()),
        ns_per_event: total.over(study.summary.events as f64),
        total_ns: total,
        rounds_ns: outcome.times.clone(),
        first_ns: outcome.first,
        time_vs_baseline: ratio(&outcome.times, &baseline.times),
        time_differs: faster.is_clear(),
        peak_resident_bytes: peak,
        memory_vs_baseline: ratio(&outcome.peaks, &baseline.peaks),
        memory_differs: Estimate::difference(&baseline.peaks, &outcome.peaks).is_clear(),
        written_bytes: memory_use.written,
        handed_out_bytes: memory_use.handed_out,
        internal_waste_bytes: memory_use.handed_out as i64 - memory_use.written as i64,
        external_waste_bytes: peak.map(|peak| peak.median as i64 - memory_use.handed_out as i64),
        gain_share: bound.share(faster).map(|share| share.median),
        gain_share_range: bound.share(faster),
        outlying_rounds: outliers(&outcome.times).into_iter().map(|round| round + 1).collect(),
        page_faults: outcome.page_faults,
        walk_ns_per_block: (!outcome.walk.is_empty()).then(|| Estimate::of(&outcome.walk)),
    }
}

fn limit(bound: &Bound) -> Limit {
    Limit {
        allocation_ns: bound.allocation.median,
        recording_ns: bound.recording.median,
        program_cpu_ns: bound.program.map(|program| program.median),
        allocation_share: bound.share(bound.allocation).map(|share| share.median),
        allocation_range_ns: bound.allocation,
        recording_range_ns: bound.recording,
        recording_measured: bound.measured,
        program_cpu_range_ns: bound.program,
        allocation_share_range: bound.share(bound.allocation),
        doubt: bound.doubt.as_ref().map(|doubt| doubt.text.clone()),
    }
}

fn advised(advice: &Advice) -> Advised<'_> {
    let cut = |block: &Block| Cut {
        block_bytes: block.size,
        least_request: block.serves.0,
        most_request: block.serves.1,
        allocations: block.allocations,
        share: block.share,
        most_live: block.capacity,
        waste_share: block.waste(),
    };
    Advised {
        covered_share: advice.covered,
        blocks: advice.blocks.iter().map(cut).collect(),
        languages: &advice.languages,
        rust: advice.code(Language::Rust, false),
        rust_huge: advice.code(Language::Rust, true),
        c: advice.code(Language::C, false),
        c_huge: advice.code(Language::C, true),
        cpp: advice.code(Language::Cpp, false),
        cpp_huge: advice.code(Language::Cpp, true),
    }
}

/// Returns the word for a change.
pub(super) fn change_word(change: Change) -> &'static str {
    match change {
        Change::Less(_) => "less",
        Change::More(_) => "more",
        Change::Same => "same",
        Change::Unclear(_) => "unclear",
    }
}
