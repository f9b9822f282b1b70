//! Standard input, which every run of a program reads from the same position.

use std::{
    fs::File,
    io::{self, IsTerminal, Seek, SeekFrom},
    os::fd::{AsFd, AsRawFd},
};

use anyhow::{Context, Result};

use crate::terminal;

/// What programs read as standard input.
pub(super) enum Input {
    /// The terminal.
    Terminal,
    /// Nothing, instead of a terminal.
    Empty,
    /// A file, from this position on.
    File(File, u64),
}

impl Input {
    /// Makes standard input such that several runs can read it. A pipe is saved in a temporary file that takes its place;
    /// a terminal is replaced by nothing, unless it `may_be_terminal`.
    pub(super) fn repeatable(may_be_terminal: bool) -> Result<Self> {
        let input = io::stdin();
        if input.is_terminal() {
            if may_be_terminal {
                return Ok(Self::Terminal);
            }
            let nothing = File::open("/dev/null").context("cannot open /dev/null")?;
            replace(libc::STDIN_FILENO, nothing.as_raw_fd());
            return Ok(Self::Empty);
        }
        let mut file = File::from(input.as_fd().try_clone_to_owned().context("cannot read standard input")?);
        if let Ok(place) = file.stream_position() {
            return Ok(Self::File(file, place));
        }
        terminal::eprint(
            "standard input is saved in a temporary file first, because each run reads all of it",
        );
        let mut save = || {
            let mut saved = tempfile::tempfile()?;
            io::copy(&mut file, &mut saved)?;
            saved.rewind()?;
            io::Result::Ok(saved)
        };
        let saved = save().context("cannot save standard input in a temporary file (in TMPDIR)")?;
        replace(libc::STDIN_FILENO, saved.as_raw_fd());
        Ok(Self::File(saved, 0))
    }

    /// Goes back to where the first run began.
    pub(super) fn rewind(&mut self) -> Result<()> {
        if let Self::File(file, place) = self {
            file.seek(SeekFrom::Start(*place)).context("cannot read standard input again")?;
        }
        Ok(())
    }
}

/// Makes standard input, output or error, given by its number, refer to `file`.
pub(super) fn replace(number: i32, file: i32) {
    // SAFETY: both descriptors are open, and no value in this process owns the one that is replaced: the handles of std
    // only use it.
    unsafe { libc::dup2(file, number) };
}
