//! Counts by span of time, without the spans in which nothing happened: flat lists that begin each entry with the number
//! of the span.

use millpond_trace::analysis::HeatMap;

use crate::profile::{Bin, SIZE_CLASSES, Timed};

/// Returns the entries of a series: for each span in which it is not `None`, its number and the values.
fn entries<const N: usize>(bins: &[Bin], mut values: impl FnMut(&Bin) -> Option<[u64; N]>) -> Vec<u64> {
    let mut list = Vec::new();
    for (number, bin) in (0..).zip(bins) {
        if let Some(values) = values(bin) {
            list.push(number);
            list.extend(values);
        }
    }
    list
}

/// Returns the values unless all are zero.
fn unless_zero<const N: usize>(values: [u64; N]) -> Option<[u64; N]> {
    values.iter().any(|&value| value > 0).then_some(values)
}

/// Returns what a unit did: calls, bytes, temporaries, frees, resizes, copied bytes; blocks and bytes live at the end of
/// the span; blocks and bytes live when most bytes of the program are.
pub(super) fn unit(timed: &Timed, unit: usize) -> Vec<u64> {
    entries(&timed.bins, |bin| {
        let did = &bin.units[unit];
        let (end, peak) = (bin.end.units[unit], bin.peak.units[unit]);
        unless_zero([did.calls.count, did.frees, did.resizes.count])?;
        Some([
            did.calls.count,
            did.calls.bytes,
            did.temporaries,
            did.frees,
            did.resizes.count,
            did.resizes.bytes,
            end.count,
            end.bytes,
            peak.count,
            peak.bytes,
        ])
    })
}

/// Returns for each class of size and class of lifetime with freed blocks: both classes, and blocks and bytes by span.
pub(super) fn heat(timed: &Timed) -> Vec<(u64, u64, Vec<u64>)> {
    let cell = |at: usize| {
        let list = entries(&timed.bins, |bin| unless_zero([bin.heat[at].count, bin.heat[at].bytes]));
        ((at / HeatMap::LIFETIMES) as u64, (at % HeatMap::LIFETIMES) as u64, list)
    };
    (0..SIZE_CLASSES * HeatMap::LIFETIMES).map(cell).filter(|(_, _, list)| !list.is_empty()).collect()
}

/// Returns for each class of size with live blocks: the class, and blocks and bytes live at the end of each span.
pub(super) fn live(timed: &Timed) -> Vec<(u64, Vec<u64>)> {
    let class = |at: usize| {
        let list =
            entries(&timed.bins, |bin| unless_zero([bin.end.classes[at].count, bin.end.classes[at].bytes]));
        (at as u64, list)
    };
    (0..SIZE_CLASSES).map(class).filter(|(_, list)| !list.is_empty()).collect()
}

/// Returns for each size: the size, and by span the allocations, and the blocks live at its end and at its peak.
pub(super) fn sizes(timed: &Timed) -> Vec<(u64, Vec<u64>)> {
    let size = |(at, &size): (usize, &u64)| {
        let values = |bin: &Bin| unless_zero([bin.sizes[at], bin.end.sizes[at], bin.peak.sizes[at]]);
        (size, entries(&timed.bins, values))
    };
    timed.sizes.iter().enumerate().map(size).collect()
}

/// Returns for each pair of an allocating and a freeing thread, by their places in the list of threads: blocks and bytes by
/// span.
pub(super) fn flows(timed: &Timed) -> Vec<(u64, u64, Vec<u64>)> {
    let width = timed.threads.len() + 1;
    let pair = |at: usize| {
        let list = entries(&timed.bins, |bin| unless_zero([bin.flows[at].count, bin.flows[at].bytes]));
        ((at / width) as u64, (at % width) as u64, list)
    };
    (0..width * width).map(pair).filter(|(_, _, list)| !list.is_empty()).collect()
}

/// Returns for each class of how often blocks were resized: the class, and by span the blocks that ended.
pub(super) fn chains(timed: &Timed) -> Vec<(u64, Vec<u64>)> {
    let classes = timed.bins.first().map_or(0, |bin| bin.chains.len());
    let class = |at: usize| (at as u64, entries(&timed.bins, |bin| unless_zero([bin.chains[at]])));
    (0..classes).map(class).filter(|(_, list)| !list.is_empty()).collect()
}
