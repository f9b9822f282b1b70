//! Traces, in the form that the rest of the program needs: opened, counted, converted to steps.

mod histogram;
mod processes;
mod step;
mod steps;
mod threads;

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use millpond_trace::{Archive, Reader};

pub(crate) use histogram::{Count, Histogram};
pub(crate) use processes::{Process, Processes};
pub(crate) use step::{Kind, Request, Step};
pub(crate) use steps::Steps;

/// The trace that `millpond` replays if it is run without arguments: jq, recorded as described in `assets/README.md`.
static BUNDLED: &[u8] = include_bytes!("../../assets/jq.mpt");

/// Opens the trace of a process in a file: the one that is meant, or else the largest. Says which, if there are several.
pub(crate) fn open(path: &Path, process: Option<&str>) -> Result<Reader> {
    let processes = processes(path)?;
    let process = processes.one(process)?;
    processes.note(process);
    processes.reader(process)
}

/// Opens a file with any number of traces.
pub(crate) fn processes(path: &Path) -> Result<Processes> {
    let name = path.display();
    ensure!(
        path != Path::new("-"),
        "a trace is read several times, so it cannot come from a pipe: save it first"
    );
    let about = fs::metadata(path).with_context(|| format!("cannot open {name}"))?;
    ensure!(!about.is_dir(), "{name} is a directory: give a trace, a file made by `millpond record`");
    if !about.is_file() {
        bail!("{name} is not a regular file, and a trace is read several times: save it to a file first");
    }
    Processes::new(path, Archive::open(path).with_context(|| format!("cannot read {name}"))?)
}

/// Opens the bundled trace.
pub(crate) fn bundled() -> Result<Reader> {
    Reader::from_bytes(BUNDLED).context("the bundled trace is unreadable: build millpond again")
}

/// Returns the name of the recorded program for display.
pub(crate) fn program(reader: &Reader) -> String {
    let name = name_of(&reader.start().program, &reader.start().arguments);
    if name.is_empty() { "the program".into() } else { name }
}

/// Returns the name of a program for display: the last component of its name for itself, which a symbolic link would
/// hide, or of its path, without characters that a terminal would interpret.
pub(crate) fn name_of(path: &str, arguments: &[String]) -> String {
    let own = arguments.first().map_or("", |name| last_part(name.trim_start_matches('-')));
    printable(if own.is_empty() { last_part(path) } else { own })
}

/// Returns the last component of a path.
pub(crate) fn last_part(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// Returns the recorded command line, on one line.
pub(crate) fn command_line(reader: &Reader) -> String {
    let arguments = reader.start().arguments.iter().skip(1);
    [program(reader)]
        .into_iter()
        .chain(arguments.map(|argument| printable(argument)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Returns the text without control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}
