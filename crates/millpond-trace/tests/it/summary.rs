//! Compares the summary and the slots with a recount that is independent of the writer.

use std::collections::{HashMap, HashSet};

use millpond_trace::{At, Op, Outcome, Start, Summary, Writer};

use crate::support::{Random, random_trace, verdict};

#[test]
fn counts_agree_with_a_recount() {
    for seed in 10..16 {
        let trace = random_trace(seed, 20_000);
        let (mut live, mut threads, mut most_live) = (HashMap::new(), HashSet::new(), 0);
        let mut count = Summary::default();
        for event in verdict(trace.file).unwrap() {
            threads.insert(event.thread);
            count.events += 1;
            let grown = match event.op {
                Op::Allocate { slot, size, .. } => {
                    assert_eq!(live.insert(slot, size), None);
                    Some(size)
                }
                Op::Free { slot } => {
                    live.remove(&slot).unwrap();
                    count.frees += 1;
                    None
                }
                Op::Resize { slot, size } => {
                    live.insert(slot, size).unwrap();
                    count.resizes += 1;
                    Some(size)
                }
            };
            if let Some(size) = grown {
                count.allocations += 1;
                count.requested = count.requested.saturating_add(size);
            }
            most_live = most_live.max(live.len());
            let bytes = live.values().sum::<u64>();
            if bytes > count.peak_bytes {
                (count.peak_bytes, count.peak_blocks) = (bytes, live.len() as u64);
            }
        }
        count.live_at_end = live.len() as u64;
        count.slots = most_live as u32;
        count.threads = threads.len() as u32;
        (count.stacks, count.tables) = (trace.summary.stacks, trace.summary.tables);
        assert_eq!(count, trace.summary);
    }
}

#[test]
fn a_new_block_takes_the_slot_freed_last() {
    let mut random = Random(3);
    let mut writer = Writer::new(std::io::sink(), &Start::default()).unwrap();
    let (mut live, mut free, mut fresh) = (Vec::new(), Vec::new(), 0);
    for time in 0..50_000 {
        if live.is_empty() || random.below(100) < 50 {
            let expected = free.pop().unwrap_or_else(|| {
                fresh += 1;
                fresh - 1
            });
            assert_eq!(writer.allocate(At { time, ..At::default() }, 1, 0, false).unwrap(), expected);
            live.push(expected);
        } else {
            let slot = live.swap_remove(random.below(live.len() as u64) as usize);
            writer.free(At { time, ..At::default() }, slot).unwrap();
            free.push(slot);
        }
    }
    assert_eq!(writer.finish(Outcome::default()).unwrap().slots, fresh);
}

#[test]
fn the_peak_is_where_it_is_first_reached() {
    let mut writer = Writer::new(std::io::sink(), &Start::default()).unwrap();
    let slot = writer.allocate(At::default(), 8, 0, false).unwrap();
    writer.free(At::default(), slot).unwrap();
    for size in [0, 4, 4] {
        writer.allocate(At::default(), size, 0, false).unwrap();
    }
    let summary = writer.finish(Outcome::default()).unwrap();
    assert_eq!((summary.peak_bytes, summary.peak_blocks, summary.live_at_end), (8, 1, 3));
}

#[test]
fn sums_stop_at_the_largest_number() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
    for time in 0..3 {
        writer.allocate(At { time, ..At::default() }, u64::MAX, 0, false).unwrap();
    }
    for slot in 0..3 {
        writer.free(At::default(), slot).unwrap();
    }
    let summary = writer.finish(Outcome::default()).unwrap();
    assert_eq!((summary.requested, summary.peak_bytes), (u64::MAX, u64::MAX));
    assert_eq!(verdict(file).unwrap().len(), 6);
}
