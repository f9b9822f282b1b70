//! Output to standard output and standard error, adapted to what they are.

mod lines;
mod progress;

use std::{
    borrow::Cow,
    io::{self, Write},
};

use anyhow::{Context, Result};
use console::Term;

pub(crate) use self::progress::Progress;

/// Returns the width for tables: that of the terminal on standard output, or else of that on standard error.
pub(crate) fn width() -> Option<usize> {
    lines::width(&Term::stdout()).or_else(|| lines::width(&Term::stderr()))
}

/// Prints to standard output; on a terminal, in colour and no wider than the terminal. Ignores `EPIPE`
/// (`millpond … | head`).
pub(crate) fn print(text: &str) -> Result<()> {
    let text = fitting(text, &Term::stdout());
    write_all(anstream::stdout().lock(), &text).context("cannot write to standard output")
}

/// Prints to standard error in the same way.
pub(crate) fn print_aside(text: &str) -> Result<()> {
    let text = fitting(text, &Term::stderr());
    write_all(anstream::stderr().lock(), &text).context("cannot write to standard error")
}

/// Prints a message about this program itself, on a line of its own on standard error.
pub(crate) fn eprint(text: &str) {
    // The message contains names of programs and files, and a terminal would interpret control characters in these.
    let text: String = text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    // If this fails, there is nowhere to report it.
    let _ = print_aside(&format!("millpond: {text}\n"));
}

/// Returns the text in lines no wider than the terminal.
fn fitting<'a>(text: &'a str, term: &Term) -> Cow<'a, str> {
    lines::width(term).map_or(Cow::Borrowed(text), |width| Cow::Owned(lines::wrap(text, width)))
}

fn write_all(mut output: impl Write, text: &str) -> io::Result<()> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
