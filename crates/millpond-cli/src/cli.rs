//! Command-line arguments.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

mod check;
mod diff;
mod extras;
mod filter;
mod top;
mod r#try;

pub(crate) use self::{
    check::Check,
    diff::Diff,
    extras::{Bench, Completions, ManPages},
    filter::Filter,
    top::Top,
    r#try::Try,
};
use crate::{
    export::{Format, Measure},
    import, record,
    replay::{Choice, Name, Touch},
    size::parse_size,
};

/// Record what a program allocates, and find out whether memory pools would help it.
///
/// Start with `millpond try -- PROGRAM ARGS…`.
#[derive(Parser)]
#[command(name = "millpond", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Shown below the help of all that run a program.
const EXIT_CODES: &str = "\
Exit codes: `record` and `try` exit as the program does (with 128 + N if signal N ended it), or with 127 if it was not \
found, 126 if it cannot be run, and 125 if millpond itself failed. The other commands exit with 0, or with \
125 if they failed, except `check`.\n\n\
Progress is not shown if the variable MILLPOND_NO_PROGRESS is set.";

/// Shown below the help of what names functions.
const SYMBOLS: &str = "\
Functions are named by debug information of the same build (by its build id): in the program's files, in /usr/lib/debug, \
in the folders of --debug-dir, on servers with --debuginfod; and by symbol tables where there is none. What was found is \
kept in millpond/symbols in the directory for caches (XDG_CACHE_HOME).\n\n\
A call site is the first function in a stack, from the inside, that does not allocate for others, as malloc, operator \
new, containers of standard libraries and wrappers of malloc do. Its blocks are \"temporary\" (nine of ten are freed by \
the next event of their thread), \"kept\" (half or more are live at the end of the recording), \"short\" (half of those \
freed live for less than a hundredth of the recording), or \"long\". A block belongs to the site that allocated it, \
however often it is resized.";

/// Shown below the help of advice.
const ADVICE: &str = "\
Examples:
  millpond record -o app.mpt -- ./app     record a program
  millpond advise app.mpt                 say what to do about its call sites
  millpond advise app.mpt --code          with code to paste
  millpond advise app.mpt --sites 1,3     replay with only these two sites changed
  millpond advise app.mpt --site parse    only call sites with this in their stacks
  millpond advise app.mpt --second b.mpt  and whether another recording agrees

A call site is the first function in a stack, from the inside, that does not allocate for others, as malloc, operator \
new, containers of standard libraries and wrappers of malloc do. Sites with fewer than 100 calls, or less than 0.2 % of \
the program's calls, and those with large blocks are left alone.\n\n\
The gain is what the replay of all allocations takes less if the blocks of the site come from what is advised, and all \
others from malloc, as a share of the program's CPU time. It has a range; where that is wider than 5 points and wider \
than a third of the gain, millpond cannot tell. Predictions, for which the same holds, are made from the number of calls \
alone. A pool of one thread to which others return blocks is replayed as a pool that all threads share.\n\n\
Progress is not shown if the variable MILLPOND_NO_PROGRESS is set. The exit code is 0, or 125 if millpond failed.";

/// Shown below the help of the command that exports.
const EXPORTS: &str = "\
What opens the files, and which of these programs were tried with this version:\n  \
folded      flamegraph.pl, inferno, speedscope (tried)\n  \
speedscope  https://www.speedscope.app (tried, and checked against its schema)\n  \
pprof       go tool pprof (tried)\n  \
dhat        valgrind's dh_view.html in a browser (tried)\n  \
massif      ms_print (tried), massif-visualizer\n  \
heaptrack   heaptrack_print (tried), heaptrack_gui; OUT must end with .gz or .zst, or is not compressed\n  \
csv         spreadsheets, pandas, sqlite3 (tried), DuckDB\n  \
jsonl       jq (tried), DuckDB; JSON.md in the sources describes its fields\n  \
parquet     DuckDB and DataFusion (tried), Spark (its views were); PARQUET.md in the sources describes the tables, with SQL for them. Needs a \
millpond that was built with the feature \"parquet\"\n\n\
If the name of OUT ends with .gz or .zst, the file is compressed; pprof always is, by gzip.\n\n\
A block that is resized belongs, in the formats folded, speedscope, pprof and csv, to the call stack that allocated it, \
as in `millpond show`; in dhat, massif and heaptrack, to the one that resized it last, as in these programs. \
A block that no stack is known for is of \"(unknown caller)\".\n\n\
Examples:\n  \
millpond export app.mpt --to pprof -o app.pb.gz && go tool pprof -http : app.pb.gz\n  \
millpond export app.mpt --to heaptrack -o app.gz && heaptrack_print app.gz\n  \
millpond export app.mpt --to folded --measure peak | flamegraph.pl --countname bytes > app.svg\n  \
millpond export app.mpt --to dhat -o app.dhat.json    # open it in /usr/libexec/valgrind/dh_view.html\n  \
millpond export app.mpt --to jsonl | jq 'select(.type == \"event\" and .size > 4096)'\n  \
millpond export app.mpt --to parquet -o fleet --host web1 --service-version 1.2";

