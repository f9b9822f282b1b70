//! Runs a command under an allocator and measures its process.

use std::{
    path::{Path, PathBuf},
    process::Command as Process,
};

use super::library::Library;

/// A command to measure.
pub struct Command {
    pub title: String,
    words: Vec<String>,
}

impl Command {
    pub fn new<W: Into<String>>(title: impl Into<String>, words: impl IntoIterator<Item = W>) -> Self {
        Self { title: title.into(), words: words.into_iter().map(Into::into).collect() }
    }
}

/// Compiles a program of `cpp/` into a folder; `None`, with a message, if that fails.
pub fn compile(name: &str, folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("cpp").join(name).with_extension("c");
    let program = folder.join(name);
    let mut compile = Process::new("cc");
    compile.args(["-O2", "-fno-builtin", "-pthread", "-o"]).arg(&program).arg(source);
    let is_compiled = compile.status().is_ok_and(|status| status.success());
    if !is_compiled {
        eprintln!("skipped: {name}.c could not be compiled");
    }
    is_compiled.then_some(program)
}

/// Returns the CPU time of a run, in milliseconds, and its peak resident memory, in KiB; `None`, with a message, if it
/// failed. `peak` is the compiled `cpp/peak.c`.
pub fn sample(peak: &Path, command: &Command, library: &Library) -> Option<[f64; 2]> {
    let preloaded = library.path.as_deref().unwrap_or(Path::new("-"));
    let mut process = Process::new(peak);
    process.arg(preloaded).args(&command.words);
    process.env("PYTHONMALLOC", "malloc").env("MILLPOND_MALLOC", library.mode);
    let output = process.output().ok().filter(|output| output.status.success());
    let figures =
        output.as_ref().and_then(|output| std::str::from_utf8(&output.stdout).ok()?.trim().split_once(' '));
    let parsed =
        figures.and_then(|(time, memory)| Some([time.parse::<f64>().ok()? / 1e3, memory.parse().ok()?]));
    if parsed.is_none() {
        eprintln!("{} under {} failed", command.title, library.name);
    }
    parsed
}
