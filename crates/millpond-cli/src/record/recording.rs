//! The options of a recording, and its result.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
};

use millpond_trace::{Start, Summary};

use super::error::RecordError;
use crate::errors;

/// The options of a recording.
#[derive(Clone)]
pub(crate) struct Options {
    /// The program and its arguments; empty if a recording is recovered.
    pub(crate) command: Vec<OsString>,
    /// The file for the trace.
    pub(crate) output: PathBuf,
    /// Whether existing files may be replaced.
    pub(crate) force: bool,
    /// Whether the program's standard output goes to standard error.
    pub(crate) aside: bool,
    /// Max bytes to write to the directory for temporary files; by default, half of the free space there.
    pub(crate) max_size: Option<u64>,
    /// The number or name of the processes to keep; by default, all.
    pub(crate) process: Option<String>,
    /// Whether only the largest of these is kept.
    pub(crate) one: bool,
    /// Whether arguments of programs are left out of the traces.
    pub(crate) no_args: bool,
    /// The call stacks to record.
    pub(crate) stacks: StackOptions,
    /// Whether the addresses and usable sizes of blocks are recorded.
    pub(crate) addresses: bool,
}

/// Which call stacks are recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StackOptions {
    /// Max frames in the stack of an allocation; 0: only the address of the caller.
    pub(crate) frames: u32,
    /// Whether frees have stacks too.
    pub(crate) of_frees: bool,
    /// Every stack of this number is compared with what the compiler's library finds; 0: none.
    pub(crate) check_every: u32,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self { frames: FULL, of_frees: false, check_every: 0 }
    }
}

impl StackOptions {
    /// Returns the options for the address of the caller alone, which costs least.
    pub(crate) fn callers() -> Self {
        Self { frames: 0, ..Self::default() }
    }
}

/// Max frames in a stack.
const FULL: u32 = 1024;

/// Parses the number of frames to record: `full`, a number or `caller`.
pub(crate) fn parse_frames(text: &str) -> Result<u32, String> {
    match text {
        "full" => Ok(FULL),
        "caller" => Ok(0),
        number => match number.parse() {
            Ok(frames @ 1..=FULL) => Ok(frames),
            _ => Err(format!("expected full, caller or a number of frames from 1 to {FULL}")),
        },
    }
}

/// The result of a recording.
pub(crate) struct Recording {
    /// The file with the traces.
    pub(crate) path: PathBuf,
    /// Its length; 0 if it was not kept as a file.
    pub(crate) bytes: u64,
    /// The traces in it, the largest first.
    pub(crate) traces: Vec<Trace>,
    /// Processes whose traces are not kept.
    pub(crate) others: Vec<Other>,
    /// Why the process that was requested, or started, has no trace.
    pub(crate) error: Option<(PathBuf, RecordError)>,
    /// The program that was run, and how it ended.
    pub(crate) program: String,
    pub(crate) status: ExitStatus,
    /// The signal that stopped the writing of traces early.
    pub(crate) interrupted: Option<i32>,
    /// Processes that tried to record and could not create their files.
    pub(crate) failed: usize,
    /// Processes that were in a sandbox from their start.
    pub(crate) sandboxed: usize,
    /// Number of programs that were started in a sandbox, without rights or in another root directory, and did not record;
    /// nothing else is known about them.
    pub(crate) missing: usize,
    /// Programs that were started and did not load the recorder.
    pub(crate) escaped: Vec<Escape>,
    /// Number of stacks that were compared with what the compiler's library finds, and of those that differed.
    pub(crate) compared: [u64; 2],
}

/// One process image in a recording.
pub(crate) struct Trace {
    /// The bytes that it takes in the file.
    pub(crate) bytes: u64,
    /// The name of the program.
    pub(crate) name: String,
    /// The metadata at the start of the trace.
    pub(crate) start: Start,
    /// The summary at its end.
    pub(crate) summary: Summary,
}

/// A process image that a report only mentions.
pub(crate) struct Other {
    /// The name of the program.
    pub(crate) name: String,
    /// Process number.
    pub(crate) process: u32,
    /// Number of its events.
    pub(crate) events: u64,
    /// CPU time that it used, in nanoseconds, as far as it is known.
    pub(crate) cpu_ns: u64,
}

impl From<&Trace> for Other {
    fn from(trace: &Trace) -> Self {
        let (name, summary) = (trace.name.clone(), &trace.summary);
        Self { name, process: trace.start.process, events: summary.events, cpu_ns: summary.cpu_ns }
    }
}

/// A program that was started without being recorded.
pub(crate) struct Escape {
    /// The name as given.
    pub(crate) program: PathBuf,
    /// The process, if its number is known.
    pub(crate) process: Option<u32>,
    /// The reason.
    pub(crate) error: RecordError,
}

impl Recording {
    /// Returns the largest trace of those that were requested.
    pub(crate) fn chosen(&self) -> Option<&Trace> {
        self.traces.first().filter(|_| self.error.is_none())
    }

    /// Returns whether there was only one process.
    pub(crate) fn is_alone(&self) -> bool {
        self.traces.len() + self.others.len() == 1
    }

    /// Returns the signal that ended the program.
    pub(crate) fn signal(&self) -> Option<i32> {
        #[cfg(unix)]
        return std::os::unix::process::ExitStatusExt::signal(&self.status);
        #[cfg(not(unix))]
        None
    }

    /// Returns the exit code of the program, or 128 plus the signal that ended it, as in a shell; if the requested process
    /// could not be recorded, the code for a failure.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.chosen().is_none() {
            return errors::failed();
        }
        let ended = self.interrupted.or(self.signal()).map(|signal| 128 + signal);
        ExitCode::from(ended.or(self.status.code()).unwrap_or_default() as u8)
    }
}