/// Shown below the help of the report.
const REPORT: &str = "\
Examples:\n  \
millpond record -o app.mpt -- ./app\n  \
millpond report app.mpt                 # writes app.html\n  \
millpond report app.mpt -o - > page.html\n  \
millpond report app.mpt --no-replay     # faster, without what is measured\n  \
millpond report app.mpt --thread worker # about blocks of some threads";

/// Shown below the help of the command that imports.
const IMPORTS: &str = "\
What a trace lacks that was converted from\n  \
heaptrack  threads, times below 10 ms, call stacks of frees, resizes (they are frees and allocations), and, unless the file \
is a raw one, which of the blocks of one size and call stack was freed\n  \
mtrace     threads, times, and callers beyond the first\n  \
DHAT       threads, times, the order of calls, lifetimes, and sizes of single blocks: they are averages\n  \
jemalloc   the same, the peak, and, unless the program was run with prof_accum, all blocks that were freed; the number of \
blocks is estimated from samples\n\n\
A figure that needs what is lacking is not shown, and a command that needs it says so.\n\n\
Examples:\n  \
heaptrack ./app && millpond import heaptrack.app.1234.zst -o app.mpt\n  \
valgrind --tool=dhat --dhat-out-file=app.dhat ./app && millpond import app.dhat -o app.mpt\n  \
MALLOC_CONF=prof:true,prof_final:true ./app && millpond import jeprof.1234.0.f.heap -o app.mpt\n  \
millpond show app.mpt";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Record every allocation of a program.
    ///
    /// The program's input, output and exit code are unchanged. The file has one trace for each process: the program's own
    /// and those that it starts, and also for each program that a process becomes (exec). Other commands take the one
    /// with the most events, unless --process selects another.
    #[command(after_help = EXIT_CODES)]
    Record(Record),
    /// Name this moment in a recording that is in progress.
    ///
    /// A program names a moment itself by `millpond_mark("phase")`, with the C header that --header prints.
    Mark(Mark),
    /// Write the trace of a recording that was not completed, because millpond was killed or a disk was full.
    ///
    /// The directory of the recording is deleted when its trace has been written.
    Recover(Recover),
    /// Replay a trace against the program's own allocator, mimalloc and the pools chosen for it.
    ///
    /// Steps of the trace are kept in a temporary file (in TMPDIR) of 16 bytes per event, up to 1 GiB; those of longer
    /// traces are read again in each turn. The memory needed depends on how many blocks are live at once.
    Replay(Replay),
    /// Show what a program's memory was used for: by process, thread, size, call site and phase.
    #[command(after_help = SYMBOLS)]
    Show(Show),
    /// Watch a program that is being recorded, or replay its trace: call sites by live bytes, growth, rate and age.
    #[command(after_help = top::EXAMPLES)]
    Top(Top),
    /// Say for each call site what to do: a pool, an arena, a buffer, a capacity, or nothing.
    #[command(after_help = ADVICE)]
    Advise(Advise),
    /// Write a trace in a format that another program reads.
    ///
    /// Functions have their names, files and lines in it, as `millpond show` finds them.
    #[command(after_help = EXPORTS)]
    Export(Export),
    /// Convert a file of another program to a trace.
    ///
    /// It can be compressed by gzip or zstd. The trace says where it comes from, and `millpond show` what it lacks.
    #[command(after_help = IMPORTS)]
    Import(Import),
    /// Write a report on a program's use of memory: one HTML page that works offline.
    ///
    /// The page shows live bytes over time, whether pools would help, advice and what it gains, a flame graph, call sites, sizes and lifetimes, where resident memory goes,
    /// fragmentation, sizes, resizes and threads. A range of time selected in it recomputes all of them except the advice and
    /// what it says is about the whole recording. For the verdict, the gains and maps of memory, the whole trace is replayed,
    /// which takes a while; --no-replay leaves them out.
    ///
    /// The page has at most 3 MB whatever the trace, so of large traces it shows the largest call sites and stacks one by one and all others together;
    /// and it loads nothing from elsewhere. Like the trace, it contains the program's arguments, paths and names of
    /// functions: `millpond anonymize` removes them from a trace.
    #[command(after_help = REPORT)]
    Report(Report),
    /// Compare recordings: which call sites allocate more or less than before.
    #[command(after_help = diff::EXAMPLES)]
    Diff(Diff),
    /// Check recordings against a budget of allocations, bytes, peak and growth, for continuous integration.
    #[command(after_help = check::EXAMPLES)]
    Check(Check),
    /// Remove the names from a trace, so that it can be given away.
    ///
    /// Paths, arguments, names of threads and marks, and the names and build ids of modules are replaced by hashes with a
    /// random key that is not kept; addresses of code become offsets in modules, and the time of the recording and the
    /// reason why it stopped early are left out. Several processes are numbered 1, 2, 3 …; a single one has no number. Names and
    /// build ids of libraries that every system has (libc, libstdc++ …) are kept. The new trace is searched for all texts of the old one before it gets its name.
    Anonymize(Anonymize),
    /// Record a program, replay its allocations, and tell whether pools would help.
    ///
    /// The program's output and exit code are unchanged; the report goes to standard error when the program has ended. If
    /// it starts other processes, the one with the most events is judged, unless --process selects another. With --live,
    /// the program itself is also timed under several allocators.
    #[command(after_help = r#try::MORE)]
    Try(Try),
    /// Measure the tables and plots of BENCHMARKS.md again, in a checkout of the sources.
    #[command(after_help = extras::BENCHMARKS)]
    Bench(Bench),
    /// Print completions of commands and options for a shell.
    #[command(after_help = extras::COMPLETIONS)]
    Completions(Completions),
    /// Write man pages, one for each command.
    #[command(after_help = extras::MAN_PAGES)]
    Man(ManPages),
}

