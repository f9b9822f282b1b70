//! What is printed: for people, or as JSON for programs.

mod help;
mod json;
mod lines;
mod progress;
mod table;
mod text;

use std::{
    borrow::Cow,
    io::{self, Write},
};

use anyhow::{Context, Result};
use console::Term;

pub(crate) use self::{
    help::{AFTER_BUNDLED, BEFORE_BUNDLED},
    json::{findings as json, verified as verified_json},
    progress::Progress,
    text::{findings as text, verified as verified_text},
};

/// Prints to standard output, on a terminal in colour and no wider than that. That the reader has gone
/// (`millpond … | head`) is fine.
pub(crate) fn print(text: &str) -> Result<()> {
    let text = fitting(text, &Term::stdout());
    write_all(anstream::stdout().lock(), &text).context("cannot write to standard output")
}

/// Prints to standard error in the same way.
pub(crate) fn print_aside(text: &str) -> Result<()> {
    let text = fitting(text, &Term::stderr());
    write_all(anstream::stderr().lock(), &text).context("cannot write to standard error")
}

/// Says something about what this program does, in a line of its own on standard error.
pub(crate) fn tell(text: &str) {
    // There is nobody else to tell if that fails.
    let _ = print_aside(&format!("millpond: {text}\n"));
}

/// The text in lines no wider than the terminal.
fn fitting<'a>(text: &'a str, term: &Term) -> Cow<'a, str> {
    lines::width(term).map_or(Cow::Borrowed(text), |width| Cow::Owned(lines::wrap(text, width)))
}

fn write_all(mut output: impl Write, text: &str) -> io::Result<()> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
