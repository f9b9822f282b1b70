//! The report for programs. The fields are described in `JSON.md`, and a test holds the two together.

use millpond_trace::{Ending, Summary};
use serde::Serialize;

use crate::{
    advise::{Advice, Block},
    findings::{Bound, Change, Findings, Study},
    replay::{Name, Spread, Standing, Touch, Verification},
};

/// Raised when a field changes its meaning or goes away; new fields leave it as it is.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    trace: Trace<'a>,
    settings: Settings,
    allocators: Vec<Allocator>,
    without_huge: Option<&'a str>,
    loop_ns: Spread,
    bound: Limit,
    advice: Advised<'a>,
    verdict: Judgement<'a>,
}

#[derive(Serialize)]
struct Verified<'a> {
    version: u32,
    trace: Trace<'a>,
    verified: Vec<Checked>,
}

#[derive(Serialize)]
struct Trace<'a> {
    program: &'a str,
    arguments: &'a [String],
    events: u64,
    allocations: u64,
    resizes: u64,
    frees: u64,
    requested_bytes: u64,
    peak_bytes: u64,
    peak_blocks: u64,
    live_at_end: u64,
    threads: u32,
    cpu_ns: Option<u64>,
    wall_ns: u64,
    ending: &'static str,
    stopped: Option<&'a str>,
    allocator: Option<&'a str>,
}

#[derive(Serialize)]
struct Settings {
    rounds: u32,
    touch: Touch,
    threads_merged: bool,
}

#[derive(Serialize)]
struct Allocator {
    name: Name,
    block_sizes: Option<Vec<usize>>,
    ns_per_event: Spread,
    total_ns: Spread,
    rounds_ns: Vec<f64>,
    first_ns: f64,
    time_vs_glibc: Option<f64>,
    time_differs: bool,
    peak_resident_bytes: Option<Spread>,
    memory_vs_glibc: Option<f64>,
    memory_differs: bool,
    written_bytes: u64,
    handed_out_bytes: u64,
    internal_waste_bytes: i64,
    external_waste_bytes: Option<i64>,
    gain_share: Option<f64>,
}

#[derive(Serialize)]
struct Limit {
    allocation_ns: f64,
    recording_ns: f64,
    program_cpu_ns: Option<f64>,
    allocation_share: Option<f64>,
}

#[derive(Serialize)]
struct Advised<'a> {
    covered_share: f64,
    blocks: Vec<Cut>,
    rust: &'a str,
    rust_huge: &'a str,
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
struct Judgement<'a> {
    best: Option<Name>,
    best_ordinary: Option<Name>,
    time: &'static str,
    memory: &'static str,
    text: &'a str,
    mimalloc: Option<&'a str>,
}

#[derive(Serialize)]
struct Checked {
    name: Name,
    #[serde(flatten)]
    found: Verification,
}

/// The report as JSON.
pub(crate) fn findings(findings: &Findings) -> serde_json::Result<String> {
    let Findings { study, settings, outcome, bound, verdict } = findings;
    let report = Report {
        version: VERSION,
        trace: trace(study),
        settings: Settings {
            rounds: settings.rounds,
            touch: settings.touch,
            threads_merged: study.summary.threads > 1,
        },
        allocators: outcome.standings.iter().map(|standing| allocator(findings, standing)).collect(),
        without_huge: outcome.without_huge.as_deref(),
        loop_ns: outcome.bare,
        bound: limit(bound),
        advice: advised(&study.advice),
        verdict: Judgement {
            best: verdict.best,
            best_ordinary: verdict.best_ordinary,
            time: change(verdict.time),
            memory: change(verdict.memory),
            text: &verdict.text,
            mimalloc: verdict.mimalloc.as_deref(),
        },
    };
    lines(&report)
}

/// The report of a verifying replay as JSON.
pub(crate) fn verified(study: &Study, verified: &[(Name, Verification)]) -> serde_json::Result<String> {
    let verified = verified.iter().map(|&(name, found)| Checked { name, found }).collect();
    lines(&Verified { version: VERSION, trace: trace(study), verified })
}

fn lines(report: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

fn trace(study: &Study) -> Trace<'_> {
    let summary: &Summary = &study.summary;
    Trace {
        program: &study.start.program,
        arguments: &study.start.arguments,
        events: summary.events,
        allocations: summary.allocations,
        resizes: summary.resizes,
        frees: summary.frees,
        requested_bytes: summary.requested,
        peak_bytes: summary.peak_bytes,
        peak_blocks: summary.peak_blocks,
        live_at_end: summary.live_at_end,
        threads: summary.threads,
        cpu_ns: (summary.cpu_ns > 0).then_some(summary.cpu_ns),
        wall_ns: summary.wall_ns,
        ending: match summary.ending {
            Ending::Exited => "exited",
            Ending::Cut => "cut",
            Ending::Full => "full",
            Ending::Stopped => "stopped",
        },
        stopped: (!summary.stopped.is_empty()).then_some(summary.stopped.as_str()),
        allocator: (!summary.allocator.is_empty()).then_some(summary.allocator.as_str()),
    }
}

fn allocator(findings: &Findings, standing: &Standing) -> Allocator {
    let Findings { study, outcome, bound, .. } = findings;
    let total = Spread::of(&standing.times);
    let peak = (!standing.peaks.is_empty()).then(|| Spread::of(&standing.peaks));
    let glibc = outcome.of(Name::Glibc).unwrap_or(standing);
    let ratio = |ours: &[f64], theirs: &[f64]| {
        let theirs = Spread::of(theirs).median;
        (theirs > 0.0).then(|| Spread::of(ours).median / theirs)
    };
    let faster = Spread::difference(&glibc.times, &standing.times);
    let stock = standing.stock;
    Allocator {
        name: standing.name,
        block_sizes: standing.name.is_advised().then(|| study.advice.sizes()),
        ns_per_event: total.over(study.summary.events as f64),
        total_ns: total,
        rounds_ns: standing.times.clone(),
        first_ns: standing.first,
        time_vs_glibc: ratio(&standing.times, &glibc.times),
        time_differs: faster.is_clear(),
        peak_resident_bytes: peak,
        memory_vs_glibc: ratio(&standing.peaks, &glibc.peaks),
        memory_differs: Spread::difference(&glibc.peaks, &standing.peaks).is_clear(),
        written_bytes: stock.written,
        handed_out_bytes: stock.handed_out,
        internal_waste_bytes: stock.handed_out as i64 - stock.written as i64,
        external_waste_bytes: peak.map(|peak| peak.median as i64 - stock.handed_out as i64),
        gain_share: bound.share(faster.median),
    }
}

fn limit(bound: &Bound) -> Limit {
    Limit {
        allocation_ns: bound.allocation,
        recording_ns: bound.recording,
        program_cpu_ns: bound.program,
        allocation_share: bound.share(bound.allocation),
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
        rust: &advice.rust,
        rust_huge: &advice.rust_huge,
    }
}

fn change(change: Change) -> &'static str {
    match change {
        Change::Less(_) => "less",
        Change::More(_) => "more",
        Change::Same => "same",
    }
}