#[derive(Args)]
pub(crate) struct Record {
    /// File for the traces. With -, they go to standard output, and the program's own output to standard error.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) traces: Traces,
    /// Stop recording when its temporary files reach this size, such as 500M or 2G. They need 16 bytes per event, and
    /// lie in the directory TMPDIR. [default: half of the free space there]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) max_size: Option<u64>,
    /// Frames to record of the call stack of each allocation: full (up to 1,024), a number of frames, or caller, which is
    /// the address of the caller alone and costs least.
    #[arg(long, value_name = "FRAMES", default_value = "full", value_parser = record::parse_frames)]
    pub(crate) stacks: u32,
    /// Record call stacks of frees too, not just the addresses of their callers.
    #[arg(long)]
    pub(crate) free_stacks: bool,
    /// Record the address of each block and the bytes that the program may use in it, so that `millpond show` says how much
    /// memory blocks take beyond what was requested. An allocation then takes more time, and 16 bytes more in temporary files.
    #[arg(long)]
    pub(crate) addresses: bool,
    /// Compare the stack of every Nth allocation with what the compiler's library for exceptions finds.
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    pub(crate) check_stacks: u32,
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, required = true, value_name = "PROGRAM ARGS")]
    pub(crate) command: Vec<OsString>,
}

/// Which traces of a recording are written, and what they contain.
#[derive(Args)]
pub(crate) struct Traces {
    /// Overwrite FILE if it exists.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Keep only the processes with this number, or whose program has this name. [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) process: Option<String>,
    /// Leave the arguments of programs out of the trace.
    #[arg(long)]
    pub(crate) no_args: bool,
}

