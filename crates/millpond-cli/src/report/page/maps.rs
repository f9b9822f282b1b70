//! Maps of heaps over time.

use serde::Serialize;

use super::super::fragmentation_text::fragmentation;
use crate::{
    fragmentation::{Cell, Grid, Heap, Moment, State},
    profile::{Overview, Timed},
};

/// The digits of a map: from nothing to all.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The heaps that are drawn.
#[derive(Default)]
pub(super) struct Heaps {
    pub(super) moments: Vec<Moment>,
    pub(super) heaps: Vec<Heap>,
    /// Why there is no map of any allocator, in a sentence.
    pub(super) not_replayed: Option<String>,
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
