//! Replays of programs that other allocators than glibc's served: these are the baseline, or it is clear why not.

use std::{fs, path::PathBuf, process::Output};

use serde_json::Value;

use super::Workshop;
use crate::support::{millpond, refusal, replay, skipped, stdout};

/// Returns the file of an allocator of Debian; `None`, with a message, if it is not installed.
pub(super) fn library(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut paths = files.map(|file| file.path());
    let prefix = format!("lib{name}.so.");
    let found =
        paths.find(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&prefix)));
    match found.map(fs::canonicalize) {
        Some(Ok(path)) => Some(path),
        _ => {
            skipped(&format!("programs with {name}"), "it is not installed");
            None
        }
    }
}

/// Records a program that this library serves; `None` if that is impossible here.
fn record(workshop: &Workshop, library: &std::path::Path) -> Option<PathBuf> {
    let program = workshop.compile("churn", &[])?;
    let output = workshop.recorder().env("LD_PRELOAD", library).arg("--").arg(program).arg("30000").output();
    assert_eq!(output.unwrap().status.code(), Some(5));
    Some(workshop.path("out.mpt"))
}

fn json(output: Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap()
}

/// Returns the verdict in words.
fn verdict(report: &Value) -> &str {
    report["verdict"]["text"].as_str().unwrap()
}

const ROUNDS: [&str; 3] = ["--json", "--rounds", "5"];

#[test]
fn library_that_served_the_program_is_the_baseline() {
    for name in ["jemalloc", "tcmalloc_minimal", "mimalloc"] {
        let Some(file) = library(name) else { continue };
        let workshop = Workshop::new();
        let Some(trace) = record(&workshop, &file) else { return };
        let report = json(replay(&trace, &ROUNDS));
        let path = file.to_str().unwrap();
        assert_eq!(report["baseline"]["library"], path);
        assert_eq!(report["trace"]["served_by"], path);
        assert_eq!(report["baseline"]["relation"], "recorded");
        assert_eq!(report["baseline"]["same_build"], true);
        assert_eq!(report["allocators"][0]["name"], "library");
        assert_eq!(report["allocators"][0]["time_vs_baseline"], 1.0);
        assert!(!verdict(&report).contains("No verdict"), "{}", verdict(&report));
        assert!(!verdict(&report).contains("glibc"), "{}", verdict(&report));

        let text = stdout(replay(&trace, &["--rounds", "1", "--with", "glibc"]));
        let own = file.file_name().unwrap().to_str().unwrap();
        assert!(text.contains(&format!("\nits calls were served by {path}\n")), "{text}");
        assert!(text.contains(&format!(" vs {own}\n")) && text.contains(&format!("\n {own} ")), "{text}");
        assert!(text.contains("\n glibc "), "{text}");
        let checked = json(replay(&trace, &["--json", "--verify", "--with", "pools"]));
        assert_eq!(checked["verified"][0]["name"], "library");
        assert_eq!(checked["verified"][0]["blocks"], report["trace"]["allocations"]);
    }
}

#[test]
fn other_baselines_are_named_as_such() {
    let Some(file) = library("jemalloc") else { return };
    let workshop = Workshop::new();
    let Some(trace) = record(&workshop, &file) else { return };
    let report = json(replay(&trace, &[&ROUNDS[..], &["--baseline", "glibc"]].concat()));
    assert_eq!(
        (&report["baseline"]["name"], &report["baseline"]["relation"]),
        (&"glibc".into(), &"other".into())
    );
    assert!(
        verdict(&report).starts_with("This compares with glibc, which churn did not use. "),
        "{}",
        verdict(&report)
    );
    assert!(report["bound"]["allocation_share"].is_null(), "{}", report["bound"]);
    assert!(report["allocators"].as_array().unwrap().iter().all(|row| row["gain_share"].is_null()));

    // A copy in another folder has the same build id.
    let copy = workshop.path("libcopy.so");
    fs::copy(&file, &copy).unwrap();
    let copy = copy.to_str().unwrap();
    let report = json(replay(&trace, &["--json", "--rounds", "1", "--baseline", copy]));
    assert_eq!(
        (&report["baseline"]["library"], &report["baseline"]["relation"]),
        (&copy.into(), &"recorded".into())
    );
    let program = workshop.path("churn");
    let output = workshop.recorder().arg("--").arg(&program).arg("3000").output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let report = json(replay(&trace, &[&ROUNDS[..], &["--baseline", copy]].concat()));
    assert_eq!(report["baseline"]["relation"], "other");
    assert!(verdict(&report).starts_with("This compares with libcopy.so, which churn did not use. "));
}

