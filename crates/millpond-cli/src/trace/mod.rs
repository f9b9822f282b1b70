//! A trace as the rest of this program wants to see it: opened, counted, boiled down to steps.

mod histogram;
mod step;
mod threads;

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use millpond_trace::Reader;

pub(crate) use histogram::{Count, Histogram};
pub(crate) use step::{Kind, Request, Step};

/// What `millpond` replays when it is given nothing: jq, recorded as `assets/README.md` says.
static BUNDLED: &[u8] = include_bytes!("../../assets/jq.mpt");

/// Opens a trace file.
pub(crate) fn open(path: &Path) -> Result<Reader> {
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
    Reader::open(path).with_context(|| format!("cannot read {name}"))
}

/// Opens the trace that comes with the program.
pub(crate) fn bundled() -> Result<Reader> {
    Reader::from_bytes(BUNDLED).context("the bundled trace is unreadable: build millpond again")
}

/// What to call the recorded program.
pub(crate) fn program(reader: &Reader) -> String {
    let name = name_of(&reader.start().program, &reader.start().arguments);
    if name.is_empty() { "the program".into() } else { name }
}

/// What to call a program: the last part of its own name for itself, which a symbolic link would hide, or of its path;
/// with nothing in it that a terminal would obey.
pub(crate) fn name_of(path: &str, arguments: &[String]) -> String {
    let own = arguments.first().map_or("", |name| last_part(name.trim_start_matches('-')));
    printable(if own.is_empty() { last_part(path) } else { own })
}

/// The last part of a path.
pub(crate) fn last_part(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// The recorded command line, on one line.
pub(crate) fn command_line(reader: &Reader) -> String {
    let arguments = reader.start().arguments.iter().skip(1);
    [program(reader)]
        .into_iter()
        .chain(arguments.map(|argument| printable(argument)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The text without control characters.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}
