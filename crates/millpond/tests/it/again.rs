//! What tests say that cannot do their work here, and this program started again, for tests that need a process of their own.

use std::{
    env,
    io::{Write, stderr},
    process::Command,
};

/// Says that something is not tested, even when the test passes: the harness catches what macros print.
pub(crate) fn skipped(what: &str, why: &str) {
    let said = writeln!(stderr(), "SKIPPED: {what}, because {why}");
    said.expect("there is somebody to tell");
}

/// Whether the kernel hears what a program wishes of its pages; if not, this says that `what` is not tested. An emulator
/// keeps such wishes to itself.
#[cfg(target_os = "linux")]
pub(crate) fn kernel_hears(what: &str) -> bool {
    if cfg!(emulated) {
        skipped(what, "this program is emulated");
    }
    !cfg!(emulated)
}

/// This program, to be run again; if that cannot be, this says that `what` is not tested. An emulator or a loader that
/// was asked to run the program does not run its children.
pub(crate) fn this_program(what: &str) -> Option<Command> {
    let this = env::current_exe().expect("a program knows where it is");
    let listed = Command::new(&this).args(["--list", "--exact", "again::there_is_this_program"]).output();
    if listed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("there_is_this_program")) {
        return Some(Command::new(this));
    }
    skipped(what, "this program cannot be started again");
    None
}

#[test]
fn there_is_this_program() {
    let Some(mut again) = this_program("starting this program again") else { return };
    let output =
        again.args(["--exact", "none of the tests has this name"]).output().expect("as it did before");
    assert!(String::from_utf8_lossy(&output.stdout).contains("running 0 tests"));
}
