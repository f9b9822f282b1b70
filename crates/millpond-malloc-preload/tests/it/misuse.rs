//! Misuse ends the program, with a line that names the address, the size and the kind.

use std::{os::unix::process::ExitStatusExt as _, path::Path};

use crate::preload::{compile, preloaded};

/// The modes that report every misuse of this program.
const MODES: [&str; 3] = ["checked", "light", "full"];

/// Runs the program of misuse in each mode; asserts its end and its line.
fn assert_reported(program: &Path, arguments: &[&str], expected: &str) {
    MODES.iter().for_each(|mode| assert_reported_in(mode, program, arguments, expected));
}

fn assert_reported_in(mode: &str, program: &Path, arguments: &[&str], expected: &str) {
    let output = preloaded(program, mode).args(arguments).output().expect("the program");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(6), "{arguments:?}: {} {errors}", output.status);
    let block = errors.lines().find_map(|line| line.strip_prefix("block ")).expect("the address");
    let line = errors.lines().last().expect("a line");
    assert!(line.starts_with("millpond-malloc: ") && line.contains(expected), "{arguments:?}: {line}");
    if expected.contains("double") {
        assert!(line.contains(block), "{line} should name {block}");
    }
}

#[test]
fn every_kind_is_reported() {
    let program = compile("misuse", &[]);
    for size in ["1", "64", "1000", "5000"] {
        for delay in ["0", "1", "64", "500", "20000"] {
            assert_reported(&program, &["double", size, delay], "double free: free(");
        }
        assert_reported(&program, &["thread", size], "double free: free(");
        assert_reported(&program, &["unaligned", size], "invalid free: free(");
        assert_reported(&program, &["realloc", size], "double free: realloc(");
    }
    for size in ["64", "1000", "5000"] {
        assert_reported(&program, &["interior", size], "inside a block of");
    }
    for size in ["100000", "10000000"] {
        assert_reported(&program, &["interior", size], "invalid free: free(");
        assert_reported(&program, &["middle", size], "invalid free: free(");
        assert_reported(&program, &["double", size], "invalid free: free(");
    }
    assert_reported(&program, &["never", "64"], "where no block is allocated");
}
