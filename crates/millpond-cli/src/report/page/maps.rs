//! Maps of heaps over time.

use anyhow::Result;
use millpond_trace::{Reader, analysis::Analysis};
use serde::Serialize;

use super::{super::fragmentation_text::fragmentation, replays::Replays};
use crate::{
    fragmentation::{self, Cell, Grid, Heap, Moment, State},
    profile::{Details, Overview, Timed},
};

/// The digits of a map: from nothing to all.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The heaps that are drawn.
#[derive(Default)]
pub(super) struct Heaps {
    moments: Vec<Moment>,
    heaps: Vec<Heap>,
    /// Why there is no map of any allocator, in a sentence.
    not_replayed: Option<String>,
}

impl Heaps {
    /// Reads where blocks are: those of the program, if its trace has addresses, and those of a replay. Selected or not,
    /// all blocks count, because they share pages.
    pub(super) fn new(reader: &mut Reader, details: &Details, replays: &Replays) -> Result<Self> {
        let slots = reader.summary().slots;
        if reader.summary().events == 0 {
            return Ok(Self::default());
        }
        let moments = match details.overview.selection {
            None => fragmentation::moments(&details.analysis.timeline, slots),
            Some(_) => fragmentation::moments(&Analysis::read(reader)?.timeline, slots),
        };
        let mut heaps = Vec::new();
        if details.overview.heap.is_some_and(|heap| heap.pages.is_some()) {
            heaps.push(fragmentation::recorded(reader, &moments, &details.site_of)?);
        }
        let mut not_replayed = replays.not_replayed.clone();
        if let Some(analysis) = &replays.analysis {
            match fragmentation::replayed(reader, analysis, &moments, &details.site_of) {
                Ok(replayed) => heaps.extend(replayed),
                Err(error) => not_replayed = Some(format!("The trace was not replayed for maps: {error:#}.")),
            }
        }
        Ok(Self { moments, heaps, not_replayed })
    }
}

#[derive(Serialize)]
pub(super) struct Maps {
    moments_ns: Vec<u64>,
    heaps: Vec<Map>,
    not_replayed: Option<String>,
}

#[derive(Serialize)]
struct Map {
    /// The allocator; `null` is the heap of the program itself.
    allocator: Option<&'static str>,
    title: String,
    text: String,
    worst: Option<usize>,
    row_bytes: u64,
    /// For each moment two digits per row: bytes in live blocks, and bytes of pages that are held.
    columns: Vec<String>,
    requested: Vec<u64>,
    in_blocks: Vec<u64>,
    in_pages: Vec<u64>,
    pinned: Vec<u64>,
    shared: Vec<u64>,
    empty: Option<Vec<u64>>,
    /// For each moment sites, and the bytes that they pin alone.
    pinned_by: Vec<Vec<u64>>,
}

impl Maps {
    pub(super) fn new(heaps: &Heaps, overview: &Overview, timed: &Timed) -> Self {
        let Heaps { moments, heaps, not_replayed } = heaps;
        let map = |heap: &Heap| map(heap, fragmentation(heap, moments, &overview.sites), timed);
        Self {
            moments_ns: moments.iter().map(|moment| moment.time).collect(),
            heaps: heaps.iter().map(map).collect(),
            not_replayed: not_replayed.clone(),
        }
    }
}

fn map(heap: &Heap, text: String, timed: &Timed) -> Map {
    let column = |figure: fn(&State) -> u64| heap.states.iter().map(figure).collect();
    Map {
        allocator: heap.allocator.map(|name| name.text()),
        title: heap.title.clone(),
        text,
        worst: heap.worst(),
        row_bytes: heap.grid.row_bytes,
        columns: columns(&heap.grid),
        requested: column(|state| state.requested_bytes),
        in_blocks: column(|state| state.block_bytes),
        in_pages: column(|state| state.page_bytes),
        pinned: column(|state| state.pinned_bytes),
        shared: column(|state| state.shared_bytes),
        empty: heap.states.iter().map(|state| state.empty_bytes).collect(),
        pinned_by: heap.states.iter().map(|state| pinned_by(state, timed)).collect(),
    }
}

/// Returns sites by their numbers in the page, and bytes.
fn pinned_by(state: &State, timed: &Timed) -> Vec<u64> {
    let number = |site| timed.sites.binary_search(&site).unwrap_or(timed.sites.len());
    state.by_site.iter().flat_map(|&(site, bytes)| [number(site) as u64, bytes]).collect()
}

fn columns(grid: &Grid) -> Vec<String> {
    let digit = |part: u64| {
        let most = DIGITS.len() as u128 - 1;
        // Something is never shown as nothing.
        let place = (u128::from(part) * most).div_ceil(u128::from(grid.row_bytes.max(1)));
        char::from(DIGITS[place.min(most) as usize])
    };
    let cell = |cell: &Cell| [digit(cell.used), digit(cell.held)];
    let column = |column: &Vec<Cell>| column.iter().flat_map(cell).collect();
    grid.columns.iter().map(column).collect()
}
