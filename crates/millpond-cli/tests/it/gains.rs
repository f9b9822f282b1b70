//! What advice gains: which sites are replayed, and what a second recording says.

use std::path::{Path, PathBuf};

use millpond_trace::{At, FrameKind};
use serde_json::Value;

use crate::support::{fill_sites, millpond, refusal, stdout, write_trace};

/// Runs `millpond advise` on a trace.
fn advise(trace: &Path, options: &[&str]) -> String {
    stdout(millpond().arg("advise").arg(trace).args(options).output().unwrap())
}

fn json(trace: &Path, options: &[&str]) -> Value {
    serde_json::from_str(&advise(trace, &[&["--json"], options].concat())).unwrap()
}

/// Writes a trace of one thread with a site for a pool, one for an arena, one for a buffer and one for a capacity.
fn four_sites(folder: &Path, turns: u64) -> PathBuf {
    let path = folder.join(format!("{turns}.mpt"));
    write_trace(&path, |writer| {
        let mut site = |number: u64| At {
            stack: writer.node(0, 0x1000 * number, FrameKind::Return).unwrap(),
            ..At::default()
        };
        let [pool, arena, buffer, capacity] = [1, 2, 3, 4].map(&mut site);
        let mut ring = Vec::new();
        for turn in 0..turns {
            ring.push(writer.allocate(pool, 64, 0, turn % 3 == 0).unwrap());
            if ring.len() > 100 {
                writer.free(pool, ring.swap_remove(turn as usize % 100)).unwrap();
            }
            let line = writer.allocate(buffer, 10 + turn % 200, 0, false).unwrap();
            writer.free(buffer, line).unwrap();
            if turn % 10 == 0 {
                let grown = writer.allocate(capacity, 16, 0, false).unwrap();
                [32, 64, 128].into_iter().for_each(|size| writer.resize(capacity, grown, size).unwrap());
                writer.free(capacity, grown).unwrap();
            }
            if turn % 100 == 0 {
                let phase: Vec<_> =
                    (0..50).map(|size| writer.allocate(arena, 10 + size, 0, size == 7).unwrap()).collect();
                phase.into_iter().for_each(|block| writer.free(arena, block).unwrap());
            }
        }
    });
    path
}

/// Returns the number of the site with this kind of advice.
fn number_of(report: &Value, kind: &str) -> usize {
    let sites = report["sites"].as_array().unwrap();
    1 + sites
        .iter()
        .position(|site| site["advice"]["kind"] == kind)
        .unwrap_or_else(|| panic!("{kind}: {report}"))
}

#[test]
fn each_site_is_replayed_alone_and_all_together() {
    let folder = tempfile::tempdir().unwrap();
    let trace = four_sites(folder.path(), 2000);
    let report = json(&trace, &["--rounds", "2"]);
    for kind in ["one_size", "frame", "reuse", "capacity"] {
        let gain = &report["sites"][number_of(&report, kind) - 1]["gain"];
        // Whether so few rounds agree is chance; there is either a figure or a reason.
        assert!(gain["saved_share"].is_object() != gain["doubt"].is_string(), "{kind}: {gain}");
        assert!(gain["predicted_share"].is_object(), "{kind}: {gain}");
    }
    assert_eq!(report["together"]["of_sites"], Value::from(vec![1, 2, 3, 4]));
}

#[test]
fn only_the_named_sites_are_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let trace = four_sites(folder.path(), 2000);
    let all = json(&trace, &["--no-replay"]);
    assert!(all["sites"].as_array().unwrap().iter().all(|site| site["gain"].is_null()));
    assert!(all["together"].is_null());
    let chosen = [number_of(&all, "frame"), number_of(&all, "reuse")];
    let numbers = chosen.map(|number| number.to_string()).join(",");
    let report = json(&trace, &["--rounds", "1", "--sites", &numbers]);
    for (number, site) in (1..).zip(report["sites"].as_array().unwrap()) {
        assert_eq!(site["gain"].is_object(), chosen.contains(&number), "{site}");
    }
    let mut sorted = chosen.to_vec();
    sorted.sort_unstable();
    assert_eq!(report["together"]["of_sites"], Value::from(sorted));
    let refused =
        |options: &[&str]| refusal(millpond().arg("advise").arg(&trace).args(options).output().unwrap());
    assert!(refused(&["--sites", "1,99"]).contains("there is no site 99"));
    assert!(refused(&["--sites", "0"]).contains("there is no site 0"));
}

