//! The data of a page. `JSON.md` describes them.

use std::{collections::HashMap, rc::Rc};

use foldhash::fast::FixedState;
use millpond_trace::{Sample, analysis::Timeline};
use serde::Serialize;

use super::{
    super::{
        json::{Trace, VERSION, trace},
        overview_json::{Figures, Part, Thread, figures, part, thread},
    },
    Sources,
    advice::Advice,
    entries,
    maps::Maps,
    texts::Texts,
    verdict::Verdict,
};
use crate::{
    profile::{Bin, Details, Overview, Resized, Timed, Usage},
    query::Selection,
    symbols::Function,
};

/// How many threads, phases and marks a page has, and notes.
const MOST: usize = 300;
const NOTES: usize = 30;
/// How many samples of resident memory a page has.
const SAMPLES: usize = 1024;
/// How many sites a cell of the map of sizes and lifetimes leads to.
const CELL: usize = 12;

#[derive(Serialize)]
pub(super) struct Page<'a> {
    version: u32,
    command_line: &'a str,
    trace: Trace<'a>,
    selection: Option<&'a Selection>,
    /// Nanoseconds per span of time, and the max bytes live in each.
    span_ns: u64,
    span_peaks: Vec<u64>,
    timeline: Line,
    /// Time, resident bytes, anonymous resident bytes.
    samples: Vec<(u64, u64, u64)>,
    marks: Vec<(u64, &'a str)>,
    by_phase: Vec<Part<'a>>,
    by_thread: Vec<Thread<'a>>,
    /// Numbers of the threads that `flows` counts each by itself.
    threads: &'a [u32],
    notes: &'a [String],
    all: Counts,
    texts: Vec<String>,
    names_shortened: bool,
    functions: Vec<(u32, u32, u32)>,
    frames: Vec<Vec<u32>>,
    nodes: Vec<(u32, u32)>,
    sites: Vec<Site>,
    units: Vec<(u32, u32, Vec<u64>)>,
    heat: Vec<Cell>,
    live: Vec<(u64, Vec<u64>)>,
    sizes: Vec<(u64, Vec<u64>)>,
    flows: Vec<(u64, u64, Vec<u64>)>,
    chains: Vec<(u64, Vec<u64>)>,
    /// Usable bytes and bytes of pages behind the blocks that are live at the peak of each span; `null` if unknown.
    memory: Vec<(Option<u64>, Option<u64>)>,
    fragmentation: Maps,
    verdict: Option<Verdict>,
    not_replayed: Option<&'a str>,
    advice: Option<Advice>,
}

/// The timeline, by column.
#[derive(Serialize)]
struct Line {
    bin_ns: u64,
    most: Vec<u64>,
    last: Vec<u64>,
    allocations: Vec<u64>,
    frees: Vec<u64>,
}

/// How many of everything the trace has.
#[derive(Serialize)]
struct Counts {
    sites: usize,
    sizes: usize,
    threads: usize,
    phases: usize,
    marks: usize,
    nodes: usize,
}

#[derive(Serialize)]
struct Site {
    #[serde(flatten)]
    figures: Figures,
    through: Vec<u32>,
    frames: Vec<u32>,
    /// Frames that are not in the list.
    more_frames: usize,
    /// Blocks that were resized, resizes, the most of one block, bytes copied; smallest and largest first size and last size.
    resized: Option<[u64; 8]>,
}

/// Class of size, class of lifetime, counts by span, and the sites with the most blocks: site, blocks, bytes.
#[derive(Serialize)]
struct Cell(u64, u64, Vec<u64>, Vec<u64>);

impl<'a> Page<'a> {
    /// Collects the data of a page with names of at most this many characters, and sites of at most this many frames.
    pub(super) fn new(
        sources: &'a Sources<'a>,
        timed: &'a Timed,
        (length, most_frames): (usize, usize),
    ) -> Self {
        let Sources { details, tables, advices, replays, heaps } = sources;
        let overview = &details.overview;
        let mut texts = Texts::new(length);
        let sites = sites(overview, timed, &mut texts, most_frames);
        let advice = advices.as_ref().map(|advices| Advice::new(advices, &mut texts));
        let (nodes, frames) = tree(details, timed, &mut texts);
        let foreign: u64 = overview.threads.iter().map(|(_, done)| done.foreign).sum();
        let units = timed.units.iter().enumerate();
        Self {
            version: VERSION,
            command_line: &overview.command_line,
            trace: trace(&overview.start, &overview.summary, foreign),
            selection: overview.selection.as_ref(),
            span_ns: timed.width,
            span_peaks: timed.bins.iter().map(|bin| bin.peak.bytes).collect(),
            timeline: line(&details.analysis.timeline),
            samples: samples(&tables.samples),
            marks: tables.marks.iter().take(MOST).map(|mark| (mark.time, &*mark.name)).collect(),
            by_phase: overview.phases.iter().take(MOST).map(part).collect(),
            by_thread: overview.threads.iter().take(MOST).map(|(about, done)| thread(about, done)).collect(),
            threads: &timed.threads,
            notes: &overview.notes[..overview.notes.len().min(NOTES)],
            all: Counts {
                sites: overview.sites.len(),
                sizes: overview.sizes.len(),
                threads: overview.threads.len(),
                phases: overview.phases.len(),
                marks: tables.marks.len(),
                nodes: tables.stacks.len(),
            },
            names_shortened: texts.shortened,
            texts: texts.texts,
            functions: texts.functions,
            frames,
            nodes,
            sites,
            units: units.map(|(at, unit)| (unit.site, unit.node, entries::unit(timed, at))).collect(),
            heat: heat(timed),
            live: entries::live(timed),
            sizes: entries::sizes(timed),
            flows: entries::flows(timed),
            chains: entries::chains(timed),
            memory: memory(&timed.bins),
            fragmentation: Maps::new(heaps, overview, timed),
            verdict: replays.analysis.as_ref().map(Verdict::new),
            not_replayed: replays.not_replayed.as_deref(),
            advice,
        }
    }
}

