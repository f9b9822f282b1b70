//! `millpond replay`: to be written.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cli;

pub(crate) fn main(_: cli::Replay) -> Result<ExitCode> {
    bail!("not written yet")
}

pub(crate) fn bundled() -> Result<ExitCode> {
    bail!("not written yet")
}
