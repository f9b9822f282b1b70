//! `millpond diff`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use millpond_trace::{At, FrameKind};
use serde_json::Value;

use crate::support::{millpond, refusal, skipped, stdout, write_trace_of};

/// Compiles the program `compared` with debug information; `None`, with a message, if that is impossible here.
pub(crate) fn compared(program: &Path, options: &[&str]) -> Option<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/compared.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-g", "-Wl,--build-id", "-o"]).arg(program).arg(source).args(options);
    match compiler.output() {
        Ok(output) if output.status.success() => Some(()),
        failed => {
            skipped("comparisons of programs", &format!("cc cannot make a program: {failed:?}"));
            None
        }
    }
}

/// Records a program; `None`, with a message, if that is impossible here.
pub(crate) fn record(program: &Path, arguments: &[&str], trace: &Path) -> Option<()> {
    let mut command = millpond();
    command.args(["record", "--force", "-o"]).arg(trace).arg("--").arg(program).args(arguments);
    let output = command.output().unwrap();
    if output.status.success() {
        return Some(());
    }
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    let can_record = cfg!(all(target_os = "linux", target_env = "gnu"));
    assert!(!can_record, "{why}");
    skipped("comparisons of programs", &why);
    None
}

fn diff(arguments: &[&Path], options: &[&str]) -> Output {
    let cache = arguments[0].parent().unwrap();
    let mut command = millpond();
    command.arg("diff").args(arguments).args(options).env("XDG_CACHE_HOME", cache).output().unwrap()
}

fn json(arguments: &[&Path], options: &[&str]) -> Value {
    serde_json::from_str(&stdout(diff(arguments, &[options, &["--json"]].concat()))).unwrap()
}

#[test]
fn sites_are_matched_in_another_build() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (old, new) = (path("old"), path("new"));
    if compared(&old, &[]).is_none() || compared(&new, &["-DPADDING"]).is_none() {
        return;
    }
    let (before, same, more) = (path("before.mpt"), path("same.mpt"), path("more.mpt"));
    if record(&old, &["1000"], &before).is_none() {
        return;
    }
    record(&new, &["1000"], &same);
    record(&new, &["1100"], &more);
    let equal = json(&[&before, &same], &[]);
    assert!(equal["by_site"].as_array().unwrap().iter().all(|site| site["is_changed"] == false), "{equal}");
    assert_eq!(equal["total"]["allocations"]["change"], "same");

    let changed = json(&[&before, &more], &[]);
    let sites = changed["by_site"].as_array().unwrap();
    let of: Vec<_> = sites.iter().filter(|site| site["is_changed"] == true).collect();
    assert_eq!(of.len(), 1, "{changed}");
    let figures = &of[0]["figures"];
    // The function is inlined, and a function of the program all the same.
    assert_eq!(of[0]["frames"][0]["function"], "item");
    assert_eq!(of[0]["frames"][1]["function"], "parse");
    let numbers = |figure: &str| {
        (figures[figure]["before"]["least"].as_u64(), figures[figure]["after"]["most"].as_u64())
    };
    assert_eq!(numbers("allocations"), (Some(1000), Some(1100)));
    assert_eq!(numbers("bytes"), (Some(48_000), Some(52_800)));
    assert_eq!(numbers("live_bytes"), (Some(4800), Some(5280)));
    assert_eq!(numbers("temporaries"), (Some(900), Some(990)));
    assert_eq!(sites.len(), equal["by_site"].as_array().unwrap().len());

    let text = stdout(diff(&[&before, &more], &[]));
    assert!(
        text.contains("allocations +100 (+10 %)") && text.contains("item (compared.c) < parse"),
        "{text}"
    );
    assert!(text.contains("One run of each"), "{text}");
    let folded = stdout(diff(&[&before, &more], &["--folded", "calls"]));
    let line = folded.lines().find(|line| line.contains(";parse;item")).unwrap();
    assert!(line.ends_with(" 1000 1100"), "{line}");
}

/// Writes a recording with a site for each of `counts`, which allocates as many blocks.
fn synthetic(path: &Path, counts: &[u64]) {
    write_trace_of(path, 1_000_000, |trace| {
        for (&count, address) in counts.iter().zip((1..).map(|number| number * 0x1000)) {
            let stack = trace.node(0, address, FrameKind::Return).unwrap();
            for time in 0..count {
                let at = At { time, stack, ..At::default() };
                let slot = trace.allocate(at, 100, 0, false).unwrap();
                trace.free(at, slot).unwrap();
            }
        }
    });
}

#[test]
fn several_runs_tell_noise_from_changes() {
    let folder = tempfile::tempdir().unwrap();
    let runs = |name: &str, counts: [[u64; 4]; 3]| -> Vec<PathBuf> {
        let write = |(number, counts): (usize, &[u64; 4])| {
            let path = folder.path().join(format!("{name}{number}.mpt"));
            synthetic(&path, counts);
            path
        };
        counts.iter().enumerate().map(write).collect()
    };
    // The same; noise; a change; noise of which the runs do not overlap, but nearly.
    let before = runs("before", [[50, 100, 50, 100], [50, 103, 50, 110], [50, 102, 50, 105]]);
    let after = runs("after", [[50, 101, 60, 112], [50, 104, 61, 114], [50, 102, 62, 113]]);
    let mut command = millpond();
    command.arg("diff").args(&before).arg("--to").args(&after).arg("--json");
    let report: Value = serde_json::from_str(&stdout(command.output().unwrap())).unwrap();
    let changes = |site: &Value| site["figures"]["allocations"]["change"].as_str().unwrap().to_owned();
    let mut found: Vec<_> = report["by_site"].as_array().unwrap().iter().map(changes).collect();
    found.sort();
    assert_eq!(found, ["changed", "noise", "noise", "same"]);
    assert_eq!(report["by_site"][0]["figures"]["allocations"]["after"]["least"], 60);
    assert_eq!(report["before"].as_array().unwrap().len(), 3);
    let mut command = millpond();
    command.arg("diff").args(&before).arg("--to").args(&after);
    let text = stdout(command.output().unwrap());
    assert!(text.contains("allocations +10 to 12 (+22 %)"), "{text}");
    assert!(text.contains("1 call site is the same in all runs; 2 call sites differ no more"), "{text}");
}

#[test]
fn new_and_gone_sites_and_selections() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one.mpt"), folder.path().join("other.mpt"));
    synthetic(&one, &[10, 20]);
    synthetic(&other, &[10, 0, 30]);
    let text = stdout(diff(&[&one, &other], &[]));
    assert!(
        text.contains("  new, allocations +30,") && text.contains("  gone, allocations -20 (-100 %)"),
        "{text}"
    );
    // A selection that leaves nothing in one of them is a difference, too.
    let selected = json(&[&one, &other], &["--site", "0x2fff"]);
    assert_eq!(selected["by_site"].as_array().unwrap().len(), 1);
    assert_eq!(selected["total"]["allocations"]["after"]["most"], 30);
    let complaint = refusal(diff(&[&one], &[]));
    assert!(complaint.contains("--to"), "{complaint}");
    let missing = refusal(diff(&[&one, &folder.path().join("none.mpt")], &[]));
    assert!(missing.contains("none.mpt"), "{missing}");
}
