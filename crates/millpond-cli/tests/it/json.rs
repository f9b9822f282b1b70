//! JSON.

use std::collections::BTreeSet;

use millpond_trace::{At, Detail, FrameKind};
use serde_json::Value;

use crate::{
    report::embedded,
    support::{every_table, fill_sites, millpond, replay, sample, stdout, write_trace},
};

/// Collects the names of all fields, at any depth.
fn fields(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            names.extend(object.keys().cloned());
            object.values().for_each(|value| fields(value, names));
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, names)),
        _ => {}
    }
}

#[test]
fn fields_and_documentation_agree() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let mut names = BTreeSet::new();
    for options in [&["--json", "--rounds", "1"][..], &["--json", "--verify"]] {
        fields(&serde_json::from_str(&stdout(replay(&trace, options))).unwrap(), &mut names);
    }
    write_trace(&trace, |writer| {
        let stack = writer.node(0, 0x1000, FrameKind::Return).unwrap();
        writer.allocate(At { stack, ..At::default() }, 10, 0, false).unwrap();
        writer.detail(Detail { address: Some(4096), usable: Some(24), weight: None }).unwrap();
    });
    let mut note = |command: &str, options: &[&str]| {
        let output = millpond().arg(command).arg(&trace).arg("--json").args(options).output().unwrap();
        fields(&serde_json::from_str(&stdout(output)).unwrap(), &mut names);
    };
    note("show", &["--size", "10"]);
    note("advise", &["--size", "10", "--no-replay"]);
    note("diff", &[trace.to_str().unwrap()]);
    note("top", &[]);
    let budget = folder.path().join("budget.toml");
    std::fs::write(&budget, "version = 1\n[total]\nbytes = 10\n").unwrap();
    note("check", &["--budget", budget.to_str().unwrap()]);
    write_trace(&trace, fill_sites);
    note("advise", &["--top", "8", "--rounds", "1", "--second", trace.to_str().unwrap()]);
    let trace = every_table(folder.path());
    let exported = millpond().arg("export").arg(&trace).args(["--to", "jsonl"]).output().unwrap();
    for line in exported.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        fields(&serde_json::from_slice(line).unwrap(), &mut names);
    }
    let page = millpond().arg("report").arg(&trace).args(["-o", "-"]).output().unwrap();
    fields(&embedded(&stdout(page)), &mut names);
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fields(&crate::live::every_field(folder.path()), &mut names);
    let page = include_str!("../../JSON.md");
    let documented: BTreeSet<_> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'))
        .filter(|text| *text != "null")
        .map(str::to_owned)
        .collect();
    assert_eq!(names, documented);
}

#[test]
fn figures_are_consistent() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, summary) = sample(folder.path());
    let report: Value = serde_json::from_str(&stdout(replay(&trace, &["--json", "--rounds", "3"]))).unwrap();
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));

    assert_eq!(report["version"], 1);
    assert_eq!(report["trace"]["program"], "/opt/sample");
    assert_eq!(report["trace"]["events"], summary.events);
    assert_eq!(report["trace"]["peak_bytes"], summary.peak_bytes);
    assert_eq!(report["trace"]["cpu_ns"], 500_000_000);
    assert_eq!(report["settings"]["threads_merged"], false);
    assert_eq!(report["settings"]["threads"], 2);

    let allocators = report["allocators"].as_array().unwrap();
    let names: Vec<_> = allocators.iter().map(|allocator| allocator["name"].as_str().unwrap()).collect();
    let left_out = report["without_huge"].is_string();
    let all = ["glibc", "mimalloc", "pools", "advised", "huge"];
    assert_eq!(names, all[..all.len() - usize::from(left_out)], "huge is left out: {left_out}");
    for allocator in allocators {
        let rounds = allocator["rounds_ns"].as_array().unwrap();
        assert_eq!(rounds.len(), 3);
        let total = &allocator["total_ns"];
        assert!(number(&total["least"]) <= number(&total["median"]), "{allocator}");
        assert!(number(&total["median"]) <= number(&total["most"]), "{allocator}");
        let handed_out = number(&allocator["handed_out_bytes"]);
        let written = number(&allocator["written_bytes"]);
        assert_eq!(written, summary.peak_bytes as f64 - 300_000.0, "all but the large block");
        assert!(handed_out >= written, "{allocator}");
        assert_eq!(number(&allocator["internal_waste_bytes"]), handed_out - written);
        let peak = number(&allocator["peak_resident_bytes"]["median"]);
        assert_eq!(number(&allocator["external_waste_bytes"]), peak - handed_out);
        // Every page of every block was touched, so they are resident, except for what the kernel counts late.
        assert!(peak > written * 0.9, "{allocator}");
    }
    assert_eq!(allocators[0]["time_vs_baseline"], 1.0);
    let blocks = report["advice"]["blocks"].as_array().unwrap();
    let sizes: Value = blocks.iter().map(|block| block["block_bytes"].clone()).collect();
    assert!(allocators[3..].iter().all(|advised| advised["block_sizes"] == sizes), "{report}");

    let bound = &report["bound"];
    assert_eq!(number(&bound["recording_ns"]), summary.events as f64 * 20.0);
    assert_eq!(bound["allocation_ns"], allocators[0]["total_ns"]["median"]);
    assert!(number(&bound["recording_range_ns"]["least"]) < number(&bound["recording_range_ns"]["most"]));
    assert_eq!(number(&bound["program_cpu_ns"]), 500_000_000.0 - number(&bound["recording_ns"]));
    let covered: f64 = blocks.iter().map(|block| number(&block["share"])).sum();
    assert!((covered - number(&report["advice"]["covered_share"])).abs() < 1e-9);
    assert!(!report["verdict"]["text"].as_str().unwrap().is_empty());
}
