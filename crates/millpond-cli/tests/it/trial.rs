//! `millpond try`: the program is left alone, and the report comes after it, on standard error.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::{fs, path::Path, process::Output};

use crate::support::{millpond, refusal, replay, stdout};

/// Runs `millpond try` with everything temporary below a folder.
fn try_in(folder: &Path, arguments: &[&str]) -> Output {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    millpond()
        .arg("try")
        .args(arguments)
        .env("TMPDIR", &temporary)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .output()
        .unwrap()
}

#[test]
fn output_and_exit_code_are_the_programs_own() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo to standard output; echo to standard error >&2; exit 3";
    let output = try_in(folder.path(), &["--rounds", "1", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(output.stdout, b"to standard output\n");
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(report.starts_with("to standard error\n"), "{report}");
    assert!(report.contains("\n glibc ") && report.contains("\nPools "), "{report}");
    assert!(!report.contains('\x1b'), "{report:?}");
    let left: Vec<_> = fs::read_dir(folder.path().join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn of_several_processes_the_one_with_the_most_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("kept.mpt");
    let kept = trace.to_str().unwrap();
    let output =
        try_in(folder.path(), &["-o", kept, "--rounds", "1", "--", "sh", "-c", "ls -l / > /dev/null; true"]);
    assert_eq!(output.status.code(), Some(0));
    let report = String::from_utf8(output.stderr).unwrap();
    let choice =
        report.lines().find(|line| line.starts_with("millpond: of 2 recorded processes, ")).expect(&report);
    assert!(choice.contains("is replayed, which had the most; the others: "), "{choice}");
    let events = |text: &str| -> u64 {
        let before = text.split(" event").next().unwrap().rsplit(' ').next().unwrap();
        before.replace(',', "").parse().unwrap()
    };
    let (replayed, other) = choice.split_once("is replayed").unwrap();
    assert!(events(replayed) >= events(other), "{choice}");
    assert!(report.contains("millpond: the trace is kept in "), "{report}");
    assert!(stdout(replay(&trace, &["--rounds", "1"])).contains("\n glibc "));
}

#[test]
fn what_cannot_be_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = refusal(try_in(folder.path(), &["--", "no-such-program"]));
    assert!(missing.contains("no-such-program"), "{missing}");
    let unwritable = refusal(try_in(folder.path(), &["-o", "/nonexistent/x.mpt", "--", "true"]));
    assert!(unwritable.contains("/nonexistent"), "{unwritable}");
}
