//! The rounds: one worker process for each contender in each, taking turns.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use millpond_trace::{Event, Reader, format::EVENTS_PER_BLOCK};

use super::worker::{self, Reply, Task};
use crate::trace::Step;

/// Most steps sent at once: enough that the caches are warm for nearly all of them, few enough to hold in memory.
const BATCH: usize = 16 * EVENTS_PER_BLOCK;

/// Replays a trace once, in a worker process. Nothing is decoded while the worker is at work.
pub(super) fn run(reader: &mut Reader, task: &Task, lanes: &[u16]) -> Result<Reply> {
    let name = task.contender.text();
    let (mut process, pipes) = start(task)?;
    let outcome = pipes.feed(reader, task.batch, lanes);
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
    fn feed(mut self, reader: &mut Reader, batch: usize, lanes: &[u16]) -> Result<Reply> {
        let mut events = Vec::new();
        let mut bytes = Vec::new();
        reader.rewind()?;
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line)?;
            match serde_json::from_str(&line).context("a worker process gave no answer")? {
                Reply::Ready => {
                    fill(reader, batch, lanes, &mut events, &mut bytes)?;
                    let count = bytes.len() / Step::BYTES;
                    self.input.write_all(&(count as u64).to_le_bytes())?;
                    self.input.write_all(&bytes)?;
                }
                reply => return Ok(reply),
            }
        }
    }
}

/// Reads as many blocks of events as a batch has room for. Each goes to the lane of its thread.
fn fill(
    reader: &mut Reader,
    batch: usize,
    lanes: &[u16],
    events: &mut Vec<Event>,
    bytes: &mut Vec<u8>,
) -> Result<()> {
    bytes.clear();
    while bytes.is_empty() || bytes.len() / Step::BYTES + EVENTS_PER_BLOCK <= batch {
        if !reader.read(events)? {
            break;
        }
        for event in events.iter() {
            let lane = lanes.get(event.thread as usize).copied().unwrap_or(0);
            bytes.extend_from_slice(&Step { lane, ..Step::new(event.op)? }.to_bytes());
        }
    }
    Ok(())
}
