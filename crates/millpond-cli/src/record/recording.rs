//! What is to be recorded, and what was.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
};

use millpond_trace::{Start, Summary};

use super::error::RecordError;
use crate::errors;

/// What is to be recorded.
pub(crate) struct Options {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Where the trace goes.
    pub(crate) output: PathBuf,
    /// Whether files that are there may be replaced.
    pub(crate) force: bool,
    /// Most bytes to be written to the directory for temporary files; half of what is free there if not said.
    pub(crate) max_size: Option<u64>,
    /// The number or name of the process to keep; if not said, the program that the first process became last.
    pub(crate) process: Option<String>,
    /// Whether the traces of all other processes are kept too.
    pub(crate) all: bool,
}

/// What was recorded.
pub(crate) struct Recording {
    /// The trace of the chosen process first, if it has one, then those of others, if they are kept, in the order of their
    /// start.
    pub(crate) traces: Vec<Trace>,
    /// Processes whose traces are not kept.
    pub(crate) others: Vec<Other>,
    /// Why the chosen process has no trace.
    pub(crate) error: Option<(PathBuf, RecordError)>,
    /// The program that was run, and how it ended.
    pub(crate) program: String,
    pub(crate) status: ExitStatus,
    /// The signal that ended the writing of traces early.
    pub(crate) interrupted: Option<i32>,
    /// Processes that wanted to record and could not make their files.
    pub(crate) failed: usize,
    /// Processes that were in a sandbox from their start.
    pub(crate) sandboxed: usize,
    /// Programs that were started and did not load the recorder.
    pub(crate) escaped: Vec<Escape>,
}

/// One process image in a recording.
pub(crate) struct Trace {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its length; 0 if it was not kept as a file.
    pub(crate) bytes: u64,
    /// Whether this is the process that was asked for, and not another.
    pub(crate) is_chosen: bool,
    /// What the program was called.
    pub(crate) name: String,
    /// What the trace itself says at its beginning.
    pub(crate) start: Start,
    /// And at its end.
    pub(crate) summary: Summary,
}

/// A process image whose trace is not kept.
pub(crate) struct Other {
    /// What the program was called.
    pub(crate) name: String,
    /// Process number.
    pub(crate) process: u32,
    /// How many events it has.
    pub(crate) events: u64,
    /// CPU time that it used, in nanoseconds, as far as it is known.
    pub(crate) cpu_ns: u64,
}

/// A program that was started, and of which nothing was recorded.
pub(crate) struct Escape {
    /// As it was named.
    pub(crate) program: PathBuf,
    /// The process, if its number is known.
    pub(crate) process: Option<u32>,
    /// Why.
    pub(crate) error: RecordError,
}

impl Recording {
    /// The trace of the chosen process.
    pub(crate) fn chosen(&self) -> Option<&Trace> {
        self.traces.first().filter(|trace| trace.is_chosen)
    }

    /// The signal that ended the program.
    pub(crate) fn signal(&self) -> Option<i32> {
        #[cfg(unix)]
        return std::os::unix::process::ExitStatusExt::signal(&self.status);
        #[cfg(not(unix))]
        None
    }

    /// The program's exit code, or 128 and the signal that ended it, as a shell has it; if the chosen process could not be
    /// recorded, that of a failure.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.chosen().is_none() {
            return errors::failed();
        }
        let ended = self.interrupted.or(self.signal()).map(|signal| 128 + signal);
        ExitCode::from(ended.or(self.status.code()).unwrap_or_default() as u8)
    }
}