impl Page<'_> {
    /// Returns the bytes of all names.
    pub(super) fn bytes_of_texts(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }
}

/// Returns what the live blocks take at the peak of each span; nothing if no span has that.
fn memory(bins: &[Bin]) -> Vec<(Option<u64>, Option<u64>)> {
    let of_bin = |bin: &Bin| bin.heap.map_or((None, None), |heap| (heap.usable, heap.pages));
    match bins.iter().any(|bin| bin.heap.is_some()) {
        true => bins.iter().map(of_bin).collect(),
        false => Vec::new(),
    }
}

fn line(timeline: &Timeline) -> Line {
    let column = |value: fn(&millpond_trace::analysis::Bin) -> u64| timeline.bins.iter().map(value).collect();
    Line {
        bin_ns: timeline.width,
        most: column(|bin| bin.max),
        last: column(|bin| bin.last),
        allocations: column(|bin| bin.allocations),
        frees: column(|bin| bin.frees),
    }
}

/// Returns the samples with the most resident bytes of groups of equally many.
fn samples(samples: &[Sample]) -> Vec<(u64, u64, u64)> {
    let groups = samples.chunks(samples.len().div_ceil(SAMPLES).max(1));
    let largest = groups.filter_map(|group| group.iter().max_by_key(|sample| sample.resident));
    largest.map(|sample| (sample.time, sample.resident, sample.anonymous)).collect()
}

/// Returns the sites that are counted each by itself, and one that stands for all others.
fn sites(overview: &Overview, timed: &Timed, texts: &mut Texts, most_frames: usize) -> Vec<Site> {
    let (mut others, mut stacks, mut chosen) = (Usage::default(), 0, timed.sites.iter().peekable());
    let mut sites = Vec::new();
    for (number, site) in (0..).zip(&overview.sites) {
        if chosen.next_if(|&&site| site == number).is_none() {
            others.merge(&site.usage);
            stacks += site.stacks;
            continue;
        }
        let mut functions = |functions: &[Rc<Function>]| {
            functions.iter().take(most_frames).map(|function| texts.function(function)).collect::<Vec<_>>()
        };
        sites.push(Site {
            figures: figures(&site.usage, site.stacks, &overview.summary),
            through: functions(&site.through),
            frames: functions(&site.frames),
            more_frames: site.frames.len().saturating_sub(most_frames),
            resized: resized(&timed.resized[sites.len()]),
        });
    }
    sites.push(Site {
        figures: figures(&others, stacks, &overview.summary),
        through: Vec::new(),
        frames: Vec::new(),
        more_frames: 0,
        resized: resized(&timed.resized[sites.len()]),
    });
    sites
}

fn resized(site: &Resized) -> Option<[u64; 8]> {
    let Resized { blocks, resizes, longest, copied, first, last } = *site;
    (blocks > 0).then_some([blocks, resizes, longest, copied, first.0, first.1, last.0, last.1])
}

/// Parent and frame of each node, and the functions of each frame, innermost first.
type Nodes = (Vec<(u32, u32)>, Vec<Vec<u32>>);

/// Returns the tree of stacks.
fn tree(details: &Details, timed: &Timed, texts: &mut Texts) -> Nodes {
    let mut known: HashMap<u32, u32, FixedState> = HashMap::default();
    let mut frames = Vec::new();
    let mut nodes = vec![(0, 0)];
    for node in timed.nodes.iter().skip(1) {
        let frame = *known.entry(node.frame).or_insert_with(|| {
            let functions = details.names.of(node.frame).iter();
            frames
                .push(functions.map(|&function| texts.function(details.names.function(function))).collect());
            frames.len() as u32 - 1
        });
        nodes.push((node.parent, frame));
    }
    (nodes, frames)
}

/// Returns the cells of the map of sizes and lifetimes, each with the sites that have the most blocks in it.
fn heat(timed: &Timed) -> Vec<Cell> {
    let mut cells = timed.cells.iter().peekable();
    let mut cell = |(size, lifetime, list): (u64, u64, Vec<u64>)| {
        let mut sites = Vec::new();
        while let Some(cell) =
            cells.next_if(|cell| (u64::from(cell.size), u64::from(cell.lifetime)) == (size, lifetime))
        {
            if sites.len() < 3 * CELL {
                sites.extend([u64::from(cell.site), cell.blocks.count, cell.blocks.bytes]);
            }
        }
        Cell(size, lifetime, list, sites)
    };
    entries::heat(timed).into_iter().map(&mut cell).collect()
}
