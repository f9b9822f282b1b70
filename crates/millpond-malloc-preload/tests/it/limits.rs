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

/// Asserts that a command, which runs the program of limits, has few mappings when it has 10 GB in large blocks.
fn assert_few_mappings(command: &mut std::process::Command) {
    // With huge pages, the few bytes of each block that are touched would take 10 GB.
    let output = succeed(command.arg("mappings").env("MILLPOND_MALLOC_HUGE_PAGES", "off"));
    let count = String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().expect("a number");
    assert!(count <= 500, "{command:?}: {count} mappings");
}

#[test]
fn guards_need_few_mappings() {
    let program = compile("limits", &[]);
    for mode in MODES {
        assert_few_mappings(&mut preloaded(&program, mode));
    }
}

#[test]
fn a_system_without_guards_has_few_mappings_and_the_same_rules() {
    let launcher = compile("without_guards", &[]);
    for mode in ["light", "full"] {
        assert_few_mappings(preloaded(&launcher, mode).arg(compile("limits", &[])));
        succeed(preloaded(&launcher, mode).arg(compile("conformance", &[])));
        succeed(preloaded(&launcher, mode).arg(compile("threads", &[])).arg("20"));
    }
}
