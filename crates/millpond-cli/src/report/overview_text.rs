//! The use of memory as text: the ten largest of everything.

use millpond_trace::{Ending, Lack, Origin, Summary};

use super::{
    about::{self, BOLD, shortened},
    frames, table,
};
use crate::{
    profile::{Heap, Overview, Phase, Site, SizeUse, ThreadUse, Usage},
    trace::{self, Process},
    units::{self, bytes, count, counted, percent},
};

/// How many lines of each kind are shown.
const MOST: usize = 10;
/// Max characters of the command line of a process.
const COMMAND: usize = 50;

/// Returns the report.
pub(crate) fn overview(overview: &Overview) -> String {
    let Overview { summary, threads, sizes, sites, phases, notes, processes, .. } = overview;
    let origin = summary.resources.origin();
    let mut sections = vec![head(overview)];
    if processes.len() > 1 {
        let headings = ["process", "number", "events", "most live", "CPU time", "end"];
        sections.push(titled("Processes, by events", processes, |list| {
            table::render(&headings, list.iter().map(process).collect())
        }));
    }
    if overview.shown.len() == 1 && !origin.has_no(Lack::Threads) {
        let headings = ["thread", "allocations", "bytes", "frees", "of other threads' blocks"];
        sections.push(titled("Threads, by bytes", threads, |list| {
            table::render(&headings, list.iter().map(thread).collect())
        }));
    }
    if !origin.has_no(Lack::Sizes) {
        let left = if summary.ending.is_complete() { "never freed" } else { "not yet freed" };
        let headings = ["size", "allocations", "share", "bytes", most_live(overview), left];
        sections.push(titled("Sizes, by allocations", sizes, |list| {
            table::render(&headings, list.iter().map(|size| self::size(size, summary.allocations)).collect())
        }));
    }
    sections.push(titled("Call sites, by bytes", sites, |list| {
        list.iter().zip(1..).map(|(site, number)| self::site(number, site, summary)).collect()
    }));
    if overview.shown.len() == 1 && !origin.has_no(Lack::Times) {
        let headings = ["from", "to", "allocations", "bytes", "frees", "most live", "live at the end"];
        let has_marks = phases.iter().any(|phase| !phase.name.is_empty());
        let title = if has_marks { "Phases, from mark to mark" } else { "Phases, tenths of the recording" };
        sections
            .push(titled(title, phases, |list| table::render(&headings, list.iter().map(phase).collect())));
    }
    sections.extend(overview.heap.as_ref().map(heap));
    if !notes.is_empty() {
        sections.push(titled("Names that are missing", notes, |list| {
            list.iter().map(|note| format!("  {}\n", trace::printable(note))).collect()
        }));
    }
    sections.join("\n")
}

/// Describes what was recorded.
fn head(overview: &Overview) -> String {
    let Overview { start, summary, processes, shown, .. } = overview;
    let mut parts = match (start.process, start.parent) {
        // Left out of an anonymized trace.
        (0, _) => Vec::new(),
        _ if shown.len() > 1 => Vec::new(),
        (process, 0) => vec![format!("process {process}")],
        (process, parent) => vec![format!("process {process}, child of {parent}")],
    };
    let wall = units::time(summary.wall_ns as f64);
    if shown.len() > 1 {
        parts.push(format!("the longest recorded for {wall}; the peak is that of one process"));
    } else if !summary.resources.origin().has_no(Lack::Times) {
        parts.push(format!("recorded for {wall}"));
    }
    if processes.len() > shown.len() {
        parts.push(format!("{} in the file", counted(processes.len() as u64, "process")));
    }
    let mut lines = Vec::from_iter((!parts.is_empty()).then(|| parts.join("; ")));
    lines.extend(overview.selection.as_ref().map(about::selection));
    about::recording(&overview.command_line, summary, (!lines.is_empty()).then(|| lines.join("\n")))
}

/// Describes what the live blocks take at the peak.
fn heap(heap: &Heap) -> String {
    let more =
        |of: u64| format!("{} more than requested", percent(of as f64 / heap.requested.max(1) as f64 - 1.0));
    let figure = |known: Option<u64>, what: &str| match known {
        Some(known) if known >= heap.requested => format!("{} ({})", bytes(known as f64), more(known)),
        Some(known) => bytes(known as f64),
        None => format!("cannot tell: the trace does not have {what} of all blocks"),
    };
    let lines = [
        ("requested", format!("{} in {}", bytes(heap.requested as f64), counted(heap.blocks, "block"))),
        ("usable", figure(heap.usable, "the usable size")),
        ("on pages", figure(heap.pages, "the address")),
    ];
    let lines: String = lines.map(|(name, text)| format!("  {name:<10} {text}\n")).concat();
    format!("{BOLD}Memory of the live blocks at the peak{BOLD:#}\n{lines}")
}

