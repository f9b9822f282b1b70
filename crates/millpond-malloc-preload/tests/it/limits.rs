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
