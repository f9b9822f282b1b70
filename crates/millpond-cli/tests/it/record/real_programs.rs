//! Programs that nobody here wrote, against another observer.

use std::{path::Path, process::Command};

use super::{Workshop, told};
use crate::support::skipped;

/// Allocations that valgrind counts in a command; `None`, said aloud, if it or the program is missing.
fn by_valgrind(command: &[&str]) -> Option<u64> {
    let what = &format!("counting the allocations of {}", command[0]);
    let output = Command::new("valgrind").env("PYTHONMALLOC", "malloc").args(command).output();
    let Ok(output) = output else {
        skipped(what, "there is no valgrind");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.split_once("total heap usage: ").and_then(|(_, rest)| rest.split_once(" allocs"));
    let Some((count, _)) = count else {
        skipped(what, &format!("valgrind cannot run it: {text}"));
        return None;
    };
    count.replace(',', "").parse().ok()
}

/// Fails unless both count the same, but for `rest` in a thousand.
fn agree(command: &[&str], rest: f64) {
    let Some(expected) = by_valgrind(command) else { return };
    let workshop = Workshop::new();
    let mut recorder = workshop.recorder();
    told(&recorder.env("PYTHONMALLOC", "malloc").arg("--").args(command).output().unwrap());
    let found = workshop.trace().summary.allocations;
    let difference = found.abs_diff(expected) as f64 / expected as f64 * 1000.0;
    assert!(difference <= rest, "{command:?}: {found} recorded, {expected} counted by valgrind");
}

#[test]
fn jq_allocates_as_often_as_valgrind_says() {
    let numbers = (0..2000).map(|n| format!("{{\"n\":{n},\"s\":[\"{n}\"]}}")).collect::<Vec<_>>().join(",");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("numbers.json");
    std::fs::write(&file, format!("[{numbers}]")).unwrap();
    agree(&["jq", ".", &file.to_string_lossy()], 0.0);
}

#[test]
fn perl_allocates_as_often_as_valgrind_says() {
    agree(&["perl", "-e", "my %h; $h{$_} = $_ x 3 for 1..5000; print scalar %h"], 5.0);
}

#[test]
fn python_allocates_as_often_as_valgrind_says() {
    if !Path::new("/usr/bin/python3").exists() {
        return skipped("counting the allocations of python3", "there is no /usr/bin/python3");
    }
    agree(&["/usr/bin/python3", "-S", "-c", "print(sum(range(100)))"], 5.0);
}
