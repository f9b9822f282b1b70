//! Arguments of `millpond diff`.

use std::path::PathBuf;

use clap::Args;

use super::{Filter, Places, Selected};
use crate::export::Measure;

/// Shown below the help of `diff`.
pub(super) const EXAMPLES: &str = "\
Examples:
  millpond diff old.mpt new.mpt
  millpond diff old1.mpt old2.mpt old3.mpt --to new1.mpt new2.mpt new3.mpt
  millpond diff old.mpt new.mpt --folded bytes | flamegraph.pl > diff.svg

With several runs of each side, a figure counts as changed if the runs of both sides are farther apart than those of either \
side are from each other. With one run of each, every difference is listed, as one run cannot say what is noise. \
Of figures with normally distributed noise that have not changed, about one in 11 counts as changed with two runs of each \
side, one in 130 with three, and one in 1,500 with four: comparisons of many call sites need more runs.

A call site is matched by the name of its function (inlined or not), as addresses and lines differ between builds.";

#[derive(Args)]
pub(crate) struct Diff {
    /// The recordings before: one or more equal runs of a program. Without --to, the last one is the recording after.
    #[arg(value_name = "BEFORE", required = true)]
    pub(crate) before: Vec<PathBuf>,
    /// The recordings after: one or more equal runs of the changed program.
    #[arg(long, value_name = "AFTER", num_args = 1..)]
    pub(crate) to: Vec<PathBuf>,
    /// Print JSON. JSON.md in the sources describes its fields.
    #[arg(long, conflicts_with = "folded")]
    pub(crate) json: bool,
    /// Print call stacks with this number before and after, as flamegraph.pl reads them for differential flame graphs.
    #[arg(long, value_enum, value_name = "MEASURE")]
    pub(crate) folded: Option<Measure>,
    #[command(flatten)]
    pub(crate) selected: Selected,
    #[command(flatten)]
    pub(crate) places: Places,
    #[command(flatten)]
    pub(crate) filter: Filter,
}
