//! Arguments of `millpond check`.

use std::path::PathBuf;

use clap::Args;

use super::{Filter, Places, Selected};

/// Shown below the help of `check`.
pub(super) const EXAMPLES: &str = "\
Examples:
  millpond check run.mpt --write-budget budget.toml
  millpond check run1.mpt run2.mpt run3.mpt --write-budget budget.toml --tolerance 0.2
  millpond check run.mpt --budget budget.toml --junit report.xml --markdown \"$GITHUB_STEP_SUMMARY\"

A budget has max values of allocations, bytes, peak_bytes, live_bytes (at the end of the recording), growth_bytes (in the \
second half of the recording) and temporaries for the program in [total], and for call stacks in [[site]], which are given \
by `function`, the name of a function anywhere in the stack, or by `site`, a regular expression as for --site. Time is \
shown but never checked.

Of several equal runs, a value is exceeded if all runs exceed it. If some do, that is said, and is no failure.

Exit codes: 0 if nothing is exceeded, 1 if something is, 2 if the check could not be made.";

#[derive(Args)]
pub(crate) struct Check {
    /// Recordings of one or more equal runs.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) traces: Vec<PathBuf>,
    /// The budget to check against.
    #[arg(long, value_name = "BUDGET", required_unless_present = "write_budget")]
    pub(crate) budget: Option<PathBuf>,
    /// Write a budget that these runs keep, with the program and its largest call sites: the largest value of all runs, plus
    /// the range of the runs, plus the tolerance.
    #[arg(long, value_name = "BUDGET", conflicts_with = "budget")]
    pub(crate) write_budget: Option<PathBuf>,
    /// How much more than these runs the budget allows, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.5, requires = "write_budget", value_parser = percent)]
    pub(crate) tolerance: f64,
    /// Overwrite BUDGET if it exists.
    #[arg(short, long, requires = "write_budget")]
    pub(crate) force: bool,
    /// Print JSON. JSON.md in the sources describes its fields.
    #[arg(long, conflicts_with = "write_budget")]
    pub(crate) json: bool,
    /// Write a report in the XML of JUnit to this file, which is overwritten.
    #[arg(long, value_name = "FILE", conflicts_with = "write_budget")]
    pub(crate) junit: Option<PathBuf>,
    /// Write what is exceeded in SARIF 2.1.0 to this file, which is overwritten.
    #[arg(long, value_name = "FILE", conflicts_with = "write_budget")]
    pub(crate) sarif: Option<PathBuf>,
    /// Append a summary in Markdown to this file, such as $GITHUB_STEP_SUMMARY.
    #[arg(long, value_name = "FILE", conflicts_with = "write_budget")]
    pub(crate) markdown: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) selected: Selected,
    #[command(flatten)]
    pub(crate) places: Places,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches(['%', ' ']).parse().ok();
    let number = number.filter(|number: &f64| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "write a number of percent from 0 to 100, such as 0.5".into())
}
