//! Selection of blocks by the command line: the trace is narrowed to them before anything else reads it.

mod range;
mod read;

use anyhow::{Result, bail, ensure};
use millpond_trace::{Filter, Lack, Lifetimes, Reader, Summary, Thread};
use regex::Regex;

pub(crate) use self::{
    range::{Lifetime, Range, parse_lifetime, parse_sizes, parse_time, parse_times},
    read::{Found, Query},
};
use crate::{
    cli, lacking,
    symbols::{self, Names},
    terminal::Progress,
    trace,
    units::counted,
};

/// The blocks that a report is about, if these are not all.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Selection {
    /// The conditions, as on the command line.
    pub(crate) options: String,
    /// Allocations in the whole trace, counting resizes, and bytes requested by them.
    pub(crate) of_allocations: u64,
    pub(crate) of_bytes: u64,
}

/// Does the same as [`narrow`], and fails if there are no such blocks.
pub(crate) fn narrow_to_some(
    reader: &mut Reader,
    filter: &cli::Filter,
    places: &cli::Places,
) -> Result<Option<Selection>> {
    let selection = narrow(reader, filter, places)?;
    ensure_some(reader.summary(), selection.as_ref())?;
    Ok(selection)
}

/// Fails if the summary of what is selected says that nothing is.
pub(crate) fn ensure_some(summary: &Summary, selection: Option<&Selection>) -> Result<()> {
    if let Some(selection) = selection.filter(|_| summary.events == 0) {
        bail!(
            "none of {} has {}: widen the conditions",
            counted(selection.of_allocations, "allocation"),
            selection.options
        );
    }
    Ok(())
}

/// Returns the selection of several traces from those of some and of one more.
pub(crate) fn together(some: Option<Selection>, more: Option<Selection>) -> Option<Selection> {
    match (some, more) {
        (Some(some), Some(more)) => Some(Selection {
            of_allocations: some.of_allocations + more.of_allocations,
            of_bytes: some.of_bytes.saturating_add(more.of_bytes),
            ..some
        }),
        (some, more) => some.or(more),
    }
}

/// Narrows a trace to the blocks that are selected; returns `None` if all are.
pub(crate) fn narrow(
    reader: &mut Reader,
    filter: &cli::Filter,
    places: &cli::Places,
) -> Result<Option<Selection>> {
    let options = options(filter);
    if options.is_empty() {
        return Ok(None);
    }
    require(reader, filter)?;
    let summary = reader.summary();
    let selection = Selection { options, of_allocations: summary.allocations, of_bytes: summary.requested };
    let events = summary.events;
    let needs_tables = !filter.thread.is_empty() || has_pattern(filter);
    let (before, passes) = if needs_tables { (events, 3) } else { (0, 2) };
    let progress = Progress::new("selecting blocks");
    if needs_tables {
        reader.rewind()?;
        let (mut block, mut read) = (Vec::new(), 0);
        while reader.read(&mut block)? {
            read += block.len() as u64;
            progress.at(read, passes * events);
        }
    }
    let conditions = conditions(reader, filter, places)?;
    reader.narrow(&conditions, |done| progress.at(before + done, passes * events))?;
    Ok(Some(selection))
}

/// Checks that a trace says what the conditions are about.
fn require(reader: &Reader, filter: &cli::Filter) -> Result<()> {
    let has_age = matches!(filter.lifetime, Some(Lifetime::Freed(_)));
    let needs = [
        ("--size", filter.size.is_some(), Lack::Sizes),
        ("--lifetime", filter.lifetime.is_some(), Lack::Lifetimes),
        ("--lifetime", has_age, Lack::Times),
        ("--thread", !filter.thread.is_empty(), Lack::Threads),
        ("--time", filter.time.is_some(), Lack::Times),
    ];
    let used = needs.into_iter().filter(|(_, is_used, _)| *is_used);
    used.map(|(option, _, lack)| (option, lack))
        .try_for_each(|(option, lack)| lacking::require(reader, option, &[lack]))
}

/// Returns the conditions as on the command line.
fn options(filter: &cli::Filter) -> String {
    let cli::Filter { site, not_site, size, lifetime, thread, time } = filter;
    let patterns = |option: &str, patterns: &[Regex]| -> Vec<String> {
        patterns.iter().map(|pattern| format!("{option} '{}'", trace::printable(pattern.as_str()))).collect()
    };
    let mut options = patterns("--site", site);
    options.extend(patterns("--not-site", not_site));
    options.extend(size.as_ref().map(|size| format!("--size {size}")));
    options.extend(lifetime.as_ref().map(|lifetime| format!("--lifetime {lifetime}")));
    options.extend((!thread.is_empty()).then(|| format!("--thread {}", trace::printable(&thread.join(",")))));
    options.extend(time.as_ref().map(|time| format!("--time {time}")));
    options.join(" ")
}

/// Returns why advice for selected blocks cannot be replayed, in a sentence; `None` if it can: a replay changes call sites,
/// with all of their blocks.
pub(crate) fn not_replayed(filter: &cli::Filter) -> Option<String> {
    let others = cli::Filter { site: Vec::new(), not_site: Vec::new(), ..filter.clone() };
    let others = options(&others);
    (!others.is_empty()).then(|| {
        format!("The advice is not replayed, because {others} selects only some of the blocks of a call site, and a replay would change all of them: leave it out, or select with --site.")
    })
}

fn has_pattern(filter: &cli::Filter) -> bool {
    !filter.site.is_empty() || !filter.not_site.is_empty()
}

/// Returns the conditions in the numbers of a trace, whose tables must be complete.
fn conditions(reader: &Reader, filter: &cli::Filter, places: &cli::Places) -> Result<Filter> {
    let tables = reader.tables();
    let range = |range: &Option<Range>| range.as_ref().map(|range| range.range.clone());
    let stacks = has_pattern(filter).then(|| {
        let names = Names::new(tables, places);
        let counts = |text: &str| {
            filter.site.iter().all(|site| site.is_match(text))
                && !filter.not_site.iter().any(|site| site.is_match(text))
        };
        let stacks = 0..tables.stacks.len() as u32;
        stacks.map(|stack| counts(&symbols::text(&tables.stacks, &names, stack))).collect()
    });
    let threads = filter.thread.iter().map(|name| threads_called(name, &tables.threads, reader));
    let threads = threads.collect::<Result<Vec<_>>>()?.concat();
    Ok(Filter {
        sizes: range(&filter.size),
        times: range(&filter.time),
        threads: (!filter.thread.is_empty()).then_some(threads),
        stacks,
        lifetimes: filter.lifetime.as_ref().map(|lifetime| match lifetime {
            Lifetime::Freed(range) => Lifetimes::Freed(range.range.clone()),
            Lifetime::Kept => Lifetimes::Kept,
        }),
    })
}

/// Returns the numbers of the threads with this name, or this number.
fn threads_called(name: &str, threads: &[Thread], reader: &Reader) -> Result<Vec<u32>> {
    let count = reader.summary().threads;
    if let Some(number) = name.parse().ok().filter(|&number: &u32| number < count) {
        return Ok(vec![number]);
    }
    let called = threads.iter().filter(|thread| thread.name == name && thread.number < count);
    let numbers: Vec<_> = called.map(|thread| thread.number).collect();
    ensure!(
        !numbers.is_empty(),
        "there is no thread {name:?}: give a number below {count}, or a name that `millpond show` lists"
    );
    Ok(numbers)
}
