//! `millpond try`: the program runs as usual, and the report follows on standard error.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::{fs, path::Path, process::Output};

use crate::support::{millpond, refusal, refusal_with, replay};

/// Runs `millpond try` with all temporary files below a folder.
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
fn output_and_exit_code_are_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo to standard output; echo to standard error >&2; exit 3";
    let output = try_in(folder.path(), &["--rounds", "5", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(output.stdout, b"to standard output\n");
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(report.starts_with("to standard error\n"), "{report}");
    assert!(report.contains("\n glibc ") && report.contains("ools "), "{report}");
    assert!(!report.contains('\x1b'), "{report:?}");
    let left: Vec<_> = fs::read_dir(folder.path().join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A program that starts another one and waits for it.
const PARENT: [&str; 3] = ["sh", "-c", "sort /etc/services > /dev/null; true"];

#[test]
fn largest_process_is_judged_unless_another_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("kept.mpt");
    for (options, judged, other) in
        [(&[][..], "sort", " also in "), (&["--process", "sh"], "sh", " not kept: sort (")]
    {
        let start = ["-f", "-o", trace.to_str().unwrap(), "--rounds", "1"];
        let output = try_in(folder.path(), &[&start[..], options, &["--"], &PARENT].concat());
        assert_eq!(output.status.code(), Some(0));
        let report = String::from_utf8(output.stderr).unwrap();
        assert!(
            report.starts_with(&format!("millpond: this report is about {judged} (process ")),
            "{report}"
        );
        assert_eq!(report.contains(", which has the most events\n"), options.is_empty(), "{report}");
        assert!(report.contains("millpond: 1 other process with ") && report.contains(other), "{report}");
        assert!(report.contains("millpond: the trace is kept in "), "{report}");
        assert!(report.contains(&format!("\n{judged} ")), "{report}");
        let again = replay(&trace, &["--rounds", "1"]);
        assert!(String::from_utf8(again.stdout).unwrap().starts_with(&format!("{judged} ")));
    }
    let output = try_in(folder.path(), &[&["--process", "tac", "--"], &PARENT[..]].concat());
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(
        report.contains("tac is not a process of this recording; its processes are sh, sort\n"),
        "{report}"
    );
    assert_eq!(output.status.code(), Some(125));
}

#[test]
fn program_that_replaces_the_shell_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let output = try_in(folder.path(), &["--rounds", "1", "--", "sh", "-c", "exec sort /etc/services"]);
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(
        report.contains("millpond: this report is about sort ") && report.contains("\nsort /etc/services\n"),
        "{report}"
    );
}

#[test]
fn program_without_allocations_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let output = try_in(folder.path(), &["--", "true"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        output.stderr,
        b"millpond: true did not allocate anything through malloc: there is nothing to gain\n"
    );
}

#[test]
fn programs_that_cannot_be_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = refusal_with(127, try_in(folder.path(), &["--", "no-such-program"]));
    assert!(missing.contains("no-such-program"), "{missing}");
    let unwritable = refusal(try_in(folder.path(), &["-o", "/nonexistent/x.mpt", "--", "true"]));
    assert!(unwritable.contains("/nonexistent"), "{unwritable}");
}
