//! What is said on standard output and standard error, in a form that fits what they are.

mod lines;
mod progress;

use std::{
    borrow::Cow,
    io::{self, Write},
};

use anyhow::{Context, Result};
use console::Term;

pub(crate) use self::progress::Progress;

/// The width for tables: that of the terminal on standard output, or else of that on standard error.
pub(crate) fn width() -> Option<usize> {
    lines::width(&Term::stdout()).or_else(|| lines::width(&Term::stderr()))
}

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
pub(crate) fn eprint(text: &str) {
    // Names of programs and files are in it, and a terminal would obey what is in those.
    let text: String = text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    // Nothing more can be done if that fails.
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
