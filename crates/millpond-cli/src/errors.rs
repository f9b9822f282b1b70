//! Exit codes: those of the program that is run are passed on; the program's own are those of `env`, `timeout` and
//! `nice`, except that `check` has those of programs that compare, such as `diff`: 1 for a difference, 2 for trouble.

use std::{fmt, process::ExitCode};

/// A check could not be made, or its arguments are invalid.
const NOT_CHECKED: u8 = 2;
/// This program failed, or its arguments are invalid.
const FAILED: u8 = 125;
/// The program to run was found but cannot be run.
const CANNOT_RUN: u8 = 126;
/// The program to run was not found.
const NOT_FOUND: u8 = 127;

/// Why a program cannot be run.
#[derive(Debug)]
pub(crate) enum CannotRun {
    /// No such file.
    NotFound(String),
    /// The file exists, but the system does not run it.
    Refused(String),
}

impl fmt::Display for CannotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotFound(reason) | Self::Refused(reason)) = self;
        f.write_str(reason)
    }
}

impl std::error::Error for CannotRun {}

/// The reason why a check could not be made.
#[derive(Debug)]
pub(crate) struct BadInput(pub(crate) anyhow::Error);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for BadInput {}

/// The exit code if a program ran but could not be recorded.
pub(crate) fn failed() -> ExitCode {
    ExitCode::from(FAILED)
}

/// Returns the exit code for an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<BadInput>() {
        return ExitCode::from(NOT_CHECKED);
    }
    ExitCode::from(match error.downcast_ref() {
        Some(CannotRun::NotFound(_)) => NOT_FOUND,
        Some(CannotRun::Refused(_)) => CANNOT_RUN,
        None => FAILED,
    })
}

/// Returns the exit code for an invalid command line, or for the help that it requested.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // An error while printing is ignored, because there is nowhere to report it.
    let _ = error.print();
    let is_check = std::env::args_os().nth(1).is_some_and(|command| command == "check");
    match error.use_stderr() {
        true if is_check => ExitCode::from(NOT_CHECKED),
        true => ExitCode::from(FAILED),
        false => ExitCode::SUCCESS,
    }
}
