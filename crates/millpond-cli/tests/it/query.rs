//! Selection of blocks, compared with traces that have no other blocks.

use std::{collections::BTreeMap, path::Path};

use millpond_trace::{At, FrameKind, Thread};
use serde_json::Value;

use crate::support::{Trace, millpond, refusal, stdout, write_trace_of};

/// A block of a program: its stack, threads, times and sizes.
struct Block {
    stack: usize,
    thread: u32,
    born: u64,
    size: u64,
    resized: Option<u64>,
    died: Option<u64>,
}

/// Addresses of the frames of four stacks, innermost first.
const STACKS: [&[u64]; 4] = [&[0x1001, 0x9001], &[0x1001, 0x8001], &[0x2001, 0x9001], &[0x3001]];
const END: u64 = 1_000_000;

/// The blocks of a program that tests select from: 2,000, of every kind.
fn blocks() -> Vec<Block> {
    let mut state = 1_u64;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let block = |index: u64| {
        let (born, age) = (index * 450, 1 + below(100_000) / (1 + below(1000)));
        Block {
            stack: below(4) as usize,
            // The first block is of thread 0, the second of thread 1.
            thread: if index < 2 { index as u32 } else { below(2) as u32 },
            born,
            size: 1 << below(12),
            resized: (below(5) == 0).then(|| below(5000)),
            died: (below(8) > 0).then_some(born + age),
        }
    };
    (0..2000).map(block).collect()
}

/// Writes a trace of some blocks, with all stacks and threads.
fn write(path: &Path, blocks: &[&Block]) {
    write_trace_of(path, END, |trace: &mut Trace| {
        let stacks = STACKS.map(|addresses| {
            let outwards = addresses.iter().rev();
            outwards.fold(0, |parent, &address| trace.node(parent, address, FrameKind::Return).unwrap())
        });
        for (number, name) in ["main", "worker"].into_iter().enumerate() {
            trace.thread(Thread { number: number as u32, name: name.into(), ..Thread::default() });
        }
        let mut events = BTreeMap::new();
        for (number, block) in blocks.iter().enumerate() {
            events.insert((block.born, number, 0), block);
            if block.resized.is_some() {
                events.insert((block.born, number, 1), block);
            }
            if let Some(died) = block.died {
                events.insert((died, number, 2), block);
            }
        }
        let mut slots = BTreeMap::new();
        for ((time, number, what), block) in events {
            let at = At { time, thread: block.thread, stack: stacks[block.stack], ..At::default() };
            match what {
                0 => {
                    slots.insert(number, trace.allocate(at, block.size, 0, false).unwrap());
                }
                1 => trace.resize(at, slots[&number], block.resized.unwrap()).unwrap(),
                _ => trace.free(at, slots[&number]).unwrap(),
            }
        }
    });
}

fn json(trace: &Path, options: &[&str]) -> Value {
    let shown = millpond().arg("show").arg(trace).arg("--json").args(options).output().unwrap();
    serde_json::from_str(&stdout(shown)).unwrap()
}

/// Removes what depends on the events between those of a block, which the other trace does not have.
fn comparable(mut report: Value) -> Value {
    for site in report["by_site"].as_array_mut().unwrap() {
        let site = site.as_object_mut().unwrap();
        site.remove("temporaries");
        site.remove("lifetime");
    }
    // The other trace has numbered its threads anew.
    for thread in report["by_thread"].as_array_mut().unwrap() {
        thread.as_object_mut().unwrap().retain(|field, _| !["thread", "name"].contains(&field.as_str()));
    }
    report["by_thread"].as_array_mut().unwrap().retain(|thread| thread["allocations"] != 0);
    report["trace"].as_object_mut().unwrap().remove("threads");
    let report_fields = report.as_object_mut().unwrap();
    report_fields.remove("selection");
    report_fields.remove("processes");
    report
}

