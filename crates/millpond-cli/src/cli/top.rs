//! Arguments of `millpond top`.

use std::path::PathBuf;

use clap::Args;

use super::{Places, Selected};
use crate::{query, top::Column};

/// Shown below the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  millpond record -o app.mpt -- ./app &     start a program with its recording
  millpond top $(pgrep -x app)              watch it; the number of millpond itself will do, too
  millpond mark $(pgrep -x app) loaded      mark a moment; then select with ] what was allocated since and is still live
  millpond top --once $(pgrep -x app)       print one table
  millpond top app.mpt --speed 10           replay the trace later, ten times as fast
  millpond top app.mpt --at 2.5s --json     one moment of it, for scripts

Keys: q ends; < and > (or left and right) choose the column to sort by, r reverses; / filters by text, Esc removes the filter; \
p or space pauses; m sets a mark, [ and ] select a mark, and b only blocks up to the next one; up, down, PgUp, PgDn, Home, End \
scroll; ? shows help.

A program can be watched if it was started by `millpond record`. What was recorded before is read first. Calls and bytes \
per second are about the last one or two seconds, growth about the last half a minute to three quarters of one, or all time \
before that. The age is the mean age of the live blocks.

All calls are counted. Live blocks are followed one by one, unless that takes more than --cpu of one processor or there are \
more than a million of them: then one block in 2, 4, 8 ... is followed, chosen by its address, and figures have a range \
that contains the truth in about 95 of 100 cases: ~12.3 MiB with +-8 % in the next column. `?` means that too few blocks are \
followed to tell.

A call site is the first function in a stack, from the inside, that does not allocate for others: see `millpond show --help`.";

/// See [`Command::Top`](super::Command::Top).
#[derive(Args)]
pub(crate) struct Top {
    /// What to watch: the number of a process that is being recorded, the directory of its recording, or a trace, which is
    /// replayed.
    #[arg(value_name = "PID|FILE")]
    pub(crate) target: PathBuf,
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// Print one table and exit, as also if standard output is no terminal. Of a trace, the state at its end, or at --at.
    #[arg(long)]
    pub(crate) once: bool,
    /// Print one snapshot as JSON and exit. JSON.md in the sources describes its fields.
    #[arg(long)]
    pub(crate) json: bool,
    /// Factor by which a trace is replayed faster than it was recorded. [default: 1]
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with_all = ["once", "json", "at"])]
    pub(crate) speed: Option<f64>,
    /// The moment of a trace to show, from the beginning, such as 1.5s or 200ms. [default: its end]
    #[arg(long, value_name = "TIME", value_parser = query::parse_time)]
    pub(crate) at: Option<u64>,
    /// Column to sort by. [default: live, or selected with --since]
    #[arg(long, value_enum)]
    pub(crate) sort: Option<Column>,
    /// Select blocks that were allocated after this mark: its name or number.
    #[arg(long, value_name = "MARK")]
    pub(crate) since: Option<String>,
    /// Show only call sites of which a function has a name with this text, in capital or small letters.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Number of call sites in a table or in JSON.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) lines: usize,
    /// Seconds from one state of the screen to the next.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = delay)]
    pub(crate) delay: f64,
    /// CPU time to spend on a running program, as percentage of one processor.
    #[arg(long, value_name = "PERCENT", default_value_t = 4.0, value_parser = positive)]
    pub(crate) cpu: f64,
    /// Follow every block of a running program, whatever it costs.
    #[arg(long, conflicts_with = "cpu")]
    pub(crate) exact: bool,
    #[command(flatten)]
    pub(crate) places: Places,
}

impl Top {
    /// Returns the column to sort by.
    pub(crate) fn column(&self) -> Column {
        self.sort.unwrap_or(if self.since.is_some() { Column::Selected } else { Column::Live })
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| "write a number above 0".into())
}

fn delay(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.1..=3600.0).contains(number));
    number.ok_or_else(|| "write a number of seconds from 0.1 to 3600".into())
}
