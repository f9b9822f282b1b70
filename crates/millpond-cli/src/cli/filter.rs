//! Arguments that select blocks, for the commands that show, export, compare or check them.

use clap::Args;
use regex::Regex;

use crate::query::{self, Lifetime, Range};

/// Which blocks count: those that meet all conditions.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Only some blocks (those that meet all conditions, from allocation to free)")]
pub(crate) struct Filter {
    /// Blocks whose call stack has this pattern, a regular expression, in `function (file:line) < caller (file:line) < …`
    /// with the whole names of functions; may be given several times.
    #[arg(long, value_name = "REGEX")]
    pub(crate) site: Vec<Regex>,
    /// Blocks whose call stack does not have this pattern; may be given several times.
    #[arg(long, value_name = "REGEX")]
    pub(crate) not_site: Vec<Regex>,
    /// Blocks allocated with this many bytes: 64, or 1Ki..4Ki (both ends included), or 1M.. or ..100. Later resizes do
    /// not matter.
    #[arg(long, value_name = "RANGE", value_parser = query::parse_sizes)]
    pub(crate) size: Option<Range>,
    /// Blocks freed after this time, such as ..10us or 1ms..2s; or kept: blocks live at the end of the recording.
    #[arg(long, value_name = "RANGE", value_parser = query::parse_lifetime)]
    pub(crate) lifetime: Option<Lifetime>,
    /// Blocks that these threads allocated: numbers or names, separated by commas.
    #[arg(long, value_name = "THREADS", value_delimiter = ',')]
    pub(crate) thread: Vec<String>,
    /// Blocks allocated in this time since recording began, such as 1.5s..2s or 100ms..
    #[arg(long, value_name = "RANGE", value_parser = query::parse_times)]
    pub(crate) time: Option<Range>,
}