#[test]
fn selected_blocks_are_reported_as_if_there_were_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, part) = (folder.path().join("whole.mpt"), folder.path().join("part.mpt"));
    let all = blocks();
    write(&whole, &all.iter().collect::<Vec<_>>());
    let lifetime = |block: &Block| block.died.map(|died| died - block.born);
    type Counts<'a> = &'a dyn Fn(&Block) -> bool;
    let cases: [(&[&str], Counts); 10] = [
        (&["--size", "64"], &|block| block.size == 64),
        (&["--size", "100..1Ki"], &|block| (100..=1024).contains(&block.size)),
        (&["--lifetime", "..500ns"], &|block| lifetime(block).is_some_and(|ns| ns <= 500)),
        (&["--lifetime", "1us..20us"], &|block| {
            lifetime(block).is_some_and(|ns| (1000..=20_000).contains(&ns))
        }),
        (&["--lifetime", "kept"], &|block| block.died.is_none()),
        (&["--time", "100us..0.2ms"], &|block| (100_000..=200_000).contains(&block.born)),
        (&["--site", "^0x1000"], &|block| block.stack < 2),
        (&["--site", "0x1000 < 0x9"], &|block| block.stack == 0),
        (&["--site", "0x9000", "--not-site", "0x1000"], &|block| block.stack == 2),
        (&["--site", "0x1000", "--site", "0x8000", "--size", "..64", "--lifetime", "..1ms"], &|block| {
            block.stack == 1 && block.size <= 64 && lifetime(block).is_some_and(|ns| ns <= 1_000_000)
        }),
    ];
    for (options, counts) in cases {
        let chosen: Vec<_> = all.iter().filter(|block| counts(block)).collect();
        assert!(chosen.len() > 5 && chosen.len() < all.len(), "{options:?}: {}", chosen.len());
        write(&part, &chosen);
        let found = json(&whole, options);
        assert_eq!(found["selection"]["of_allocations"], json(&whole, &[])["trace"]["allocations"]);
        assert_eq!(comparable(found), comparable(json(&part, &[])), "{options:?}");
    }
}

#[test]
fn threads_are_selected_by_number_or_name() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("whole.mpt");
    let all = blocks();
    write(&trace, &all.iter().collect::<Vec<_>>());
    let requested = |thread: u32| -> u64 {
        let of_thread = all.iter().filter(|block| block.thread == thread);
        of_thread.map(|block| block.size + block.resized.unwrap_or(0)).sum()
    };
    for (options, expected) in [
        (["--thread", "1"], requested(1)),
        (["--thread", "worker"], requested(1)),
        (["--thread", "worker,0"], requested(0) + requested(1)),
    ] {
        assert_eq!(json(&trace, &options)["trace"]["requested_bytes"], expected, "{options:?}");
    }
    let text = stdout(millpond().arg("show").arg(&trace).args(["--thread", "main"]).output().unwrap());
    assert!(text.contains("blocks with --thread main alone; the whole recording has 2,4"), "{text}");
}

#[test]
fn refusals_say_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("whole.mpt");
    write(&trace, &blocks().iter().collect::<Vec<_>>());
    let show = |options: &[&str]| millpond().arg("show").arg(&trace).args(options).output().unwrap();
    let nothing = refusal(show(&["--size", "3"]));
    assert!(nothing.contains("has --size 3: widen the conditions"), "{nothing}");
    let thread = refusal(show(&["--thread", "reaper"]));
    assert!(thread.contains("no thread \"reaper\": give a number below 2"), "{thread}");
    for (option, value, expected) in [
        ("--size", "big", "such as 64"),
        ("--lifetime", "5", "such as 1.5s..2s"),
        ("--time", "2s..1s", "end is before its start"),
        ("--site", "(", "unclosed group"),
    ] {
        let output = show(&[option, value]);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{complaint}");
        assert!(complaint.contains(expected), "{complaint}");
    }
}
