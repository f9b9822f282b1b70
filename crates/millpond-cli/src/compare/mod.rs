//! Comparison of recordings: which call sites of a program allocate more or less than before, and whether that is more
//! than the noise of equal runs.
//!
//! A site is matched by the name of its function, inlined or not, because addresses, build ids and lines differ between
//! builds. Functions that allocate for others are skipped in all recordings if they are in one, so that a site is the
//! same in all.

mod change;
mod run;
mod tree;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    rc::Rc,
};

use anyhow::Result;
use millpond_trace::Origin;

use self::run::Common;
pub(crate) use self::{
    change::{Change, Figure, Span, Verdict},
    run::Run,
    tree::Tree,
};
use crate::{
    profile::{Lifetime, Usage},
    query::Query,
    symbols::Function,
};

/// Two groups of equal runs, compared.
pub(crate) struct Comparison {
    pub(crate) before: Vec<Run>,
    pub(crate) after: Vec<Run>,
    pub(crate) tree: Tree,
    /// The figures of the whole program, in the order of [`Figure::ALL`].
    pub(crate) total: Changes,
    /// The figures of all sites; those that changed come first, the largest changes before the others.
    pub(crate) sites: Vec<Site>,
    /// What stood in the way of more names, in words.
    pub(crate) notes: Vec<String>,
}

impl Comparison {
    /// Returns all call stacks with a number for each side: the mean of its runs.
    pub(crate) fn stacks(&self, number: impl Fn(&Usage) -> u64) -> Vec<(u32, u64, u64)> {
        let mean = |runs: &[Run], stack: u32| {
            let sum: u64 = runs.iter().filter_map(|run| run.stacks.get(&stack)).map(&number).sum();
            sum.div_ceil(runs.len().max(1) as u64)
        };
        let runs = self.before.iter().chain(&self.after);
        let stacks: BTreeSet<u32> = runs.flat_map(|run| run.stacks.keys().copied()).collect();
        let numbers =
            stacks.into_iter().map(|stack| (stack, mean(&self.before, stack), mean(&self.after, stack)));
        numbers.filter(|&(_, before, after)| before > 0 || after > 0).collect()
    }
}

/// A change of each of [`Figure::ALL`]; `None` if a trace was converted from a file that does not say the figure.
pub(crate) type Changes = [Option<Change>; Figure::ALL.len()];

/// A call site before and after.
pub(crate) struct Site {
    /// The function that it is in, and those that had called it, up to the outermost, in the stack with the most bytes of
    /// all runs; empty if the callers are unknown.
    pub(crate) frames: Vec<Rc<Function>>,
    pub(crate) changes: Changes,
    /// The number of runs that have it.
    pub(crate) runs_before: usize,
    pub(crate) runs_after: usize,
    /// The class of the lifetimes of its blocks, if all traces are recordings and agree.
    pub(crate) lifetime_before: Option<Lifetime>,
    pub(crate) lifetime_after: Option<Lifetime>,
}

impl Site {
    pub(crate) fn is_changed(&self) -> bool {
        self.changes.iter().flatten().any(Change::is_clear)
    }

    pub(crate) fn is_same(&self) -> bool {
        self.changes.iter().flatten().all(|change| change.change == Verdict::Same)
    }
}