/// Returns the heading for the most blocks that were live at once.
fn most_live(overview: &Overview) -> &'static str {
    if overview.shown.len() == 1 { "most live" } else { "most live in one" }
}

fn process(process: &Process) -> Vec<String> {
    let known = |number: u64, text: String| if number > 0 { text } else { "?".into() };
    let Process { place, command_line, .. } = process;
    vec![
        format!("@{place} {}", shortened(command_line, COMMAND)),
        known(process.process.into(), process.process.to_string()),
        count(process.events),
        bytes(process.peak_bytes as f64),
        known(process.cpu_ns, units::time(process.cpu_ns as f64)),
        end(process),
    ]
}

/// Describes how a process ended: by its exit status, if that is known.
fn end(process: &Process) -> String {
    match (process.status, process.ending) {
        (Some(status), _) if status & 0x7f == 0 => format!("exit {}", status >> 8 & 0xff),
        (Some(status), _) => format!("signal {}", status & 0x7f),
        (None, Ending::Exited) => "exited".into(),
        (None, Ending::Cut) => "killed or _exit".into(),
        (None, Ending::Full | Ending::Stopped) => "not recorded".into(),
    }
}

/// Formats the first ten under a title that says how many there are.
fn titled<T>(title: &str, all: &[T], format: impl Fn(&[T]) -> String) -> String {
    let list = &all[..all.len().min(MOST)];
    about::title(title, list.len(), all.len()) + &format(list)
}

fn thread((about, done): &(millpond_trace::Thread, ThreadUse)) -> Vec<String> {
    let name = trace::printable(&about.name);
    vec![
        format!("{} {name}", about.number).trim_end().to_owned(),
        count(done.allocations),
        bytes(done.bytes as f64),
        count(done.frees),
        count(done.foreign),
    ]
}

fn size(size: &SizeUse, allocations: u64) -> Vec<String> {
    vec![
        count(size.size),
        count(size.allocations),
        percent(size.allocations as f64 / allocations.max(1) as f64),
        bytes(size.size as f64 * size.allocations as f64),
        count(size.most_live),
        count(size.live_blocks),
    ]
}

/// Formats a site in two lines: figures, and frames.
fn site(number: u32, site: &Site, summary: &Summary) -> String {
    let usage = &site.usage;
    let text = format!(
        "  {number:>2}  {} ({}) in {}\n      ",
        bytes(usage.bytes as f64),
        percent(usage.bytes as f64 / summary.requested.max(1) as f64),
        calls(usage, summary),
    );
    text + &frames::chain(&site.frames, &site.through) + "\n"
}

/// Formats how often a site asked for memory, and what became of its blocks.
fn calls(usage: &Usage, summary: &Summary) -> String {
    let Some(lifetime) = usage.lifetime(summary.wall_ns) else {
        return format!("{} of blocks of other sites", counted(usage.resizes, "resize"));
    };
    let when = if summary.ending.is_complete() { "at the end" } else { "when recording stopped" };
    let left = match usage.live_blocks {
        0 => "none".into(),
        blocks => format!("{} ({})", counted(blocks, "block"), bytes(usage.live_bytes as f64)),
    };
    let allocations = counted(usage.allocations, "allocation");
    if summary.resources.origin() != Origin::Recorded {
        return format!("{allocations}, {left} left {when}");
    }
    let temporary = percent(usage.temporaries as f64 / usage.blocks() as f64);
    format!("{allocations}, {temporary} temporary, {left} left {when}: {}", lifetime)
}

fn phase(phase: &Phase) -> Vec<String> {
    let from = units::time(phase.from as f64);
    vec![
        if phase.name.is_empty() { from } else { format!("{from} {}", trace::printable(&phase.name)) },
        units::time(phase.to as f64),
        count(phase.allocations),
        bytes(phase.bytes as f64),
        count(phase.frees),
        bytes(phase.peak_bytes as f64),
        bytes(phase.live_bytes as f64),
    ]
}
