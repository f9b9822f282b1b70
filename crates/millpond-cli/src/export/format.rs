//! The formats.

use clap::ValueEnum;
use millpond_trace::{Lack, analysis::Totals};
use serde::Serialize;

/// A format of other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line for each call stack, for flame graphs: flamegraph.pl, inferno, speedscope.
    Folded,
    /// JSON for the viewer speedscope, with a profile for each measure.
    Speedscope,
    /// A profile for `go tool pprof` and pprof.
    Pprof,
    /// JSON for valgrind's dh_view.html.
    Dhat,
    /// Live bytes over time for valgrind's ms_print and for massif-visualizer.
    Massif,
    /// Every event, for heaptrack_print and heaptrack_gui.
    Heaptrack,
    /// A table with a row for each call stack.
    Csv,
    /// A table with a row for each event.
    CsvEvents,
    /// All tables and events: a JSON object in each line.
    #[value(name = "jsonl")]
    JsonLines,
    /// All tables and events of all processes, in a folder of tables for DuckDB, DataFusion, Spark and other SQL engines.
    Parquet,
}

impl Format {
    /// Returns what a trace must not lack.
    pub(super) fn needs(self) -> &'static [Lack] {
        match self {
            Self::Folded | Self::Speedscope | Self::Pprof | Self::Csv => &[],
            Self::Heaptrack | Self::CsvEvents | Self::JsonLines | Self::Parquet => &[Lack::Order],
            Self::Dhat | Self::Massif => &[Lack::Order, Lack::Times],
        }
    }

    /// Returns whether its files are compressed whatever their name.
    pub(crate) fn is_compressed(self) -> bool {
        self == Self::Pprof
    }
}

/// A figure of call stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Measure {
    /// Bytes requested.
    Bytes,
    /// Allocations and resizes.
    Calls,
    /// Bytes live when most bytes of the program are.
    Peak,
    /// Bytes live at the end of the recording.
    Live,
    /// Blocks that the thread freed with its next event.
    Temporary,
}

impl Measure {
    /// Returns what a trace must not lack.
    pub(crate) fn needs(self) -> &'static [Lack] {
        match self {
            Self::Bytes | Self::Calls | Self::Live => &[],
            Self::Peak => &[Lack::Peak],
            Self::Temporary => &[Lack::Threads],
        }
    }

    /// Returns the figure of a stack.
    pub(crate) fn of(self, totals: &Totals) -> u64 {
        match self {
            Self::Bytes => totals.bytes,
            Self::Calls => totals.calls,
            Self::Peak => totals.peak_bytes,
            Self::Live => totals.live_bytes,
            Self::Temporary => totals.temporaries,
        }
    }
}
