//! The rounds: one worker process per contender and round, taking turns.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use millpond_trace::{Reader, format::EVENTS_PER_BLOCK};

use super::{
    Name,
    routes::Router,
    worker::{self, Reply, Task},
};
use crate::trace::{Step, Steps};

/// Max number of steps sent at once: enough that the caches are warm for nearly all of them, few enough to hold in
/// memory.
const BATCH: usize = 16 * EVENTS_PER_BLOCK;

/// Bytes of the step count in front of a batch.
const COUNT: usize = 8;
/// Max bytes of steps that are kept in a file: as many as a recording has in its own temporary files.
const MOST_KEPT: u64 = 1 << 30;

/// Replays a trace once, in a worker process. Nothing is decoded while the worker is working. `progress` is called
/// before each batch with the number of events that were replayed in this turn.
pub(super) fn run(source: &mut Source<'_>, task: &Task, progress: impl Fn(u64)) -> Result<Reply> {
    let name = match (&task.library, task.contender) {
        (Some(library), Name::Library) => library.display().to_string(),
        (_, name) => name.text().into(),
    };
    source.rewind()?;
    let (mut process, pipes) = start(task, source.input()?)?;
    let outcome = pipes.feed(source, progress);
    let status = process.wait().context("cannot wait for a worker process")?;
    match outcome {
        Ok(Reply::Failed(message)) => bail!("replaying against {name} failed: {message}"),
        Err(_) if status.code().is_none() => bail!("the process that replayed against {name} died: {status}"),
        outcome => outcome,
    }
}

/// Checks that a worker process can load a library that then serves `malloc`.
pub(super) fn probe(library: &Path) -> Result<()> {
    let task = Task { contender: Name::Library, library: Some(library.to_owned()), ..Task::default() };
    let (mut process, mut pipes) = start(&task, Stdio::null())?;
    let reply = pipes.reply();
    drop(pipes);
    let status = process.wait().context("cannot wait for a worker process")?;
    match reply {
        Ok(Reply::Failed(message)) => bail!(message),
        Ok(_) => Ok(()),
        Err(_) => bail!("a process that loaded it died: {status}"),
    }
}

/// Returns the max number of steps in a batch of this trace.
pub(super) fn batch(reader: &Reader) -> usize {
    reader.summary().events.clamp(1, BATCH as u64) as usize
}

/// The steps of a trace, batch by batch, for several passes. They are decoded once, if a file can hold them.
pub(super) struct Source<'a> {
    reader: &'a mut Reader,
    /// The worker of each thread.
    workers: &'a [u16],
    router: Router,
    bytes: Vec<u8>,
    /// All steps that were sent in this turn,
    kept: Option<File>,
    /// or all steps of a whole turn: workers then read the file.
    is_whole: bool,
    /// Number of steps produced since the beginning.
    given: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(reader: &'a mut Reader, workers: &'a [u16]) -> Self {
        let fits = reader.summary().events.saturating_mul(Step::BYTES as u64) <= MOST_KEPT;
        // If no such file can be created, each turn decodes again.
        let kept = fits.then(tempfile::tempfile).and_then(Result::ok);
        Self {
            reader,
            workers,
            router: Router::default(),
            bytes: Vec::new(),
            kept,
            is_whole: false,
            given: 0,
        }
    }

    /// Gives blocks the routes of this router.
    pub(super) fn routed_by(self, router: Router) -> Self {
        Self { router, ..self }
    }

    /// Returns the number of events of the trace.
    pub(super) fn events(&self) -> u64 {
        self.reader.summary().events
    }

    /// Goes back to the first step.
    fn rewind(&mut self) -> Result<()> {
        self.given = 0;
        self.reader.rewind()?;
        if let Some(file) = &mut self.kept {
            file.rewind()?;
        }
        Ok(())
    }

    /// Returns what a worker reads from.
    fn input(&self) -> Result<Stdio> {
        match &self.kept {
            Some(file) if self.is_whole => {
                Ok(file.try_clone().context("cannot read the steps again")?.into())
            }
            _ => Ok(Stdio::piped()),
        }
    }

    /// Sends the next batch, or notes that the worker reads it from the file.
    fn send(&mut self, to: Option<&mut ChildStdin>) -> Result<()> {
        match to {
            Some(to) => self.decode(to),
            None => {
                self.given += batch(self.reader) as u64;
                Ok(())
            }
        }
    }

    /// Sends a batch: the number of steps, then the steps of as many blocks of events as fit. Each step goes to the
    /// worker of its thread. After the last step, batches are empty.
    fn decode(&mut self, to: &mut ChildStdin) -> Result<()> {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; COUNT]);
        let (batch, bytes) = (batch(self.reader) as u64, &mut self.bytes);
        let mut steps = Steps::new(|caller, step| {
            let worker = self.workers.get(caller.thread as usize).copied().unwrap_or(0);
            let step = self.router.route(caller.stack, Step { worker, ..step });
            bytes.extend_from_slice(&step.to_bytes());
        });
        while steps.done() == 0 || steps.done() + EVENTS_PER_BLOCK as u64 <= batch {
            if !steps.block(self.reader)? {
                break;
            }
        }
        let count = steps.done();
        self.bytes[..COUNT].copy_from_slice(&count.to_le_bytes());
        if self.kept.as_mut().is_some_and(|file| file.write_all(&self.bytes).is_err()) {
            self.kept = None;
        }
        self.given += count;
        self.is_whole = count == 0;
        Ok(to.write_all(&self.bytes)?)
    }
}

/// The two ends of the connection to a worker.
pub(super) struct Pipes {
    /// `None` if the worker reads a file.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Starts a worker with its task in an environment of nothing but the task's variables, so that no other tunes an
/// allocator; with the task's library, if there is one, before glibc.
pub(super) fn start(task: &Task, input: Stdio) -> Result<(Child, Pipes)> {
    let executable = std::env::current_exe().context("cannot find this program's own file")?;
    let mut process = Command::new(&executable)
        .arg(worker::ARGUMENT)
        .arg(serde_json::to_string(task)?)
        .env_clear()
        .envs(task.variables.iter().map(|(name, value)| (name, value)))
        .envs(task.library.as_ref().map(|library| ("LD_PRELOAD", library)))
        .stdin(input)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {} as a worker process", executable.display()))?;
    let Some(output) = process.stdout.take() else { bail!("a worker process came without a pipe") };
    let pipes = Pipes { input: process.stdin.take(), output: BufReader::new(output) };
    Ok((process, pipes))
}

impl Pipes {
    /// Waits for the next message of the worker.
    pub(super) fn reply(&mut self) -> Result<Reply> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).context("a worker process gave no answer")
    }

    /// Sends bytes to a worker that does not read a file.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let input = self.input.as_mut().context("a worker process came without a pipe")?;
        Ok(input.write_all(bytes)?)
    }

    /// Receives bytes that are not a message.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.output.read_exact(bytes).context("a worker process ended early")
    }

    /// Sends batches as long as the worker requests them. The pipes are closed at the end in any case, so that the
    /// worker ends too.
    fn feed(mut self, source: &mut Source<'_>, progress: impl Fn(u64)) -> Result<Reply> {
        loop {
            match self.reply()? {
                Reply::Ready => {
                    progress(source.given);
                    source.send(self.input.as_mut())?;
                }
                reply => return Ok(reply),
            }
        }
    }
}
