//! One run of a program, in a process that does nothing else.
//!
//! It is this same executable, started with the argument [`ARGUMENT`]. Linux reports a peak of resident memory that is
//! at least that of the process from which a program was started, which for this small process is little; the process
//! that decodes traces would be large. Its answer is one line of JSON on its standard output.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io,
    mem::zeroed,
    os::unix::process::CommandExt,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::record::Program;

/// The first argument of such a process. The others are the number of variables, the variables (`NAME=VALUE`), the path
/// of the program, its name and its arguments.
const ARGUMENT: &str = "--live-runner";

/// The measurements of one run: those of the program, and of the processes that it started and waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// CPU time, user and system, in nanoseconds.
    pub(crate) cpu_ns: f64,
    /// Elapsed time in nanoseconds.
    pub(crate) wall_ns: f64,
    /// Max resident memory of the largest process, in bytes.
    pub(crate) peak_bytes: f64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Killed(i32),
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Ran(Ending, Sample),
    Failed(String),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with {code}"),
            Self::Killed(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

/// Runs a program once, with additional environment variables and without output.
pub(super) fn run(
    program: &Program,
    arguments: &[OsString],
    variables: &[(OsString, OsString)],
) -> Result<(Ending, Sample)> {
    let executable = env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(&executable);
    command.arg(ARGUMENT).arg(variables.len().to_string());
    for (name, value) in variables {
        let mut word = name.clone();
        word.push("=");
        word.push(value);
        command.arg(word);
    }
    command.arg(&program.path).arg(&program.name).args(arguments).stdin(Stdio::inherit());
    dies_with_parent(&mut command);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", executable.display()))?;
    match serde_json::from_slice(&output.stdout) {
        Ok(Reply::Ran(ending, sample)) => Ok((ending, sample)),
        Ok(Reply::Failed(reason)) => bail!("cannot run {}: {reason}", program.path.display()),
        Err(_) => bail!("the process that ran {} gave no answer: {}", program.path.display(), output.status),
    }
}

/// Returns whether this process was started to run a program.
pub(crate) fn is_wanted() -> bool {
    env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// Performs the work of such a process.
pub(crate) fn main() -> ExitCode {
    let reply = match work() {
        Ok((ending, sample)) => Reply::Ran(ending, sample),
        Err(error) => Reply::Failed(format!("{error:#}")),
    };
    // If answering fails, there is no reader any longer.
    if serde_json::to_writer(io::stdout().lock(), &reply).is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn work() -> Result<(Ending, Sample)> {
    let mut words = env::args_os().skip(2);
    let count = words.next().and_then(|count| count.to_str()?.parse::<usize>().ok());
    let count =
        count.with_context(|| format!("{ARGUMENT} is for millpond itself: use `millpond try --live`"))?;
    let variables: Vec<_> = words.by_ref().take(count).collect();
    let (Some(path), Some(name)) = (words.next(), words.next()) else { bail!("no program was named") };
    let mut command = Command::new(path);
    command.arg0(name).args(words).envs(variables.iter().filter_map(|word| split(word)));
    // Not /dev/null: grep and others do less work if they see that their output goes there.
    let nowhere = File::options().write(true).open("/dev/zero").context("cannot open /dev/zero")?;
    command.stdout(nowhere.try_clone()?).stderr(nowhere);
    dies_with_parent(&mut command);
    let begin = Instant::now();
    let child = command.spawn()?;
    let (status, usage) = wait(child.id())?;
    let wall_ns = begin.elapsed().as_nanos() as f64;
    let nanoseconds = |time: libc::timeval| time.tv_sec as f64 * 1e9 + time.tv_usec as f64 * 1e3;
    let cpu_ns = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
    let ending = match libc::WIFSIGNALED(status) {
        true => Ending::Killed(libc::WTERMSIG(status)),
        false => Ending::Exited(libc::WEXITSTATUS(status)),
    };
    Ok((ending, Sample { cpu_ns, wall_ns, peak_bytes: usage.ru_maxrss as f64 * 1024.0 }))
}

/// Splits a variable into its name and its value.
fn split(word: &OsStr) -> Option<(OsString, OsString)> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = word.as_bytes();
    let at = memchr::memchr(b'=', bytes)?;
    let owned = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    Some((owned(&bytes[..at]), owned(&bytes[at + 1..])))
}

/// Waits for a child, and returns its status and what it used.
fn wait(child: u32) -> Result<(i32, libc::rusage)> {
    // SAFETY: an all-zero `rusage` is a valid value.
    let (mut status, mut usage) = (0, unsafe { zeroed::<libc::rusage>() });
    loop {
        // SAFETY: both pointers are valid for writes.
        if unsafe { libc::wait4(child as i32, &mut status, 0, &mut usage) } == child as i32 {
            return Ok((status, usage));
        }
        let error = io::Error::last_os_error();
        ensure!(error.kind() == io::ErrorKind::Interrupted, "cannot wait for the program: {error}");
    }
}

/// Lets a process end when this one does, so that an interrupted `millpond` leaves none behind. With it, the standard
/// library forks this process, whose memory is small, instead of lending it to the child until that is another program.
fn dies_with_parent(command: &mut Command) {
    let ask = || {
        // SAFETY: the call takes a number and no pointers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
        Ok(())
    };
    // SAFETY: between `fork` and `exec`, the closure makes one system call and nothing else.
    unsafe { command.pre_exec(ask) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_split_at_the_first_sign() {
        let pair = |name: &str, value: &str| Some((OsString::from(name), OsString::from(value)));
        assert_eq!(split("A=b=c".as_ref()), pair("A", "b=c"));
        assert_eq!(split("A=".as_ref()), pair("A", ""));
        assert_eq!(split("A".as_ref()), None);
    }
}
