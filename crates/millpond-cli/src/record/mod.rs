//! `millpond record`: runs a program under the recorder, and converts the recorder's files into traces.
//!
//! Recording needs Linux; the descriptions of recordings (`recording`, `error`, `report`) do not.

use std::path::Path;

use anyhow::Result;

pub(crate) mod blocks;
mod error;
#[cfg(recorder)]
mod linux;
mod recording;
mod report;

#[cfg(recorder)]
pub(crate) use linux::{Follower, Program, preloadable};
pub(crate) use recording::{Options, Recording, StackOptions, parse_frames};
pub(crate) use report::{about, all as report};

/// Runs a program and records it. Fails if nothing could be recorded; a failure of the program itself is not an error.
pub(crate) fn run(options: &Options) -> Result<Recording> {
    #[cfg(recorder)]
    return linux::run(options);
    #[cfg(not(recorder))]
    Err(refusal(&options.command))
}

/// Returns why a program cannot be run here to record it.
#[cfg(not(recorder))]
pub(crate) fn refusal(command: &[std::ffi::OsString]) -> anyhow::Error {
    anyhow::anyhow!("cannot record {command:?} here: {NEEDS}")
}

/// Completes a recording whose directory was left behind, and deletes the directory.
pub(crate) fn recover(directory: &Path, options: &Options) -> Result<Recording> {
    #[cfg(recorder)]
    return linux::recover(directory, options);
    #[cfg(not(recorder))]
    anyhow::bail!("cannot write {} from {} here: {NEEDS}", options.output.display(), directory.display())
}

/// Names this moment in a recording that is in progress: that of a process, or in a directory.
pub(crate) fn mark(target: &Path, name: &str) -> Result<()> {
    #[cfg(recorder)]
    return linux::mark(target, name);
    #[cfg(not(recorder))]
    anyhow::bail!("cannot mark {name:?} in {} here: {NEEDS}", target.display())
}

/// What recording needs.
#[cfg(not(recorder))]
pub(crate) const NEEDS: &str =
    "that needs Linux with glibc or musl, on x86-64 or aarch64; traces made there can be replayed";
