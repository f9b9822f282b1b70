//! Memory checkers: they find no errors in the test programs, and detect errors inside a pool.

use std::{path::Path, process::Command};

use crate::install::{Linking, compile, has, skipped, text};

fn source(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name)
}

/// Returns the output of valgrind for a program, and whether it found errors.
fn valgrind(program: &Path, mode: Option<&str>) -> (bool, String) {
    let mut command = Command::new("valgrind");
    command.args(["--leak-check=full", "--errors-for-leak-kinds=definite,indirect", "--error-exitcode=99"]);
    let output = command.arg("-q").arg(program).args(mode).output().expect("valgrind runs");
    (output.status.code() == Some(99), text(&output))
}

#[test]
fn valgrind_sees_into_pools() {
    let test = "valgrind_sees_into_pools";
    if !has("valgrind", test) || !has("gcc", test) {
        return;
    }
    let program = compile("gcc", &source("visible.c"), Linking::Shared, &[]);
    let (found, said) = valgrind(&program, None);
    assert!(!found && said.is_empty(), "{said}");
    for (mode, complaint) in [
        ("use", "Invalid read of size 1"),
        ("overflow", "Invalid write of size 1"),
        ("leak", "64 bytes in 1 blocks are definitely lost"),
    ] {
        let (found, said) = valgrind(&program, Some(mode));
        assert!(found && said.contains(complaint), "{mode}: {said}");
    }
}

#[test]
fn valgrind_finds_no_errors() {
    let test = "valgrind_finds_no_errors";
    if !has("valgrind", test) || !has("gcc", test) {
        return;
    }
    for name in ["own.c", "guards.c"] {
        let program = compile("gcc", &source(name), Linking::Static, &[]);
        let (found, said) = valgrind(&program, None);
        assert!(!found && said.is_empty(), "{name}: {said}");
    }
}

/// Programs in which options, strings and arrays are freed after the call, and in which records precede blocks.
#[test]
fn address_sanitizer_finds_no_errors() {
    let test = "address_sanitizer_finds_no_errors";
    if !has("gcc", test) {
        return;
    }
    for name in ["options.c", "outsize.c", "errors.c"] {
        let program = compile("gcc", &source(name), Linking::Shared, &["-fsanitize=address,undefined"]);
        // The programs request more memory than there is, and leak detection needs permissions that a container may not
        // have.
        let options = "allocator_may_return_null=1:detect_leaks=0";
        let output = Command::new(&program).env("ASAN_OPTIONS", options).output().expect("it runs");
        if text(&output).contains("Shadow memory range interleaves") {
            return skipped(test, "this machine's addresses leave no room for AddressSanitizer");
        }
        assert!(output.status.success() && !text(&output).contains("ERROR"), "{name}: {}", text(&output));
    }
}

#[test]
fn address_sanitizer_sees_into_pools() {
    let test = "address_sanitizer_sees_into_pools";
    if !has("gcc", test) {
        return;
    }
    let program = compile("gcc", &source("visible.c"), Linking::Shared, &["-fsanitize=address"]);
    let run = |mode: Option<&str>| {
        // Leak detection needs permissions that a container may not have.
        let options = "detect_leaks=0";
        let output =
            Command::new(&program).args(mode).env("ASAN_OPTIONS", options).output().expect("it runs");
        (output.status.success(), text(&output))
    };
    let (clean, said) = run(None);
    if !clean && said.contains("Shadow memory range interleaves") {
        return skipped(test, "this machine's addresses leave no room for AddressSanitizer");
    }
    assert!(clean && said.is_empty(), "{said}");
    for mode in ["use", "overflow"] {
        let (clean, said) = run(Some(mode));
        assert!(!clean && said.contains("use-after-poison"), "{mode}: {said}");
    }
}
