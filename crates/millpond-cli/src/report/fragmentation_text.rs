//! Fragmentation of a heap in words.

use super::frames;
use crate::{
    fragmentation::{Heap, Moment, State},
    profile::Site,
    units::{bytes, counted, percent, time},
};

/// How many sites are named.
const SITES: usize = 3;

/// Says whether a heap is fragmented, when, and which call sites keep the pages; and what is resident for nothing.
pub(super) fn fragmentation(heap: &Heap, moments: &[Moment], sites: &[Site]) -> String {
    let mut text = match heap.worst() {
        Some(at) => format!("Fragmented {}: {}", when(at, moments), state(&heap.states[at], sites)),
        None => "Not fragmented: at no moment is much free on pages that are at most two thirds full.".into(),
    };
    let emptiest = (0..heap.states.len()).max_by_key(|&at| heap.states[at].empty_bytes);
    if let Some(at) = emptiest
        && let Some(empty) = heap.states[at].empty_bytes
    {
        text.push(' ');
        let all = heap.states[at].all_bytes();
        text.push_str(&match empty {
            0 => "Every resident page has live blocks at each moment.".into(),
            _ => format!(
                "Resident pages without a live block are at most {}, {} of what is resident then, {}.",
                bytes(empty as f64),
                percent(empty as f64 / all.max(1) as f64),
                when(at, moments)
            ),
        });
    }
    text
}

/// Says when a moment is.
fn when(at: usize, moments: &[Moment]) -> String {
    match moments.get(at) {
        Some(_) if at + 1 == moments.len() => "at the end".into(),
        Some(moment) => format!("after {}", time(moment.time as f64)),
        None => "at some time".into(),
    }
}

/// Says how full the pages are, and who keeps the ones that are nearly empty.
fn state(state: &State, sites: &[Site]) -> String {
    let State { page_bytes, block_bytes, pinned_bytes, .. } = state;
    let rest = page_bytes.saturating_sub(*block_bytes);
    let share = |part: u64, whole: u64| percent(part as f64 / whole.max(1) as f64);
    let mut text = format!(
        "live blocks fill {} of the {} of pages on which they lie. {} of the rest, {}, is on pages that are at most two thirds full",
        share(*block_bytes, *page_bytes),
        bytes(*page_bytes as f64),
        share(*pinned_bytes, rest),
        bytes(*pinned_bytes as f64)
    );
    let alone: Vec<_> = state.by_site.iter().take(SITES).collect();
    if !alone.is_empty() {
        let sum = alone.iter().map(|(_, bytes)| bytes).sum();
        let names: Vec<_> = alone
            .iter()
            .map(|(site, pinned)| format!("{} ({})", name(*site, sites), bytes(*pinned as f64)))
            .collect();
        let verb = if alone.len() == 1 { "keeps" } else { "keep" };
        text.push_str(&format!(
            "; {} alone {verb} {} of that: {}",
            counted(alone.len() as u64, "call site"),
            share(sum, *pinned_bytes),
            names.join(", ")
        ));
    }
    if state.shared_bytes > 0 {
        let shared = share(state.shared_bytes, *pinned_bytes);
        text.push_str(&format!("; {shared} is on pages with blocks of several sites"));
    }
    text.push('.');
    text
}

/// Returns the name of a site.
fn name(site: u32, sites: &[Site]) -> String {
    let first = sites.get(site as usize).map(|site| site.frames.first());
    match first {
        Some(Some(function)) => frames::frame(function),
        Some(None) => "unknown callers".into(),
        None => "sites that are not shown".into(),
    }
}
