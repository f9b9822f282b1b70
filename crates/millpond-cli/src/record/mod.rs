//! `millpond record`: runs a program under the recorder, and converts the recorder's files into traces.
//!
//! Recording needs Linux; the descriptions of recordings (`recording`, `error`, `report`) do not.

use anyhow::Result;

mod error;
#[cfg(recorder)]
mod linux;
mod recording;
mod report;
mod size;

pub(crate) use recording::{Options, Recording, Trace};
pub(crate) use report::{about, all as report};
pub(crate) use size::parse_size;

/// Runs a program and records it. Fails if nothing could be recorded; a failure of the program itself is not an error.
pub(crate) fn run(options: &Options) -> Result<Recording> {
    #[cfg(recorder)]
    return linux::run(options);
    #[cfg(not(recorder))]
    anyhow::bail!(
        "cannot record {:?} here: that needs Linux with glibc, on x86-64 or aarch64; traces made there can be replayed",
        options.command
    )
}
