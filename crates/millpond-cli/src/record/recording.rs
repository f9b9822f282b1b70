//! What is to be recorded, and what was.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
};

use millpond_trace::{Start, Summary};

use super::obstacle::Obstacle;

/// What is to be recorded.
pub(crate) struct Options {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Where the program's own trace goes; those of other processes go beside it.
    pub(crate) output: PathBuf,
    /// Most bytes to be written to the directory for temporary files; half of what is free there if not said.
    pub(crate) max_size: Option<u64>,
}

/// What was recorded.
pub(crate) struct Recording {
    /// The program's own trace first, if it has one, then those of the other processes in the order of their start.
    pub(crate) traces: Vec<Trace>,
    /// Why the program itself has no trace, or only a small part of one.
    pub(crate) obstacle: Option<(PathBuf, Obstacle)>,
    /// How the program ended.
    pub(crate) status: ExitStatus,
    /// Processes that wanted to record and could not make their files.
    pub(crate) failed: usize,
}

/// One process image in a recording.
pub(crate) struct Trace {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
    /// Whether this is the program that was to be recorded, and not another that it started or was started by.
    pub(crate) is_program: bool,
    /// What the trace itself says at its beginning.
    pub(crate) start: Start,
    /// And at its end.
    pub(crate) summary: Summary,
    /// Why recording stopped before the process did.
    pub(crate) stopped: Option<String>,
}

impl Recording {
    /// The program's own trace.
    pub(crate) fn program(&self) -> Option<&Trace> {
        self.traces.first().filter(|trace| trace.is_program)
    }

    /// The program's exit code, or 128 and the signal that ended it, as a shell has it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&self.status);
        #[cfg(not(unix))]
        let signal = None;
        let code = self.status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0));
        ExitCode::from(code as u8)
    }
}
