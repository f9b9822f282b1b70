//! `millpond bench`: measures the tables and plots of BENCHMARKS.md again.
//!
//! The benchmarks have all peers as dependencies, so they are no part of this program: it starts them in a checkout of the
//! sources.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};

use crate::cli;

/// Runs the command.
pub(crate) fn run(arguments: &cli::Bench) -> Result<ExitCode> {
    let root = checkout(arguments)?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&root).args(["xtask", "bench"]).args(&arguments.names);
    let status = cargo.status().context("cannot start cargo, which builds and runs the benchmarks")?;
    Ok(match status.code() {
        Some(0) => ExitCode::SUCCESS,
        _ => bail!("the benchmarks failed: {status}"),
    })
}

/// Returns the checkout that the arguments name, or else the one around the current directory.
fn checkout(arguments: &cli::Bench) -> Result<PathBuf> {
    if let Some(root) = &arguments.sources {
        if is_checkout(root) {
            return Ok(root.clone());
        }
        bail!(
            "{} is not a checkout of Millpond: it has no BENCHMARKS.md and benches/results",
            root.display()
        );
    }
    let here = env::current_dir().context("cannot find the current directory")?;
    let found = here.ancestors().find(|root| is_checkout(root));
    found.map(Path::to_owned).context(
        "the benchmarks are in the sources of Millpond: run this in a checkout of them, or name one with --sources",
    )
}

fn is_checkout(root: &Path) -> bool {
    root.join("BENCHMARKS.md").is_file() && root.join("benches/results").is_dir()
}