#[test]
fn several_threads_share_only_pools() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("threads.mpt");
    write_trace(&trace, fill_sites);
    let report = json(&trace, &["--rounds", "1", "--top", "8"]);
    let gain = |kind| &report["sites"][number_of(&report, kind) - 1]["gain"];
    for kind in ["arena", "frame", "reuse", "capacity"] {
        assert!(gain(kind)["doubt"].as_str().unwrap().contains("several threads"), "{}", gain(kind));
    }
    assert!(gain("thread_cache")["predicted_share"].is_object(), "{report}");
    assert_eq!(report["together"]["of_sites"].as_array().unwrap().len(), 4);
}

#[test]
fn a_second_recording_agrees_or_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (four_sites(folder.path(), 2000), four_sites(folder.path(), 3000));
    let options = ["--rounds", "1", "--second", second.to_str().unwrap()];
    let report = json(&first, &options);
    for site in report["sites"].as_array().unwrap() {
        assert_eq!(site["second"]["agrees"], true, "{site}");
        assert_eq!(site["second"]["kind"], site["advice"]["kind"]);
        assert!(site["second"]["gain"].is_object(), "{site}");
    }
    let text = advise(&first, &options);
    assert_eq!(text.matches("second recording: the same advice; ").count(), 4, "{text}");
    let text = advise(&first, &[&options[..], &["--sites", "2"]].concat());
    assert_eq!(text.matches("second recording: the same advice; ").count(), 1, "{text}");
    assert!(text.contains("replayed alone: cannot tell, because 1 round cannot tell"), "{text}");

    let other = folder.path().join("other.mpt");
    write_trace(&other, |writer| {
        let stack = writer.node(0, 0x1000, FrameKind::Return).unwrap();
        for _ in 0..500 {
            let block = writer.allocate(At { stack, ..At::default() }, 64, 0, false).unwrap();
            writer.free(At::default(), block).unwrap();
        }
    });
    let text = advise(&first, &["--no-replay", "--second", other.to_str().unwrap()]);
    assert!(text.contains("second recording: other advice (a buffer)\n"), "{text}");
    assert_eq!(text.matches("second recording: this call site does not occur there\n").count(), 3, "{text}");
}

#[test]
fn the_text_names_sites_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let trace = four_sites(folder.path(), 2000);
    let text = advise(&trace, &["--no-replay", "--code"]);
    for expected in [
        "Call sites to change, by calls\n   1  0x",
        "take them from a pool of blocks of 64 bytes\n",
        "keep one buffer of ",
        "take them from an arena that is reset after each phase: they died together 20 times, 1.68 KiB at most\n",
        "reserve 128 B at once: of 200 that grew, 95 % ended with at most that, after 600 steps",
        "mp_blocks_create(",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    write_trace(&trace, |writer| {
        writer.allocate(At::default(), 100, 0, false).unwrap();
    });
    let text = advise(&trace, &[]);
    for expected in
        ["Nothing to do\n", "unknown callers\n", "leave it alone: it allocates too seldom to matter\n"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    write_trace(&trace, |_| ());
    assert!(refusal(millpond().arg("advise").arg(&trace).output().unwrap()).contains("no events"));
}

#[test]
fn advice_is_about_selected_sites_and_gains_about_all_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("sites.mpt");
    write_trace(&trace, fill_sites);
    let advise = |options: &[&str]| json(&trace, &[&["--rounds", "1"], options].concat());
    let site = |advice: &Value| advice["sites"][0].clone();
    let whole = advise(&[]);
    let address = site(&whole)["frames"][0]["function"].as_str().unwrap().to_owned();
    let selected = advise(&["--site", &address]);
    assert_eq!(selected["sites"].as_array().unwrap().len(), 1, "{selected}");
    for field in ["calls", "calls_share", "blocks", "advice"] {
        assert_eq!(site(&selected)[field], site(&whole)[field], "{field}");
    }
    assert!(site(&selected)["gain"].is_object(), "{selected}");
    assert_eq!(selected["selection"]["of_allocations"], whole["trace"]["allocations"]);
    let some = advise(&["--size", "64"]);
    assert!(some["not_replayed"].as_str().unwrap().contains("leave it out, or select with --site"), "{some}");
    assert!(some["sites"].as_array().unwrap().iter().all(|site| site["gain"].is_null()));
}