#[derive(Args)]
pub(crate) struct Mark {
    /// The number of a process that is being recorded, or the directory of the recording.
    #[arg(value_name = "PROCESS", required_unless_present = "header")]
    pub(crate) target: Option<PathBuf>,
    /// The name of the moment.
    #[arg(value_name = "NAME", required_unless_present = "header")]
    pub(crate) name: Option<String>,
    /// Print the C header by which a program names moments.
    #[arg(long, exclusive = true)]
    pub(crate) header: bool,
}

#[derive(Args)]
pub(crate) struct Recover {
    /// The directory of the recording: millpond-… in the directory for temporary files (TMPDIR).
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
    /// File for the trace; - is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) traces: Traces,
}

#[derive(Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Check the allocators instead of measuring them: fill every block, and compare its contents when it is resized or
    /// freed.
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Take all processes of the program together, such as all runs of a compiler: that of --process, or else of the
    /// process with the most events. Threads and phases are left out.
    #[arg(long)]
    pub(crate) together: bool,
    #[command(flatten)]
    pub(crate) places: Places,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

#[derive(Args)]
pub(crate) struct Advise {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Print code to paste for each site, in the languages of the program.
    #[arg(long)]
    pub(crate) code: bool,
    /// Do not replay: say what to do without what it gains.
    #[arg(long, conflicts_with_all = ["sites", "top", "rounds"])]
    pub(crate) no_replay: bool,
    /// Numbers of the sites to replay, separated by commas: each alone, and all of them together. [default: the first
    /// ones]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', conflicts_with = "top")]
    pub(crate) sites: Vec<usize>,
    /// Number of sites to replay, beginning with those that make most calls.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) top: u32,
    /// Number of times that each replay is repeated, after a first turn that does not count.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Allocator that the advice is compared with: recorded, which is the library that served the program; glibc; or the
    /// path of a library.
    #[arg(long, value_name = "ALLOCATOR", default_value = "recorded")]
    pub(crate) baseline: Choice,
    /// Another recording of the program: say whether the advice holds there too, and what it gains there.
    #[arg(long, value_name = "FILE")]
    pub(crate) second: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) places: Places,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

