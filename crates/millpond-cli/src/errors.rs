//! Exit codes: those of the program that is run are passed on, and ours are those of `env`, `timeout` and `nice`.

use std::{fmt, process::ExitCode};

/// This program failed, or was called in a wrong way.
const FAILED: u8 = 125;
/// The program to be run was found, and cannot be run.
const CANNOT_RUN: u8 = 126;
/// The program to be run was not found.
const NOT_FOUND: u8 = 127;

/// Why a program cannot be run.
#[derive(Debug)]
pub(crate) enum CannotRun {
    /// There is no such file.
    NotFound(String),
    /// There is, and the system does not run it.
    Refused(String),
}

impl fmt::Display for CannotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotFound(reason) | Self::Refused(reason)) = self;
        f.write_str(reason)
    }
}

impl std::error::Error for CannotRun {}

/// The exit code when a program ran, and could not be recorded.
pub(crate) fn failed() -> ExitCode {
    ExitCode::from(FAILED)
}

/// The exit code for an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(match error.downcast_ref() {
        Some(CannotRun::NotFound(_)) => NOT_FOUND,
        Some(CannotRun::Refused(_)) => CANNOT_RUN,
        None => FAILED,
    })
}

/// The exit code for a command line that makes no sense, or for the help that it asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done if that cannot be printed.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}
