//! The use of memory in JSON. Its fields are described in `JSON.md`; a test compares the two.

use std::rc::Rc;

use millpond_trace::{Lack, Origin, Summary};
use serde::Serialize;

use super::json::{Trace, VERSION, ending, lines, trace};
use crate::{
    profile::{Heap, Lifetime, Overview, Phase, Site, SizeUse, ThreadUse, Usage},
    query::Selection,
    symbols::Function,
    trace::Process,
};

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    trace: Trace<'a>,
    processes: Vec<Member<'a>>,
    selection: Option<&'a Selection>,
    by_thread: Vec<Thread<'a>>,
    by_size: Vec<Size>,
    by_site: Vec<Place<'a>>,
    by_phase: Vec<Part<'a>>,
    heap: Option<Blocks>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Member<'a> {
    place: usize,
    shown: bool,
    name: &'a str,
    command_line: &'a str,
    process: Option<u32>,
    parent: Option<u32>,
    unix_ns: Option<u64>,
    wall_ns: Option<u64>,
    cpu_ns: Option<u64>,
    events: u64,
    allocations: u64,
    peak_bytes: Option<u64>,
    ending: &'static str,
    exit_status: Option<u64>,
    trace_bytes: u64,
}

/// What a thread did.
#[derive(Serialize)]
pub(super) struct Thread<'a> {
    thread: u32,
    name: Option<&'a str>,
    from_ns: u64,
    to_ns: Option<u64>,
    allocations: u64,
    bytes: u64,
    frees: u64,
    foreign_calls: u64,
}

#[derive(Serialize)]
struct Size {
    size_bytes: u64,
    allocations: u64,
    most_live: u64,
    live_blocks: u64,
}

#[derive(Serialize)]
struct Place<'a> {
    #[serde(flatten)]
    figures: Figures,
    through: Vec<Frame<'a>>,
    frames: Vec<Frame<'a>>,
}

/// What a site allocated, and what became of it.
#[derive(Serialize)]
pub(super) struct Figures {
    allocations: u64,
    resizes: u64,
    bytes: u64,
    live_blocks: u64,
    live_bytes: u64,
    blocks_at_peak: Option<u64>,
    bytes_at_peak: Option<u64>,
    temporaries: Option<u64>,
    freed_elsewhere: Option<u64>,
    median_lifetime_ns: Option<u64>,
    lifetime: Option<Lifetime>,
    stacks: u64,
}

#[derive(Serialize)]
pub(super) struct Frame<'a> {
    function: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
}

#[derive(Serialize)]
struct Blocks {
    blocks: u64,
    requested_bytes: u64,
    usable_bytes: Option<u64>,
    page_bytes: Option<u64>,
}

/// What happened in a phase.
#[derive(Serialize)]
pub(super) struct Part<'a> {
    name: Option<&'a str>,
    from_ns: u64,
    to_ns: u64,
    allocations: u64,
    bytes: u64,
    frees: u64,
    peak_bytes: u64,
    live_bytes: u64,
}

/// Returns the report as JSON.
pub(crate) fn overview(overview: &Overview) -> serde_json::Result<String> {
    let Overview { start, summary, threads, sizes, sites, phases, notes, processes, shown, .. } = overview;
    let foreign: u64 = threads.iter().map(|(_, done)| done.foreign).sum();
    let origin = summary.resources.origin();
    let has = |lack| !origin.has_no(lack);
    lines(&Report {
        version: VERSION,
        trace: trace(start, summary, foreign),
        processes: processes.iter().map(|process| member(process, shown)).collect(),
        selection: overview.selection.as_ref(),
        by_thread: threads
            .iter()
            .filter(|_| has(Lack::Threads))
            .map(|(about, done)| thread(about, done))
            .collect(),
        by_size: sizes.iter().filter(|_| has(Lack::Sizes)).map(size).collect(),
        by_site: sites.iter().map(|site| place(site, summary)).collect(),
        by_phase: phases.iter().filter(|_| has(Lack::Times)).map(part).collect(),
        heap: overview.heap.as_ref().map(blocks),
        notes,
    })
}

