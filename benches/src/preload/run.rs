//! Runs a command under an allocator and measures its process.

use std::{os::unix::process::ExitStatusExt as _, process::Stdio};

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

/// Returns the CPU time of a run, in milliseconds, and its peak resident memory, in KiB; `None`, with a message, if it
/// failed.
pub fn sample(command: &Command, library: &Library) -> Option<[f64; 2]> {
    let mut process = std::process::Command::new(&command.words[0]);
    process
        .args(&command.words[1..])
        .env("PYTHONMALLOC", "malloc")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(path) = &library.path {
        process.env("LD_PRELOAD", path).env("MILLPOND_MALLOC", library.mode);
    }
    let child = process.spawn().inspect_err(|error| eprintln!("{}: {error}", command.title)).ok()?;
    let mut status = 0;
    // SAFETY: the structure consists of integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child is this process's, and is waited for once; both places are valid.
    let ended = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage) };
    let status = std::process::ExitStatus::from_raw(status);
    if ended < 0 || !status.success() {
        eprintln!("{} under {}: {status}", command.title, library.name);
        return None;
    }
    let milliseconds = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    Some([milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime), usage.ru_maxrss as f64])
}
