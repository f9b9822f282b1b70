//! `millpond try`: to be written.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cli;

pub(crate) fn main(_: cli::Try) -> Result<ExitCode> {
    bail!("not written yet")
}
