//! What the largest call sites and branches of the tree of stacks did in each span of time, in one more pass over a
//! trace. The memory for it is bounded: everything that is not among the largest is counted together.

mod bins;
mod collector;
mod select;

use anyhow::Result;
use millpond_trace::Reader;

use self::{
    bins::Space,
    collector::{Cell, Collector},
    select::select,
};
pub(crate) use self::{
    bins::{Bin, SIZE_CLASSES},
    collector::Resized,
    select::Unit,
};
use super::Details;
use crate::terminal::Progress;

/// Max number of spans of time.
const BINS: usize = 64;
/// Max number of sizes that are counted each by itself: the most frequent, and those with the most bytes.
const SIZES: usize = 100;
/// Max number of threads that are counted each by itself.
const THREADS: usize = 24;

/// What happened in each span of time.
pub(crate) struct Timed {
    /// The sites that are counted each by itself, as indices into those of the overview. All others are number
    /// `sites.len()`.
    pub(crate) sites: Vec<u32>,
    /// The tree of the largest stacks: parents before children, beginning with the root, which has no frame.
    pub(crate) nodes: Vec<millpond_trace::Node>,
    /// The parts that allocations are attributed to: a site and a node each.
    pub(crate) units: Vec<Unit>,
    /// The sizes that are counted each by itself, ascending.
    pub(crate) sizes: Vec<u64>,
    /// The threads that are counted each by itself. All others are number `threads.len()`.
    pub(crate) threads: Vec<u32>,
    /// Nanoseconds per span, and the spans.
    pub(crate) width: u64,
    pub(crate) bins: Vec<Bin>,
    /// Freed blocks by class of size, class of lifetime and site, in this order; of the sites, those with the most blocks
    /// first.
    pub(crate) cells: Vec<Cell>,
    /// What became of the blocks of each site that were resized.
    pub(crate) resized: Vec<Resized>,
}

/// Reads a trace for the third time.
pub(crate) fn timed(reader: &mut Reader, details: &Details) -> Result<Timed> {
    let selection = select(details, reader);
    let overview = &details.overview;
    let mut sizes: Vec<u64> = overview.sizes.iter().take(SIZES).map(|size| size.size).collect();
    let mut by_bytes: Vec<_> = overview.sizes.iter().collect();
    by_bytes.sort_by_key(|size| (std::cmp::Reverse(size.size.saturating_mul(size.allocations)), size.size));
    sizes.extend(by_bytes.iter().take(SIZES).map(|size| size.size));
    sizes.sort_unstable();
    sizes.dedup();
    let threads: Vec<u32> = overview.threads.iter().take(THREADS).map(|(thread, _)| thread.number).collect();
    let space = Space { units: selection.units.len(), sizes: sizes.len(), threads: threads.len() + 1 };
    let timeline = &details.analysis.timeline;
    let (progress, all) = (Progress::new("reading the trace"), reader.summary().events);
    let mut collector = Collector::new(&selection, &sizes, &threads, space, timeline, reader.summary());
    reader.rewind()?;
    while reader.visit_block(&mut collector)? {
        progress.at(2 * all + collector.events(), 3 * all);
    }
    let (bins, cells, resized) = collector.finish();
    let width = bins::width(timeline);
    let select::Selection { sites, nodes, units, .. } = selection;
    Ok(Timed { sites, nodes, units, sizes, threads, width, bins, cells, resized })
}

impl Timed {
    /// Halves the number of spans of time; returns whether there was more than one.
    pub(crate) fn halve(&mut self) -> bool {
        if self.bins.len() <= 1 {
            return false;
        }
        self.width = self.width.saturating_mul(2);
        let mut merged = Vec::new();
        let mut bins = std::mem::take(&mut self.bins).into_iter();
        while let Some(mut bin) = bins.next() {
            if let Some(next) = bins.next() {
                bin.merge(next);
            }
            merged.push(bin);
        }
        self.bins = merged;
        true
    }
}
