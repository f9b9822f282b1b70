//! Arguments of the commands that are about this program itself.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Shown below the help of the benchmarks.
pub(super) const BENCHMARKS: &str = "\
Examples:
  millpond bench                      every theme, some ten minutes
  millpond bench blocks typed-tree    one theme and one mix

Needs Rust. `cargo xtask bench` in the checkout does the same: it stores results in benches/results and draws the plots in \
docs/bench.";

/// Shown below the help of completions.
pub(super) const COMPLETIONS: &str = "\
Examples:
  millpond completions bash > ~/.local/share/bash-completion/completions/millpond
  millpond completions zsh > ~/.zfunc/_millpond     # with ~/.zfunc in fpath
  millpond completions fish > ~/.config/fish/completions/millpond.fish";

/// Shown below the help of man pages.
pub(super) const MAN_PAGES: &str = "\
Example:
  millpond man ~/.local/share/man/man1 && man millpond-record";

#[derive(Args)]
pub(crate) struct Bench {
    /// Themes or mixes. [default: all]
    #[arg(value_name = "NAMES")]
    pub(crate) names: Vec<String>,
    /// A checkout of the sources. [default: the one around the current directory]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) sources: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Args)]
pub(crate) struct ManPages {
    /// Directory for the pages; it is created if necessary.
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
    /// Overwrite pages that exist.
    #[arg(short, long)]
    pub(crate) force: bool,
}
