//! What comes of an attack.

use std::{
    fmt,
    io::Read as _,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::suite::Column;

/// What came of an attack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The program was ended with a message.
    Reported,
    /// The program was ended by an access to memory that is not there.
    Faulted,
    /// The call was refused, or without effect, or the data were gone.
    Prevented,
    /// Nothing happened that the program could see.
    Undetected,
    /// A forged address, a block that overlaps another one, or stale data were handed out.
    Corrupted,
    /// The pool cannot be attacked in this way.
    Impossible,
}

const WORDS: [(Outcome, &str); 6] = [
    (Outcome::Reported, "reported"),
    (Outcome::Faulted, "faulted"),
    (Outcome::Prevented, "prevented"),
    (Outcome::Undetected, "undetected"),
    (Outcome::Corrupted, "**corrupted**"),
    (Outcome::Impossible, "-"),
];

impl Outcome {
    /// Returns the outcome that a cell of a table, or a program, names.
    pub(super) fn of(word: &str) -> Option<Self> {
        let word = word.trim().trim_matches('*');
        WORDS.iter().find(|(_, name)| name.trim_matches('*') == word).map(|(outcome, _)| *outcome)
    }

    /// Returns how bad the outcome is.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Reported | Self::Faulted | Self::Impossible => 0,
            Self::Prevented => 1,
            Self::Undetected => 2,
            Self::Corrupted => 3,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(outcome, _)| outcome == self).map_or("?", |(_, word)| word);
        f.write_str(word)
    }
}

/// How long an attack may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs an attack: a program that commits a misuse, looks at what came of it, prints `prevented`, `undetected`,
/// `corrupted` or `-`, and exits with zero, unless it is ended by the misuse.
pub(super) fn run(column: &Column, attack: &str) -> Result<Outcome, String> {
    let mut command = Command::new(&column.program);
    command.args(&column.arguments).arg(attack).envs(column.environment.iter().cloned());
    command.env("RUST_BACKTRACE", "0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot run it: {error}"))?;
    let status = wait(&mut child)?;
    let (mut said, mut message) = (String::new(), String::new());
    // A program that misuses memory may print anything.
    let (out, err) = (child.stdout.take(), child.stderr.take());
    out.into_iter().for_each(|mut out| drop(out.read_to_string(&mut said)));
    err.into_iter().for_each(|mut err| drop(err.read_to_string(&mut message)));
    judge(status, &said, &message)
}

fn wait(child: &mut Child) -> Result<ExitStatus, String> {
    let start = Instant::now();
    loop {
        match child.try_wait().map_err(|error| format!("cannot wait for it: {error}"))? {
            Some(status) => return Ok(status),
            None if start.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it took more than {} seconds", PATIENCE.as_secs()));
            }
            None => thread::sleep(Duration::from_millis(1)),
        }
    }
}

const ABORT: i32 = 6;
const BUS: i32 = 7;
const SEGV: i32 = 11;

fn judge(status: ExitStatus, said: &str, message: &str) -> Result<Outcome, String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Outcome::of(said).ok_or_else(|| format!("it printed what is no outcome: {said:?}")),
        (_, Some(ABORT)) if !message.is_empty() => Ok(Outcome::Reported),
        (_, Some(BUS | SEGV)) => Ok(Outcome::Faulted),
        _ => Err(format!("it ended in another way ({status}): {message}")),
    }
}
