//! What is printed: for people, or as JSON for programs.

mod help;
mod json;
mod progress;
mod table;
mod text;

use std::io::{self, Write};

use anyhow::{Context, Result};

pub(crate) use self::{
    help::{AFTER_BUNDLED, BEFORE_BUNDLED},
    json::{findings as json, verified as verified_json},
    progress::Progress,
    text::{findings as text, verified as verified_text},
};

/// Prints to standard output, in colour only on a terminal. That the reader has gone (`millpond … | head`) is fine.
pub(crate) fn print(text: &str) -> Result<()> {
    write_all(anstream::stdout().lock(), text).context("cannot write to standard output")
}

/// Prints to standard error in the same way.
pub(crate) fn print_aside(text: &str) -> Result<()> {
    write_all(anstream::stderr().lock(), text).context("cannot write to standard error")
}

fn write_all(mut output: impl Write, text: &str) -> io::Result<()> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
