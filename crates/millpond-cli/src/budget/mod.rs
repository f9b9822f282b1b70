//! Budgets: what a program may allocate, and whether its recordings keep to that.

mod file;

use std::path::{Path, PathBuf};

use anyhow::Result;
use millpond_trace::{Stacks, Start, Summary, analysis::Analysis};

pub(crate) use self::file::Budget;
use self::file::Matcher;
use crate::{
    compare::{Figure, Span},
    profile::{self, Usage},
    query::{Found, Query},
    symbols::{self, Names},
    trace,
};

/// Call sites with less than this share of all allocations, and of all bytes, are not written to a budget; nor are more
/// sites than this.
const LEAST_SHARE: f64 = 0.01;
const MOST_SITES: usize = 20;
/// The figures of the program and of call sites that are written to a budget: those that do not depend on time, nor on the
/// moment at which most bytes of the program are live.
const TOTAL: [Figure; 4] = [Figure::Allocations, Figure::Bytes, Figure::PeakBytes, Figure::LiveBytes];
const SITE: [Figure; 2] = [Figure::Allocations, Figure::Bytes];

/// Whether a limit is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// In all runs.
    Kept,
    /// In some runs.
    Unclear,
    /// In no run.
    Exceeded,
}

/// A limit, and what was found.
pub(crate) struct Item {
    /// The program or the call stacks that it is about, in words.
    pub(crate) about: String,
    pub(crate) figure: Figure,
    pub(crate) limit: u64,
    pub(crate) found: Span,
    pub(crate) outcome: Outcome,
}

/// The result of a check.
pub(crate) struct Checked {
    pub(crate) budget: PathBuf,
    pub(crate) runs: Vec<Run>,
    pub(crate) items: Vec<Item>,
    /// What stood in the way of more names, in words.
    pub(crate) notes: Vec<String>,
}

impl Checked {
    /// Iterates over the limits with this outcome.
    pub(crate) fn with(&self, outcome: Outcome) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.outcome == outcome)
    }
}

/// A recording.
pub(crate) struct Run {
    pub(crate) command_line: String,
    pub(crate) start: Start,
    pub(crate) summary: Summary,
    analysis: Analysis,
    names: Names,
    stacks: Stacks,
}

impl Run {
    /// Reads a recording.
    fn read(path: &Path, query: Query) -> Result<Self> {
        let Found { reader, analysis, names } = query.read(path)?;
        Ok(Self {
            command_line: trace::command_line(&reader),
            start: reader.start().clone(),
            summary: reader.summary().clone(),
            stacks: reader.tables().stacks.clone(),
            analysis,
            names,
        })
    }

    /// Returns what the call stacks did that each matcher is about.
    fn measure(&self, matchers: &[Matcher]) -> Vec<Usage> {
        let mut usages = vec![Usage::default(); matchers.len()];
        let has_pattern = matchers.iter().any(|matcher| matches!(matcher, Matcher::Pattern(_)));
        for site in self.analysis.sites.iter().filter(|site| site.allocations + site.resizes > 0) {
            let text = has_pattern.then(|| symbols::text(&self.stacks, &self.names, site.stack));
            for (usage, matcher) in usages.iter_mut().zip(matchers) {
                let mut functions = self.names.in_stack(&self.stacks, site.stack);
                let is_meant = match matcher {
                    Matcher::All => true,
                    Matcher::Function(name) => {
                        functions.any(|function| self.names.function(function).name == *name)
                    }
                    Matcher::Pattern(pattern) => pattern.is_match(text.as_deref().unwrap_or_default()),
                };
                if is_meant {
                    usage.add(site);
                }
            }
        }
        usages
    }

    /// Returns the functions of the call sites that a budget is made for, the largest first.
    fn large_sites(&self) -> Vec<String> {
        let sites = profile::sites(&self.analysis.sites, &self.stacks, &self.names).list;
        let large = |part: u64, whole: u64| part as f64 >= whole as f64 * LEAST_SHARE;
        let is_large = |usage: &Usage| {
            large(usage.allocations, self.summary.allocations) || large(usage.bytes, self.summary.requested)
        };
        let large = sites.into_iter().filter(|site| is_large(&site.usage));
        let functions = large.filter_map(|site| site.frames.into_iter().next());
        functions.filter(|function| function.is_named).map(|function| function.name.clone()).collect()
    }
}

/// Checks recordings against a budget.
pub(crate) fn check(path: &Path, traces: &[PathBuf], query: Query) -> Result<Checked> {
    let budget = Budget::read(path)?;
    let needs: Vec<_> = budget.figures().flat_map(Figure::needs).copied().collect();
    let runs = read(traces, Query { needs: &needs, ..query })?;
    let measured = measure(&budget, &runs)?;
    let mut items = Vec::new();
    for ((about, limits), usages) in budget.limits().zip(&measured) {
        for (&figure, &limit) in limits {
            let found = Span::of(usages.iter().map(|usage| figure.of(usage)));
            let outcome = match found {
                Span { most, .. } if most <= limit => Outcome::Kept,
                Span { least, .. } if least <= limit => Outcome::Unclear,
                _ => Outcome::Exceeded,
            };
            items.push(Item { about: trace::printable(&about), figure, limit, found, outcome });
        }
    }
    let mut notes: Vec<_> = runs.iter().flat_map(|run| run.names.notes.clone()).collect();
    notes.sort();
    notes.dedup();
    Ok(Checked { budget: path.to_owned(), runs, items, notes })
}

/// Makes a budget that recordings keep, with a tolerance in percent.
pub(crate) fn make(traces: &[PathBuf], tolerance: f64, query: Query) -> Result<Budget> {
    let runs = read(traces, query)?;
    let mut functions: Vec<String> = Vec::new();
    for function in runs.iter().flat_map(Run::large_sites) {
        if functions.len() < MOST_SITES && !functions.contains(&function) {
            functions.push(function);
        }
    }
    let mut budget = Budget::new(functions);
    let measured = measure(&budget, &runs)?;
    let limit = |figure: Figure, usages: &[Usage]| {
        let found = Span::of(usages.iter().map(|usage| figure.of(usage)));
        let extra = found.width() + (found.most as f64 * tolerance / 100.0) as u64;
        (figure, found.most.saturating_add(extra))
    };
    budget.total = TOTAL.iter().map(|&figure| limit(figure, &measured[0])).collect();
    for (entry, usages) in budget.sites.iter_mut().zip(&measured[1..]) {
        entry.limits = SITE.iter().map(|&figure| limit(figure, usages)).collect();
    }
    Ok(budget)
}

fn read(traces: &[PathBuf], query: Query) -> Result<Vec<Run>> {
    traces.iter().map(|path| Run::read(path, query)).collect()
}

/// Returns for each entry of a budget, the whole program first, what its stacks did in each run.
fn measure(budget: &Budget, runs: &[Run]) -> Result<Vec<Vec<Usage>>> {
    let matchers = budget.matchers()?;
    let by_run: Vec<_> = runs.iter().map(|run| run.measure(&matchers)).collect();
    Ok((0..matchers.len()).map(|entry| by_run.iter().map(|usages| usages[entry]).collect()).collect())
}
