//! The verdict of a replay, and what it is based on.

use serde::Serialize;

use super::super::text::{NOTICED, changed, same_or_ratio};
use crate::{
    analysis::{Analysis, Change},
    estimate::Estimate,
    replay::Outcome,
};

#[derive(Serialize)]
pub(super) struct Verdict {
    text: String,
    locality: Option<String>,
    mimalloc: Option<String>,
    /// The allocator that the others are compared with.
    baseline: String,
    rounds: u32,
    /// Nanoseconds of CPU time that allocation takes, and that the program took without the cost of recording.
    allocation_ns: Estimate,
    program_ns: Option<Estimate>,
    allocators: Vec<Allocator>,
    without_huge: Option<String>,
    is_debug: bool,
}

#[derive(Serialize)]
struct Allocator {
    title: String,
    ns_per_event: Option<Estimate>,
    total_ns: Option<f64>,
    peak_resident_bytes: Option<f64>,
    /// Time and memory in comparison with the baseline, in words; empty for the baseline itself.
    time: String,
    memory: String,
    /// By how much the program's CPU time changes, in words.
    program: String,
}

impl Verdict {
    pub(super) fn new(analysis: &Analysis) -> Self {
        let Analysis { settings, comparison, bound, verdict, .. } = analysis;
        Self {
            text: verdict.text.clone(),
            locality: verdict.locality.clone(),
            mimalloc: verdict.mimalloc.clone(),
            baseline: comparison.baseline.title(),
            rounds: settings.rounds,
            allocation_ns: bound.allocation,
            program_ns: bound.program,
            allocators: comparison.outcomes.iter().map(|outcome| allocator(analysis, outcome)).collect(),
            without_huge: comparison.without_huge.clone(),
            is_debug: cfg!(debug_assertions),
        }
    }
}

fn allocator(analysis: &Analysis, outcome: &Outcome) -> Allocator {
    let Analysis { study, comparison, bound, .. } = analysis;
    let total = outcome.total();
    let peak = Estimate::of(&outcome.peaks).median;
    let baseline = comparison.of_baseline().filter(|baseline| baseline.name != outcome.name);
    let program = match (baseline, bound.program.filter(|_| bound.doubt.is_none())) {
        (None, _) => String::new(),
        (Some(_), None) => "cannot tell".into(),
        (Some(baseline), Some(cpu)) => {
            let difference = Estimate::difference(&outcome.times, &baseline.times);
            changed(Change::new(difference, cpu.median * NOTICED), bound)
        }
    };
    Allocator {
        title: comparison.baseline.title_of(outcome.name),
        ns_per_event: total.map(|total| total.over(study.summary.events as f64)),
        total_ns: total.map(|total| total.median),
        peak_resident_bytes: (!outcome.peaks.is_empty()).then_some(peak),
        time: same_or_ratio(outcome, comparison, |outcome| &outcome.times),
        memory: same_or_ratio(outcome, comparison, |outcome| &outcome.peaks),
        program,
    }
}
