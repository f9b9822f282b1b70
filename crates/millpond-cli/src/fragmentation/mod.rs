//! Fragmentation: where the live blocks of a heap are over time, how full their pages are, and which call sites keep pages
//! that are otherwise nearly empty. For the heap of the recorded program, if addresses were recorded, and for each
//! allocator in a replay.

mod grid;
mod pages;
mod recorded;
mod state;

use std::collections::HashMap;

use anyhow::Result;
use foldhash::fast::FixedState;
use millpond_trace::{Reader, analysis::Timeline};

use self::{grid::GridBuilder, recorded::Recorded};
pub(crate) use self::{
    grid::{Cell, Grid},
    state::State,
};
use crate::{
    analysis::Analysis,
    replay::{Located, Name, Resident},
};

/// Max number of moments.
const MOMENTS: usize = 64;
/// Max bytes that say where all blocks of one heap are at all moments; with more blocks, there are fewer moments.
const MOST_PLACES: u64 = 2 << 30;
const PLACE: u64 = 16;
/// A heap is fragmented if pages that are at most two thirds full have at least this many free bytes,
const LEAST_PINNED: u64 = 64 << 10;
/// at least this share of the bytes of all pages with live blocks at that moment,
const LEAST_SHARE: f64 = 0.2;
/// and at least this share of the most that these ever have.
const LEAST_OF_MOST: f64 = 0.05;

/// A moment at which heaps are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Nanoseconds since recording began.
    pub(crate) time: u64,
    /// Number of events before it.
    pub(crate) events: u64,
}

/// A heap over time.
#[derive(Debug)]
pub(crate) struct Heap {
    /// The allocator that was replayed; `None` is the heap of the program itself.
    pub(crate) allocator: Option<Name>,
    /// Its name for display.
    pub(crate) title: String,
    /// The heap at each moment.
    pub(crate) states: Vec<State>,
    pub(crate) grid: Grid,
}

/// The call site of each stack that has one.
pub(crate) type SiteOf = HashMap<u32, u32, FixedState>;

impl Heap {
    /// Returns the moment at which the heap is most fragmented; `None` if it never is.
    pub(crate) fn worst(&self) -> Option<usize> {
        let most = self.states.iter().map(|state| state.page_bytes).max()? as f64;
        let worst = (0..self.states.len()).max_by_key(|&at| self.states[at].pinned_bytes)?;
        let State { pinned_bytes, page_bytes, .. } = self.states[worst];
        let pinned = pinned_bytes as f64;
        let counts = pinned >= page_bytes as f64 * LEAST_SHARE && pinned >= most * LEAST_OF_MOST;
        (pinned_bytes >= LEAST_PINNED && counts).then_some(worst)
    }
}

/// Returns the moments of a trace: the ends of equally long spans of time, up to the last event.
pub(crate) fn moments(timeline: &Timeline, slots: u32) -> Vec<Moment> {
    let most = (MOST_PLACES / (PLACE * u64::from(slots.max(1)))).clamp(8, MOMENTS as u64) as usize;
    let per_moment = timeline.bins.len().div_ceil(most).max(1);
    let (mut events, mut bins) = (0, 0);
    let moment = |span: &[millpond_trace::analysis::Bin]| {
        bins += span.len() as u64;
        events += span.iter().map(|bin| bin.allocations + bin.frees).sum::<u64>();
        Moment { time: bins.saturating_mul(timeline.width), events }
    };
    timeline.bins.chunks(per_moment).map(moment).collect()
}

/// Collects the states of a heap.
struct History<'a> {
    site_of: &'a SiteOf,
    states: Vec<State>,
    grid: GridBuilder,
}

impl<'a> History<'a> {
    fn new(site_of: &'a SiteOf) -> Self {
        Self { site_of, states: Vec::new(), grid: GridBuilder::default() }
    }

    /// Adds the next moment.
    fn add(&mut self, blocks: &[Located], resident: Option<&Resident<'_>>) {
        let site = |stack: u32| self.site_of.get(&stack).copied().unwrap_or(state::UNKNOWN);
        let pages = pages::Pages::new(blocks, site, resident);
        self.states.push(State::new(blocks, &pages));
        self.grid.add(&pages);
    }

    fn finish(self, allocator: Option<Name>, title: String) -> Heap {
        Heap { allocator, title, states: self.states, grid: self.grid.finish() }
    }
}

/// Returns the heap of the recorded program, if its trace has addresses.
pub(crate) fn recorded(reader: &mut Reader, moments: &[Moment], site_of: &SiteOf) -> Result<Heap> {
    let mut history = History::new(site_of);
    Recorded::read(reader, moments, |blocks| history.add(blocks, None))?;
    Ok(history.finish(None, "the program itself".into()))
}

/// Returns the heap of each allocator that takes part in a replay.
pub(crate) fn replayed(
    reader: &mut Reader,
    analysis: &Analysis,
    moments: &[Moment],
    site_of: &SiteOf,
) -> Result<Vec<Heap>> {
    let Analysis { study, settings, .. } = analysis;
    let mut histories: Vec<(Name, History<'_>)> = Vec::new();
    let events: Vec<u64> = moments.iter().map(|moment| moment.events).collect();
    study.locate(reader, settings, &events, |moment| {
        if histories.last().is_none_or(|(name, _)| *name != moment.allocator) {
            histories.push((moment.allocator, History::new(site_of)));
        }
        if let Some((_, history)) = histories.last_mut() {
            history.add(&moment.blocks, moment.resident.as_ref());
        }
    })?;
    let heap =
        |(name, history): (Name, History<'_>)| history.finish(Some(name), study.baseline.title_of(name));
    Ok(histories.into_iter().map(heap).collect())
}
