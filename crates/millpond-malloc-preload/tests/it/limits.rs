//! Little address space, no overcommitment, and memory that is returned.

use crate::preload::{MODES, compile, preloaded, succeed};

#[test]
fn little_address_space_suffices() {
    let program = compile("limits", &[]);
    for mode in MODES {
        for kibibytes in ["100000", "400000", "2000000"] {
            let script = format!("ulimit -v {kibibytes}; exec {} exhaust", program.display());
            succeed(preloaded("/bin/sh", mode).args(["-c", &script]));
        }
    }
}

#[test]
fn trim_returns_what_was_freed() {
    let program = compile("limits", &[]);
    for mode in MODES {
        succeed(preloaded(&program, mode).arg("trim"));
    }
}

#[test]
fn memory_that_is_not_needed_is_returned() {
    let program = compile("limits", &[]);
    for mode in MODES {
        succeed(preloaded(&program, mode).arg("decay"));
    }
}

#[test]
fn reserved_memory_is_not_committed() {
    let program = compile("limits", &[]);
    for mode in MODES {
        succeed(preloaded(&program, mode).arg("reserved"));
    }
}

#[test]
fn memory_can_be_locked() {
    let program = compile("limits", &[]);
    for mode in MODES {
        let output = succeed(preloaded(&program, mode).arg("locked"));
        if !output.stdout.is_empty() {
            eprintln!("SKIPPED: memory_can_be_locked, because memory cannot be locked here");
        }
    }
}

/// The number of mappings that the program prints.
fn mappings(output: &std::process::Output) -> u32 {
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

#[test]
fn guards_need_few_mappings() {
    let program = compile("limits", &[]);
    for mode in MODES {
        let count = mappings(&succeed(preloaded(&program, mode).arg("mappings")));
        assert!(count <= 500, "{mode}: {count} mappings");
    }
}

#[test]
fn a_system_without_guards_has_few_mappings_and_the_same_rules() {
    let launcher = compile("without_guards", &[]);
    for mode in ["light", "full"] {
        let count =
            mappings(&succeed(preloaded(&launcher, mode).arg(compile("limits", &[])).arg("mappings")));
        assert!(count <= 500, "{mode}: {count} mappings");
        succeed(preloaded(&launcher, mode).arg(compile("conformance", &[])));
        succeed(preloaded(&launcher, mode).arg(compile("threads", &[])).arg("20"));
    }
}