fn member<'a>(process: &'a Process, shown: &[usize]) -> Member<'a> {
    let has = |lack| !process.origin.has_no(lack);
    Member {
        place: process.place,
        shown: shown.contains(&process.place),
        name: &process.name,
        command_line: &process.command_line,
        process: (process.process > 0).then_some(process.process),
        parent: (process.parent > 0).then_some(process.parent),
        unix_ns: (process.unix_ns > 0).then_some(process.unix_ns),
        wall_ns: has(Lack::Times).then_some(process.wall_ns),
        cpu_ns: (process.cpu_ns > 0).then_some(process.cpu_ns),
        events: process.events,
        allocations: process.allocations,
        peak_bytes: has(Lack::Peak).then_some(process.peak_bytes),
        ending: ending(process.ending),
        exit_status: process.status,
        trace_bytes: process.bytes,
    }
}

fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Describes a thread.
pub(super) fn thread<'a>(about: &'a millpond_trace::Thread, done: &ThreadUse) -> Thread<'a> {
    Thread {
        thread: about.number,
        name: known(&about.name),
        from_ns: about.started,
        to_ns: about.ended,
        allocations: done.allocations,
        bytes: done.bytes,
        frees: done.frees,
        foreign_calls: done.foreign,
    }
}

fn size(size: &SizeUse) -> Size {
    Size {
        size_bytes: size.size,
        allocations: size.allocations,
        most_live: size.most_live,
        live_blocks: size.live_blocks,
    }
}

fn place<'a>(site: &'a Site, summary: &Summary) -> Place<'a> {
    Place {
        figures: figures(&site.usage, site.stacks, summary),
        through: frames(&site.through),
        frames: frames(&site.frames),
    }
}

/// Returns the figures of a site with this number of stacks.
pub(super) fn figures(usage: &Usage, stacks: u64, summary: &Summary) -> Figures {
    let (wall_ns, origin) = (summary.wall_ns, summary.resources.origin());
    let (has_peak, is_recorded) = (!origin.has_no(Lack::Peak), origin == Origin::Recorded);
    Figures {
        allocations: usage.allocations,
        resizes: usage.resizes,
        bytes: usage.bytes,
        live_blocks: usage.live_blocks,
        live_bytes: usage.live_bytes,
        blocks_at_peak: has_peak.then_some(usage.peak_blocks),
        bytes_at_peak: has_peak.then_some(usage.peak_bytes),
        temporaries: is_recorded.then_some(usage.temporaries),
        freed_elsewhere: is_recorded.then_some(usage.remote_frees),
        median_lifetime_ns: usage.median_lifetime_ns(wall_ns).filter(|_| is_recorded),
        lifetime: usage.lifetime(wall_ns).filter(|_| is_recorded),
        stacks,
    }
}

/// Describes functions.
pub(super) fn frames(functions: &[Rc<Function>]) -> Vec<Frame<'_>> {
    let frames = functions.iter().map(|function| Frame {
        function: &function.name,
        file: known(&function.file),
        line: (function.line > 0).then_some(function.line),
    });
    frames.collect()
}

fn blocks(heap: &Heap) -> Blocks {
    Blocks {
        blocks: heap.blocks,
        requested_bytes: heap.requested,
        usable_bytes: heap.usable,
        page_bytes: heap.pages,
    }
}

/// Describes a phase.
pub(super) fn part(phase: &Phase) -> Part<'_> {
    Part {
        name: known(&phase.name),
        from_ns: phase.from,
        to_ns: phase.to,
        allocations: phase.allocations,
        bytes: phase.bytes,
        frees: phase.frees,
        peak_bytes: phase.peak_bytes,
        live_bytes: phase.live_bytes,
    }
}