#[test]
fn libraries_outside_of_the_system_need_consent() {
    let Some(file) = library("jemalloc") else { return };
    let workshop = Workshop::new();
    let copy = workshop.path("libown.so");
    fs::copy(&file, &copy).unwrap();
    let Some(trace) = record(&workshop, &copy) else { return };
    let report = json(replay(&trace, &ROUNDS));
    let what = "No verdict: churn does not use glibc's allocator but that of libown.so. ";
    assert!(verdict(&report).starts_with(what), "{}", verdict(&report));
    assert!(verdict(&report).contains("is not in a folder of the system"), "{}", verdict(&report));
    // `try` has seen that the program itself loads it.
    let tried = millpond()
        .args(["try", "--rounds", "1", "--with", "pools", "--"])
        .arg(workshop.path("churn"))
        .arg("3000")
        .env("LD_PRELOAD", &copy)
        .output()
        .unwrap();
    let text = String::from_utf8(tried.stderr).unwrap();
    assert!(text.contains("\n libown.so ") && !text.contains("no verdict"), "{text}");

    let Some(other) = library("tcmalloc_minimal") else { return };
    fs::copy(&other, &copy).unwrap();
    let consent = ["--json", "--rounds", "1", "--baseline", copy.to_str().unwrap()];
    let report = json(replay(&trace, &consent));
    assert_eq!(report["baseline"]["same_build"], false);
    fs::remove_file(&copy).unwrap();
    let gone = json(replay(&trace, &ROUNDS));
    assert!(verdict(&gone).contains("libown.so is not on this machine."), "{}", verdict(&gone));
    let complaint = refusal(replay(&trace, &consent));
    assert!(complaint.contains("cannot compare with ") && complaint.contains("No such file"), "{complaint}");
}

#[test]
fn library_without_malloc_is_refused() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("churn", &[]) else { return };
    assert_eq!(workshop.record(&program, &["100"]).status.code(), Some(5));
    let trace = workshop.path("out.mpt");
    let Some(plugin) = workshop.compile("plugin", &["-shared", "-fPIC"]) else { return };
    let complaint = refusal(replay(&trace, &["--baseline", plugin.to_str().unwrap()]));
    assert!(complaint.contains("it has no function malloc"), "{complaint}");
    // One that serves only some of the calls.
    let Some(own) = workshop.compile("own", &["-shared", "-fPIC"]) else { return };
    let complaint = refusal(replay(&trace, &["--baseline", own.to_str().unwrap()]));
    assert!(complaint.contains("it has no function calloc"), "{complaint}");
}

#[test]
fn allocator_within_the_program_is_no_baseline() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("rust_like", &[]) else { return };
    let output = workshop.record(&program, &[]);
    assert_eq!(output.status.code(), Some(0));
    let trace = workshop.path("out.mpt");
    let report = json(replay(&trace, &ROUNDS));
    assert!(verdict(&report).contains("does not use glibc's allocator but jemalloc, within the program"));
    assert!(
        verdict(&report).contains("Only the allocator of a library can be loaded"),
        "{}",
        verdict(&report)
    );
    assert_eq!(report["baseline"]["relation"], "other");
    let report = json(replay(&trace, &[&ROUNDS[..], &["--baseline", "glibc"]].concat()));
    let text = verdict(&report);
    assert!(text.starts_with("This compares with glibc, which rust_like did not use. "), "{text}");
}