/// Reads recordings and compares them.
pub(crate) fn compare(before: &[PathBuf], after: &[PathBuf], query: Query) -> Result<Comparison> {
    let mut common = Common { tree: Tree::new(), skipped: HashSet::default(), notes: Vec::new() };
    let mut read = |paths: &[PathBuf]| -> Result<Vec<Run>> {
        paths.iter().map(|path| Run::read(path, query, &mut common)).collect()
    };
    let (before, after) = (read(before)?, read(after)?);
    let Common { tree, skipped, mut notes } = common;
    notes.sort();
    notes.dedup();
    let runs = before.len().max(after.len());
    let whole = |runs: &[Run]| runs.iter().map(|run| run.total).collect::<Vec<_>>();
    let all = || before.iter().chain(&after);
    let origins: Vec<_> = all().map(|run| run.summary.resources.origin()).collect();
    let changes = |before: &[Usage], after: &[Usage]| changes(before, after, runs, &origins);
    let total = changes(&whole(&before), &whole(&after));
    let mut groups: BTreeMap<Option<u32>, Group> = BTreeMap::new();
    for (number, run) in all().enumerate() {
        for (&stack, usage) in &run.stacks {
            let telling = tree.in_stack(stack).find(|function| !skipped.contains(function));
            let telling = telling.or_else(|| tree.in_stack(stack).last());
            let group = groups.entry(telling).or_default();
            group.runs.resize(before.len() + after.len(), Usage::default());
            group.runs[number].merge(usage);
            *group.stacks.entry(stack).or_default() += usage.bytes;
        }
    }
    let walls: Vec<_> = all().map(|run| run.summary.wall_ns).collect();
    let is_recorded = origins.iter().all(|&origin| origin == Origin::Recorded);
    let lifetime = |usages: &[Usage], walls: &[u64]| lifetime(usages, walls).filter(|_| is_recorded);
    let site = |(telling, group): (Option<u32>, Group)| {
        let (old, new) = group.runs.split_at(before.len());
        let has = |runs: &[Usage]| runs.iter().filter(|usage| usage.allocations > 0).count();
        let largest = group.stacks.iter().max_by_key(|(_, bytes)| **bytes);
        let stack = largest.map_or(0, |(&stack, _)| stack);
        let skipped = tree.in_stack(stack).position(|function| Some(function) == telling);
        Site {
            frames: tree.functions(stack).skip(skipped.unwrap_or(0)).cloned().collect(),
            changes: changes(old, new),
            runs_before: has(old),
            runs_after: has(new),
            lifetime_before: lifetime(old, &walls[..before.len()]),
            lifetime_after: lifetime(new, &walls[before.len()..]),
        }
    };
    let mut sites: Vec<_> = groups.into_iter().map(site).collect();
    let weight = |site: &Site| (!site.is_changed(), -share(&site.changes, &total));
    sites.sort_by(|one, other| {
        let ((one, large), (other, small)) = (weight(one), weight(other));
        one.cmp(&other).then(large.total_cmp(&small))
    });
    Ok(Comparison { before, after, tree, total, sites, notes })
}

/// The stacks of a site.
#[derive(Default)]
struct Group {
    /// What they did in each run.
    runs: Vec<Usage>,
    /// The bytes of each, in all runs.
    stacks: BTreeMap<u32, u64>,
}

/// Compares all figures that traces of these origins have.
fn changes(before: &[Usage], after: &[Usage], runs: usize, origins: &[Origin]) -> Changes {
    Figure::ALL.map(|figure| {
        let lacks = |origin: &Origin| figure.needs().iter().any(|&lack| origin.has_no(lack));
        let span = |usages: &[Usage]| Span::of(usages.iter().map(|usage| figure.of(usage)));
        (!origins.iter().any(lacks)).then(|| Change::new(figure, span(before), span(after), runs))
    })
}

/// Returns the class of the lifetimes if it is the same in all runs.
fn lifetime(usages: &[Usage], walls: &[u64]) -> Option<Lifetime> {
    let mut classes = usages.iter().zip(walls).map(|(usage, &wall)| usage.lifetime(wall));
    let first = classes.next().flatten();
    first.filter(|_| classes.all(|class| class == first))
}

/// Returns the largest change as a share of the figure of the whole program.
fn share(changes: &Changes, total: &Changes) -> f64 {
    let shares = changes.iter().flatten().zip(total.iter().flatten()).map(|(change, total)| {
        let whole = total.before.middle().max(total.after.middle()).max(1.0);
        if change.is_clear() { change.difference().abs() / whole } else { 0.0 }
    });
    shares.fold(0.0, f64::max)
}
