//! One recording from beginning to end.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
};

use anyhow::{Context, Result, bail};
use millpond_trace::{Start, Summary, raw};

use super::{
    collect::Collection,
    launch::{Signals, launch},
    library,
    obstacle::{self, Obstacle},
    output::Output,
    program::Program,
    scratch::Scratch,
};

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
    /// CPU time that recording took within the process, estimated; `None` if that is not known.
    pub(crate) cost_ns: Option<u64>,
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
        let code = self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0));
        ExitCode::from(code as u8)
    }
}

/// Runs a program and records it. Fails if nothing could be recorded; the program's own failure is not one.
pub(crate) fn run(options: &Options) -> Result<Recording> {
    let [name, arguments @ ..] = &options.command[..] else { bail!("no program was named") };
    let program = Program::find(name)?;
    if let Some(obstacle) = obstacle::before(&program.binary) {
        bail!("{} {obstacle}", program.binary.display());
    }
    let output = Output::create(&options.output)?;
    let scratch = Scratch::new(options.max_size)?;
    let library = library::place(scratch.path())?;
    let variables = [
        (raw::DIRECTORY, scratch.path().as_os_str().as_encoded_bytes().to_vec()),
        ("LD_PRELOAD", library::preload(&library)),
    ];
    let _signals = Signals::pass_on();
    let run = launch(&program, arguments, &variables)
        .with_context(|| format!("cannot run {}", program.path.display()))?;
    Collection::new(&scratch, &run)?.traces(output, &program)
}
