//! `millpond record` with programs written for these tests: `tests/programs/*.c`, compiled when needed.

mod addresses;
mod arm64;
mod baseline;
mod counts;
mod installed;
mod manners;
mod musl;
mod observed;
mod outputs;
mod processes;
mod real_programs;
mod recovered;
mod refusals;
mod stacks;
mod threads;
mod unseen;
mod watched;

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use millpond_trace::{Archive, Event, Module, Op, Reader, Start, Summary, Tables};
use tempfile::TempDir;

use crate::support::{millpond, skipped};

/// A folder for one test, with programs, traces, temporary files and a cache of the recorder.
struct Workshop {
    folder: TempDir,
}

/// The contents of a trace.
struct Trace {
    start: Start,
    summary: Summary,
    tables: Tables,
    events: Vec<Event>,
}

impl Workshop {
    fn new() -> Self {
        let workshop = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(workshop.path("tmp")).unwrap();
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Compiles a program; `None`, with a message, if that is impossible here.
    fn compile(&self, name: &str, options: &[&str]) -> Option<PathBuf> {
        let is_cplusplus = source(name).extension().is_some_and(|extension| extension == "cc");
        self.compile_by(if is_cplusplus { "c++" } else { "cc" }, name, options)
    }

    /// Compiles a program by this compiler; `None`, with a message, if that is impossible here.
    fn compile_by(&self, compiler: &str, name: &str, options: &[&str]) -> Option<PathBuf> {
        let (source, program) = (source(name), self.path(name));
        let mut command = Command::new(compiler);
        // Without optimisation: a compiler may leave out allocations whose result is not used.
        command.args(["-O0", "-w", "-pthread", "-o"]).arg(&program).arg(source).args(options).arg("-ldl");
        match command.output() {
            Ok(output) if output.status.success() => Some(program),
            Ok(output) => {
                skipped(
                    name,
                    &format!("{compiler} cannot make it: {}", String::from_utf8_lossy(&output.stderr)),
                );
                None
            }
            Err(error) => {
                skipped(name, &format!("{compiler} cannot be run: {error}"));
                None
            }
        }
    }

    /// Returns `millpond record --force -o out.mpt`, to be followed by options, `--` and the command.
    fn recorder(&self) -> Command {
        let mut command = millpond();
        command.args(["record", "--force", "-o"]).arg(self.path("out.mpt"));
        command.env("TMPDIR", self.path("tmp")).env("XDG_CACHE_HOME", self.path("cache"));
        // A shell ignores this signal in what it starts in the background, and its children inherit that.
        let default_signal = || {
            // SAFETY: the default action may be set at any time.
            unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
            Ok(())
        };
        // SAFETY: the closure calls one function, which is safe to call between `fork` and `exec`.
        unsafe { command.pre_exec(default_signal) };
        command
    }

    /// Records a command.
    fn record(&self, program: &Path, arguments: &[&str]) -> Output {
        self.record_with(&[], program, arguments)
    }

    /// Records a command with further options, such as `--process`.
    fn record_with(&self, options: &[&str], program: &Path, arguments: &[&str]) -> Output {
        let mut recorder = self.recorder();
        let output = recorder.args(options).arg("--").arg(program).args(arguments).output().unwrap();
        assert_eq!(fs::read_dir(self.path("tmp")).unwrap().count(), 0, "temporary files are left behind");
        output
    }

    /// Returns the trace of the process that was started, or else of the only one.
    fn trace(&self) -> Trace {
        self.traces().remove(0)
    }

    /// Returns all other traces, in order of their start.
    fn others(&self) -> Vec<Trace> {
        self.traces().split_off(1)
    }

    /// Returns all traces: that of the last program of the process that was started, then the others in order of their
    /// start.
    fn traces(&self) -> Vec<Trace> {
        let archive = Archive::open(self.path("out.mpt")).unwrap();
        assert!(archive.is_complete());
        let mut traces: Vec<_> =
            (0..archive.count()).map(|number| Trace::read(archive.reader(number).unwrap())).collect();
        traces.sort_by_key(|trace| trace.start.unix_ns);
        let first = traces[0].start.process;
        let last = traces.iter().rposition(|trace| trace.start.process == first).unwrap();
        let own = traces.remove(last);
        traces.insert(0, own);
        traces
    }
}

impl Trace {
    fn read(mut reader: Reader) -> Self {
        let (mut events, mut some) = (Vec::new(), Vec::new());
        while reader.read(&mut some).unwrap() {
            events.append(&mut some);
        }
        assert_eq!(events.len() as u64, reader.summary().events);
        let (start, summary) = (reader.start().clone(), reader.summary().clone());
        Self { start, summary, tables: reader.tables().clone(), events }
    }

    /// Returns how many blocks of this size were allocated.
    fn made(&self, size: u64) -> usize {
        let is_made = |event: &&Event| matches!(event.op, Op::Allocate { size: made, .. } if made == size);
        self.events.iter().filter(is_made).count()
    }

    /// Returns how many blocks of this size were allocated and freed.
    fn freed(&self, size: u64) -> usize {
        let mut sizes = vec![0; self.summary.slots as usize];
        let mut count = 0;
        for event in &self.events {
            match event.op {
                Op::Allocate { slot, size, .. } | Op::Resize { slot, size } => sizes[slot as usize] = size,
                Op::Free { slot } => count += usize::from(sizes[slot as usize] == size),
            }
        }
        count
    }

    /// Returns the calls that the code of this file made.
    fn of_module(&self, path: &Path) -> Vec<Op> {
        let path = path.canonicalize().unwrap();
        let modules = &self.tables.modules;
        let is_it = |module: &Module| Path::new(&module.path) == path;
        assert!(modules.iter().any(is_it), "{} is no module: {modules:?}", path.display());
        let is_of = |event: &&Event| {
            let caller = self.tables.stacks.frames_of(event.stack).next();
            caller.and_then(|frame| frame.place(modules)).is_some_and(|(module, _)| is_it(module))
        };
        self.events.iter().filter(is_of).map(|event| event.op).collect()
    }

    /// Fails unless every event was understood.
    fn assert_exact(&self) {
        assert_eq!((self.summary.unknown_frees, self.summary.overlaps), (0, 0));
    }
}

/// Returns the source of a program for these tests.
fn source(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name);
    let is_cplusplus = source.with_extension("cc").exists();
    source.with_extension(if is_cplusplus { "cc" } else { "c" })
}

/// Returns what a successful run wrote to standard error, all of it by `millpond` itself.
fn told(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.status.success(), "{}: {text}", output.status);
    assert!(text.lines().all(|line| line.starts_with("millpond: ")), "{text}");
    text
}
