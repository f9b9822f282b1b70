//! Helpers for tests that cannot run everywhere: a message that a test was skipped, and this program started again for
//! tests that need a process of their own.

use std::{
    env,
    io::{Write, stderr},
    process::Command,
};

/// Reports that something is not tested, even when the test passes: the harness captures what macros print.
pub(crate) fn skipped(what: &str, why: &str) {
    let said = writeln!(stderr(), "SKIPPED: {what}, because {why}");
    said.expect("standard error is open");
}

/// Returns whether tests are wanted that take long and rarely fail; if not, says that this one is skipped.
pub(crate) fn slow_tests_are_wanted(what: &str) -> bool {
    let wanted = env::var_os("MILLPOND_SLOW_TESTS").is_some();
    if !wanted {
        skipped(what, "it takes long: set MILLPOND_SLOW_TESTS");
    }
    wanted
}

/// Returns whether the kernel acts on a program's hints about its pages; if not, reports that `what` is not tested. An
/// emulator does not pass such hints on.
#[cfg(target_os = "linux")]
pub(crate) fn kernel_acts(what: &str) -> bool {
    if cfg!(emulated) {
        skipped(what, "this program is emulated");
    }
    !cfg!(emulated)
}

/// Returns this program, to be run again; if that is impossible, reports that `what` is not tested. An emulator or a
/// loader that was asked to run the program does not run its children.
pub(crate) fn this_program(what: &str) -> Option<Command> {
    let this = env::current_exe().expect("a program knows where it is");
    let listed = Command::new(&this).args(["--list", "--exact", "again::runs_again"]).output();
    if listed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("runs_again")) {
        return Some(Command::new(this));
    }
    skipped(what, "this program cannot be started again");
    None
}

#[test]
fn runs_again() {
    let Some(mut again) = this_program("starting this program again") else { return };
    let output =
        again.args(["--exact", "none of the tests has this name"]).output().expect("as it did before");
    assert!(String::from_utf8_lossy(&output.stdout).contains("running 0 tests"));
}
