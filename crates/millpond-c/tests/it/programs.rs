//! The test programs, and the examples.

use std::{fs, os::unix::process::ExitStatusExt, path::Path, process::Command};

use crate::install::{Linking, compile, has, root, scratch, succeeds, text};

/// Compiles and runs a program with each library, each with a different compiler.
fn passes(name: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name);
    for (compiler, linking) in [("gcc", Linking::Shared), ("clang", Linking::Static)] {
        if has(compiler, name) {
            succeeds(&mut Command::new(compile(compiler, &source, linking, &[])));
        }
    }
}

#[test]
fn pools_implement_the_interface() {
    passes("interface.c");
}

#[test]
fn custom_allocator_as_a_parent() {
    passes("own.c");
}

#[test]
fn guards() {
    passes("guards.c");
}

#[test]
fn threads_share_pools() {
    passes("threads.c");
}

#[test]
fn children_use_shared_pools() {
    passes("forks.c");
}

#[test]
fn failures_set_the_last_error() {
    passes("errors.c");
}

#[test]
fn options_are_read_during_the_call() {
    passes("options.c");
}

#[test]
fn classes_return_large_blocks() {
    passes("outsize.c");
}

#[test]
fn queries_of_damaged_pools_end() {
    passes("damaged.c");
}

#[test]
fn overwritten_tags_are_not_followed() {
    passes("tags.c");
}

#[test]
fn impossible_reservations_fail() {
    passes("reserve.c");
}

#[test]
fn misuse_is_detected() {
    passes("misuse.c");
}

#[test]
fn misuse_without_a_callback_ends_the_program() {
    if !has("gcc", "misuse_without_a_callback_ends_the_program") {
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/misuse.c");
    let program = compile("gcc", &source, Linking::Shared, &["-DENDS"]);
    for (case, message) in [
        ("double free", "pool \"nodes\": block"),
        (
            "forged address",
            "is no block: a free block was written to\nThe program ends, because this pool has no on_misuse callback.",
        ),
        (
            "out of memory",
            "no memory left in this allocator; the program ends, because a request of 123 bytes has MP_ABORT",
        ),
    ] {
        let output = Command::new(&program).arg(case).output().expect("the program can be run");
        assert_eq!(output.status.signal(), Some(6), "{case}: {}", text(&output));
        assert!(text(&output).contains(message), "{case}: {}", text(&output));
    }
}

/// The programs in the documentation, which begin with an `#include`.
#[test]
fn programs_in_the_documentation() {
    if !has("gcc", "programs_in_the_documentation") {
        return;
    }
    let folder = scratch("documentation");
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/c.md")).expect("there is a page");
    let programs = text.split("```c\n#include").skip(1).filter_map(|rest| rest.split_once("```"));
    let printed: Vec<String> = programs
        .enumerate()
        .map(|(number, (program, _))| {
            let source = folder.join(format!("page{number}.c"));
            fs::write(&source, format!("#include{program}")).expect("tests may write there");
            succeeds(&mut Command::new(compile("gcc", &source, Linking::Static, &[])))
        })
        .collect();
    assert_eq!(printed, ["", "1 blocks, 1000 bytes at the peak\n"]);
}

#[test]
fn examples_in_c() {
    if !has("gcc", "examples_in_c") {
        return;
    }
    let folder = fs::read_dir(root().join("examples/c")).expect("there are examples");
    let mut count = 0;
    for example in folder.map(|entry| entry.expect("the folder can be read").path()) {
        if example.extension().is_some_and(|extension| extension == "c") {
            let printed = succeeds(&mut Command::new(compile("gcc", &example, Linking::Shared, &[])));
            let expected =
                fs::read_to_string(example.with_extension("out")).expect("an example says what it prints");
            assert_eq!(printed, expected, "{}", example.display());
            count += 1;
        }
    }
    assert!(count >= 4, "only {count} examples were found");
}
