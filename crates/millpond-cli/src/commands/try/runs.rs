//! Runs a program also without recording, to measure what recording costs.

use std::{
    ffi::OsString,
    fs::File,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    process::Command,
};

use anyhow::{Context, Result};

use super::input::{Input, replace};
use crate::{
    estimate::Estimate,
    record::{self, Recording},
};

/// CPU time in nanoseconds of a recorded run and of a plain run after it.
pub(super) struct Pair {
    pub(super) recorded: f64,
    pub(super) plain: f64,
}

/// Records a program with its output shown, then runs it plain and recorded in turn with its output hidden, until it
/// has run `runs` times each way. Returns the first recording, and what recording cost the judged process.
pub(super) fn record(
    options: &record::Options,
    runs: u32,
    input: &mut Input,
) -> Result<(Recording, Option<Estimate>)> {
    let before = children_time();
    let first = record::run(options)?;
    let mut recorded = children_time() - before;
    if first.interrupted.is_some() {
        return Ok((first, None));
    }
    let scratch = tempfile::tempdir().context("cannot make a directory for the traces")?;
    let mut pairs = Vec::new();
    for run in 1..=runs {
        let muted = Muted::new()?;
        input.rewind()?;
        pairs.push(Pair { recorded, plain: plain(&options.command)? });
        if run < runs {
            input.rewind()?;
            let output = scratch.path().join("again.mpt");
            let again = record::Options { output, force: true, one: true, ..options.clone() };
            let before = children_time();
            record::run(&again)?;
            recorded = children_time() - before;
        }
        drop(muted);
    }
    let cost = first.chosen().map(|judged| cost(judged.summary.cpu_ns as f64, !first.is_alone(), &pairs));
    Ok((first, cost))
}

/// Returns what recording cost a process that took `cpu` in all. If it was the only process, the plain runs show what
/// it takes without recording; if it was one of several, only the cost of recording all of them is known.
pub(super) fn cost(cpu: f64, has_others: bool, pairs: &[Pair]) -> Estimate {
    let each = |pair: &Pair| if has_others { pair.recorded - pair.plain } else { cpu - pair.plain };
    let all = Estimate::confidence_interval(&pairs.iter().map(each).collect::<Vec<_>>());
    if has_others { Estimate { least: all.least.min(0.0), ..all } } else { all }
}

/// Returns the CPU time of a run without recording.
fn plain(command: &[OsString]) -> Result<f64> {
    let (program, arguments) = command.split_first().context("there is no program to run")?;
    let before = children_time();
    Command::new(program).args(arguments).status().context("cannot run the program without recording")?;
    Ok(children_time() - before)
}

/// Returns the CPU time in nanoseconds, user and system, of all processes that this one has waited for, and of their
/// children.
pub(super) fn children_time() -> f64 {
    // SAFETY: `usage` is valid for writes, and an all-zero `rusage` is a valid value.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let nanoseconds = |time: libc::timeval| time.tv_sec as f64 * 1e9 + time.tv_usec as f64 * 1e3;
    nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)
}

/// While this value lives, standard output and standard error of this process and of its children are discarded.
struct Muted {
    before: [(i32, OwnedFd); 2],
}

impl Muted {
    fn new() -> Result<Self> {
        let what = "cannot turn off the program's output";
        let nowhere = File::options().write(true).open("/dev/null").context(what)?;
        let output = std::io::stdout().as_fd().try_clone_to_owned().context(what)?;
        let errors = std::io::stderr().as_fd().try_clone_to_owned().context(what)?;
        let before = [(libc::STDOUT_FILENO, output), (libc::STDERR_FILENO, errors)];
        for (number, _) in &before {
            replace(*number, nowhere.as_raw_fd());
        }
        Ok(Self { before })
    }
}

impl Drop for Muted {
    fn drop(&mut self) {
        for (number, file) in &self.before {
            replace(*number, file.as_raw_fd());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_the_difference_to_plain_runs() {
        let pairs =
            [(130.0, 101.0), (125.0, 99.0), (140.0, 100.0)].map(|(recorded, plain)| Pair { recorded, plain });
        let alone = cost(128.0, false, &pairs);
        assert_eq!(alone, Estimate { median: 28.0, least: 27.0, most: 29.0 });
        let among_others = cost(60.0, true, &pairs);
        assert_eq!(among_others, Estimate { median: 29.0, least: 0.0, most: 40.0 });
    }
}
