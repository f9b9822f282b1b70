//! Maps of heaps in a report.

use std::path::Path;

use millpond_trace::{At, Detail, FrameKind, Module};
use serde_json::{Value, json};

use super::{embedded, page_with};
use crate::support::{Trace, write_trace_of};

/// Nanoseconds that the programs of these tests ran.
const WALL: u64 = 800_000;

/// Returns what a report says about fragmentation, and all of its data.
fn maps(folder: &Path, options: &[&str], fill: impl FnOnce(&mut Trace)) -> (Value, Value) {
    let trace = folder.join("sample.mpt");
    write_trace_of(&trace, WALL, fill);
    let data = embedded(&page_with(&trace, options));
    (data["fragmentation"].clone(), data)
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

/// Writes 4,000 blocks of each of two call sites in turn, in this many threads, of which those of the second site are
/// freed, if `frees`.
fn planted(trace: &mut Trace, threads: u32, frees: bool) {
    let module = Module { start: 0x1000, end: 0x9000, path: "/opt/sample".into(), ..Module::default() };
    trace.module(module).unwrap();
    let mut site = |address| trace.node(0, address, FrameKind::Return).unwrap();
    let (keeps, drops) = (site(0x1101), site(0x2201));
    let mut dropped = Vec::new();
    for number in 0..4_000 {
        for stack in [keeps, drops] {
            let at = At { time: number * 50, thread: number as u32 / 100 % threads, stack, ..At::default() };
            let slot = trace.allocate(at, 200, 0, false).unwrap();
            if stack == drops && frees {
                dropped.push((slot, at));
            }
        }
    }
    for (number, (slot, at)) in (0..).zip(dropped) {
        trace.free(At { time: 400_000 + number * 50, ..at }, slot).unwrap();
    }
}

/// Checks that a heap has as many live bytes at each moment as the timeline, and its map as many as its figures.
fn check_sums(map: &Value, moments: &[u64], data: &Value) {
    let timeline = &data["timeline"];
    let (width, last) = (timeline["bin_ns"].as_u64().unwrap(), numbers(&timeline["last"]));
    let live: Vec<_> = moments.iter().map(|&moment| last[(moment / width) as usize - 1]).collect();
    assert_eq!(numbers(&map["requested"]), live);
    let row = map["row_bytes"].as_u64().unwrap();
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let columns = map["columns"].as_array().unwrap();
    assert_eq!(columns.len(), moments.len());
    for (column, used) in columns.iter().zip(numbers(&map["in_blocks"])) {
        let column = column.as_str().unwrap();
        let places = column.chars().step_by(2).map(|digit| digits.find(digit).unwrap() as u64);
        // Each digit is rounded up.
        let (rows, drawn) = (column.len() as u64 / 2, places.sum::<u64>() * row / 63);
        assert!((used..=used + rows * row / 63 + 1).contains(&drawn), "{used} {drawn}");
        assert!(rows <= 256);
    }
}

#[test]
fn site_that_keeps_pages_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for threads in [1, 3] {
        let (found, data) = maps(folder.path(), &[], |trace| planted(trace, threads, true));
        let heaps = found["heaps"].as_array().unwrap();
        assert!(heaps.len() >= 4, "{found}");
        assert_eq!(found["not_replayed"], Value::Null);
        for heap in heaps {
            let text = heap["text"].as_str().unwrap();
            assert!(text.starts_with("Fragmented ") && text.contains(": sample+0x100 ("), "{text}");
            assert!(heap["worst"].is_u64());
            check_sums(heap, &numbers(&found["moments_ns"]), &data);
            assert_eq!(numbers(&heap["requested"]).last(), Some(&800_000));
            let last = |field: &str| *numbers(&heap[field]).last().unwrap();
            assert!(last("in_blocks") >= 800_000 && last("in_pages") >= last("in_blocks") * 3 / 2, "{heap}");
            assert!(last("pinned") > 400_000 && last("shared") < last("pinned") / 10, "{heap}");
            // Nearly all is kept by the first site, whose blocks alone are left.
            let pinned = numbers(heap["pinned_by"].as_array().unwrap().last().unwrap());
            let site = &data["sites"][pinned[0] as usize];
            assert_eq!(site["live_blocks"], 4_000);
        }
    }
}

#[test]
fn full_pages_are_not_fragmented() {
    let folder = tempfile::tempdir().unwrap();
    let (found, data) = maps(folder.path(), &[], |trace| planted(trace, 1, false));
    for heap in found["heaps"].as_array().unwrap() {
        assert_eq!(heap["worst"], Value::Null, "{heap}");
        assert!(heap["text"].as_str().unwrap().starts_with("Not fragmented: "), "{heap}");
        check_sums(heap, &numbers(&found["moments_ns"]), &data);
    }
}

#[test]
fn recorded_addresses_are_a_map_of_the_program_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (found, data) = maps(folder.path(), &["--no-replay"], |trace| {
        let stack = trace.node(0, 0x1101, FrameKind::Return).unwrap();
        for number in 0..100 {
            let at = At { time: number * 8_000, stack, ..At::default() };
            trace.allocate(at, 90, 0, false).unwrap();
            // One block on each page, and a gap after fifty pages.
            let address = Some(0x10_0000 + number * 4096 + number / 50 * (1 << 30));
            trace.detail(Detail { address, usable: Some(96), ..Detail::default() }).unwrap();
        }
    });
    let heaps = found["heaps"].as_array().unwrap();
    assert_eq!(heaps.len(), 1);
    let heap = &heaps[0];
    assert_eq!((&heap["allocator"], &heap["empty"]), (&Value::Null, &Value::Null));
    assert_eq!(heap["row_bytes"], 4096);
    check_sums(heap, &numbers(&found["moments_ns"]), &data);
    let last = |field: &str| heap[field].as_array().unwrap().last().unwrap().clone();
    assert_eq!([last("in_blocks"), last("in_pages")], [json!(9_600), json!(409_600)]);
    assert_eq!([last("pinned"), last("shared")], [json!(400_000), json!(0)]);
    assert_eq!(last("pinned_by"), json!([0, 400_000]));
    assert_eq!(last("columns").as_str().unwrap().len(), 200, "a row for each page, and none for the gap");
    assert_eq!(found["not_replayed"], "The report was made with --no-replay.");
}
