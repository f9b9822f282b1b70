//! `millpond record`: to be written.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cli;

pub(crate) fn main(_: cli::Record) -> Result<ExitCode> {
    bail!("not written yet")
}
