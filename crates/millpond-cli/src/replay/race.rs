//! The rounds: one worker process for each contender in each, taking turns.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use millpond_trace::{Event, Reader, format::EVENTS_PER_BLOCK};

use super::worker::{self, Reply, Task};
use crate::trace::Step;

/// Most steps sent at once: enough that the caches are warm for nearly all of them, few enough to hold in memory.
const BATCH: usize = 16 * EVENTS_PER_BLOCK;

/// Most bytes of steps that are kept in a file: as many as a recording has in its own temporary files.
const MOST_KEPT: u64 = 1 << 30;

/// Replays a trace once, in a worker process. Nothing is decoded while the worker is at work. `progress` is called before
/// each batch with the events that were replayed in this turn.
pub(super) fn run(source: &mut Source<'_>, task: &Task, progress: impl Fn(u64)) -> Result<Reply> {
    let name = task.contender.text();
    let (mut process, pipes) = start(task)?;
    let outcome = pipes.feed(source, progress);
    let status = process.wait().context("cannot wait for a worker process")?;
    match outcome {
        Ok(Reply::Failed(message)) => bail!("replaying against {name} failed: {message}"),
        Err(_) if status.code().is_none() => bail!("the process that replayed against {name} died: {status}"),
        outcome => outcome,
    }
}

/// The most steps that a batch of this trace has.
pub(super) fn batch(reader: &Reader) -> usize {
    reader.summary().events.clamp(1, BATCH as u64) as usize
}

/// The steps of a trace, batch by batch, as often as they are wanted. They are decoded once, if a file can hold them.
pub(super) struct Source<'a> {
    reader: &'a mut Reader,
    /// The lane of each thread.
    lanes: &'a [u16],
    events: Vec<Event>,
    bytes: Vec<u8>,
    /// The steps of before this batch,
    kept: Option<File>,
    /// or of the whole trace.
    is_whole: bool,
    /// Steps that were given since the beginning.
    given: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(reader: &'a mut Reader, lanes: &'a [u16]) -> Self {
        let fits = reader.summary().events.saturating_mul(Step::BYTES as u64) <= MOST_KEPT;
        // Where no such file can be made, decoding takes longer.
        let kept = fits.then(tempfile::tempfile).and_then(Result::ok);
        let (events, bytes) = (Vec::new(), Vec::new());
        Self { reader, lanes, events, bytes, kept, is_whole: false, given: 0 }
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

    /// Sends the next batch: how many steps it has, and these. After the last step, it has none.
    fn send(&mut self, mut to: &mut ChildStdin) -> Result<()> {
        let all = self.reader.summary().events;
        let file = match &mut self.kept {
            Some(file) if self.is_whole => file,
            _ => return self.decode(to),
        };
        let count = (all - self.given).min(BATCH as u64);
        to.write_all(&count.to_le_bytes())?;
        let length = count * Step::BYTES as u64;
        ensure!(io::copy(&mut file.take(length), &mut to)? == length, "the file of steps was cut off");
        self.given += count;
        Ok(())
    }

    /// Sends a batch that is decoded first: as many blocks of events as it has room for. Each goes to the lane of its thread.
    fn decode(&mut self, to: &mut ChildStdin) -> Result<()> {
        self.bytes.clear();
        let batch = batch(self.reader);
        while self.bytes.is_empty() || self.bytes.len() / Step::BYTES + EVENTS_PER_BLOCK <= batch {
            if !self.reader.read(&mut self.events)? {
                break;
            }
            for event in &self.events {
                let lane = self.lanes.get(event.thread as usize).copied().unwrap_or(0);
                self.bytes.extend_from_slice(&Step { lane, ..Step::new(event.op)? }.to_bytes());
            }
        }
        if self.kept.as_mut().is_some_and(|file| file.write_all(&self.bytes).is_err()) {
            self.kept = None;
        }
        let count = (self.bytes.len() / Step::BYTES) as u64;
        self.given += count;
        self.is_whole = self.given == self.reader.summary().events;
        to.write_all(&count.to_le_bytes())?;
        to.write_all(&self.bytes)?;
        Ok(())
    }
}

/// The two ends of the talk with a worker.
struct Pipes {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Starts a worker in an empty environment, so that no variable tunes an allocator, and gives it its task.
fn start(task: &Task) -> Result<(Child, Pipes)> {
    let executable = std::env::current_exe().context("cannot find this program's own file")?;
    let mut process = Command::new(&executable)
        .arg(worker::ARGUMENT)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {} as a worker process", executable.display()))?;
    let (Some(mut input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
        bail!("a worker process came without pipes");
    };
    let mut line = serde_json::to_vec(task)?;
    line.push(b'\n');
    input.write_all(&line).context("cannot talk to a worker process")?;
    Ok((process, Pipes { input, output: BufReader::new(output) }))
}

impl Pipes {
    /// Sends batches for as long as the worker asks for them. The pipes are closed at the end, whatever happens, so
    /// that the worker ends too.
    fn feed(mut self, source: &mut Source<'_>, progress: impl Fn(u64)) -> Result<Reply> {
        source.rewind()?;
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line)?;
            match serde_json::from_str(&line).context("a worker process gave no answer")? {
                Reply::Ready => {
                    progress(source.given);
                    source.send(&mut self.input)?;
                }
                reply => return Ok(reply),
            }
        }
    }
}