#[derive(Args)]
pub(crate) struct Report {
    /// A file made by `millpond record`.
    #[arg(value_name = "FILE")]
    pub(crate) trace: PathBuf,
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// File for the page; - is standard output. [default: FILE with the ending .html]
    #[arg(short, long, value_name = "PAGE")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite PAGE if it exists.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Do not replay: leave out the verdict, what advice gains, and the maps of allocators.
    #[arg(long)]
    pub(crate) no_replay: bool,
    /// Number of times that each replay is repeated, after a first turn that does not count.
    #[arg(long, value_name = "N", default_value_t = 5, conflicts_with = "no_replay", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Allocator that the others are compared with: recorded, which is the library that served the program; glibc; or the
    /// path of a library.
    #[arg(long, value_name = "ALLOCATOR", default_value = "recorded", conflicts_with = "no_replay")]
    pub(crate) baseline: Choice,
    #[command(flatten)]
    pub(crate) places: Places,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// The trace to report on, and the form of the report.
#[derive(Args)]
pub(crate) struct Input {
    /// A file made by `millpond record`.
    #[arg(value_name = "FILE")]
    pub(crate) trace: PathBuf,
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// Print JSON. JSON.md in the sources describes its fields.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Export {
    /// A trace made by `millpond record`.
    #[arg(value_name = "FILE")]
    pub(crate) trace: PathBuf,
    #[command(flatten)]
    pub(crate) selected: Selected,
    /// The format.
    #[arg(long, value_enum)]
    pub(crate) to: Format,
    /// File to write; - is standard output. Parquet is a folder, to which runs can be added.
    #[arg(short, long, value_name = "OUT", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Overwrite OUT if it exists; in a folder, the run of this name.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// The numbers in folded stacks. The other formats have several.
    #[arg(long, value_enum, default_value_t = Measure::Bytes)]
    pub(crate) measure: Measure,
    #[command(flatten)]
    pub(crate) places: Places,
    #[command(flatten)]
    pub(crate) labels: Labels,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// What tells the recordings of a fleet apart.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Labels in Parquet")]
pub(crate) struct Labels {
    /// The machine of the recording, which the recording does not name. [default: null]
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// The service that was recorded. [default: the name of the program]
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Its version, by which runs are compared. [default: null]
    #[arg(long, value_name = "VERSION")]
    pub(crate) service_version: Option<String>,
    /// The name of the run in the folder. [default: when recording began, in nanoseconds since 1970, and the number of
    /// the process that was started]
    #[arg(long, value_name = "NAME")]
    pub(crate) run: Option<String>,
}

/// The process to report on.
#[derive(Args)]
pub(crate) struct Selected {
    /// Process in FILE: its number, the name of its program, or its place in the list of `millpond show`, such as @2.
    /// [default: the one with the most events]
    #[arg(long, value_name = "NAME")]
    pub(crate) process: Option<String>,
}

#[derive(Args)]
pub(crate) struct Import {
    /// A file of heaptrack, mtrace, jemalloc or DHAT.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The format. [default: detected]
    #[arg(long, value_enum)]
    pub(crate) from: Option<import::Format>,
    /// File for the trace. With -, the trace goes to standard output.
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Overwrite OUT if it exists.
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Args)]
pub(crate) struct Anonymize {
    /// A trace made by `millpond record`.
    #[arg(value_name = "FILE")]
    pub(crate) trace: PathBuf,
    /// File for the new trace.
    #[arg(short, long, value_name = "OUTPUT")]
    pub(crate) output: PathBuf,
    /// Keep only the processes with this number, or whose program has this name. [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) process: Option<String>,
    /// Overwrite OUTPUT if it exists.
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Where to look for debug information, besides the usual places.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Places {
    /// A folder with debug information or unstripped programs; may be given several times.
    #[arg(long, value_name = "DIR")]
    pub(crate) debug_dir: Vec<PathBuf>,
    /// Fetch debug information from the servers in DEBUGINFOD_URLS.
    #[arg(long)]
    pub(crate) debuginfod: bool,
}

impl Places {
    /// Returns an error if servers are to be asked, and none is known.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let servers_are_known = std::env::var_os("DEBUGINFOD_URLS").is_some_and(|urls| !urls.is_empty());
        anyhow::ensure!(
            !self.debuginfod || servers_are_known,
            "--debuginfod needs the addresses of servers in DEBUGINFOD_URLS"
        );
        Ok(())
    }
}

impl Report {
    /// Returns how the trace is replayed; `None` if it is not.
    pub(crate) fn settings(&self) -> Option<Settings> {
        (!self.no_replay).then(|| Settings {
            rounds: self.rounds,
            touch: Touch::Ends,
            with: Vec::new(),
            baseline: self.baseline.clone(),
            sizes: 8,
        })
    }
}

impl Advise {
    /// Returns how sites are replayed.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            rounds: self.rounds,
            touch: Touch::Ends,
            with: Vec::new(),
            baseline: self.baseline.clone(),
            sizes: 8,
        }
    }
}

/// How a trace is replayed.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Number of times that each allocator replays the trace, after a first turn that does not count.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Bytes to write to each new block.
    #[arg(long, value_enum, default_value_t = Touch::Ends)]
    pub(crate) touch: Touch,
    /// Allocators to compare with the baseline, separated by commas: mimalloc, pools, advised, huge (advised, on huge
    /// pages), glibc (if it is not the baseline). [default: all except glibc]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) with: Vec<Name>,
    /// Allocator that the others are compared with: recorded, which is the library that served the program, with its
    /// default settings; glibc; or the path of a library. A library that only a trace names must be in a folder of the
    /// system, such as /usr/lib.
    #[arg(long, value_name = "ALLOCATOR", default_value = "recorded")]
    pub(crate) baseline: Choice,
    /// Max number of block sizes to advise.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) sizes: u32,
}
