//! Where blocks are: replays with each allocator that say, at certain moments, where every live block lies.

use std::{ops::Range, process::Stdio};

use anyhow::{Context, Error, Result, anyhow, bail};
use millpond_trace::{Reader, format::EVENTS_PER_BLOCK};

use super::{
    Baseline, Name, check_memory, huge, lineup,
    race::{self, Pipes},
    resident, task,
    touched::Touched,
    worker::{MOMENT, PLACE_BYTES, Reply, Task},
};
use crate::{
    cli::Settings,
    terminal::Progress,
    trace::{Histogram, Kind, Step, Steps},
};

/// A live block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// The stack that allocated it.
    pub(crate) stack: u32,
    /// The bytes requested for it last.
    pub(crate) requested: u64,
    /// Its address and the bytes that may be used in it.
    pub(crate) address: u64,
    pub(crate) usable: u64,
}

/// The heap of an allocator at a moment.
pub(crate) struct Moment<'a> {
    pub(crate) allocator: Name,
    /// The live blocks.
    pub(crate) blocks: Vec<Located>,
    /// `None` if the system does not say.
    pub(crate) resident: Option<Resident<'a>>,
}

/// Resident pages of the process, as ascending ranges of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resident<'a> {
    /// All of them.
    pub(crate) now: Vec<Range<u64>>,
    /// Those that were resident before the replay.
    pub(crate) before: &'a [Range<u64>],
}

/// Replays a trace once with each allocator, and passes on its heap after each of these numbers of events, which ascend.
pub(crate) fn locate(
    reader: &mut Reader,
    histogram: &Histogram,
    sizes: &[usize],
    settings: &Settings,
    baseline: &Baseline,
    moments: &[u64],
    mut take: impl FnMut(Moment<'_>),
) -> Result<()> {
    let touched = Touched::new(settings.touch, histogram, &reader.summary().resources);
    check_memory(histogram, |size| touched.written.is_written(size))?;
    let mut names = lineup(settings, baseline, sizes);
    names.retain(|name| *name != Name::Huge || huge::why_not().is_none());
    let mut task = Task { map: true, ..task(reader, histogram, sizes, touched.written) };
    task.batch = EVENTS_PER_BLOCK;
    let (events, all) = (reader.summary().events, reader.summary().events * names.len() as u64);
    let progress = Progress::new("drawing maps of memory");
    for (turn, allocator) in (0..).zip(names) {
        task.set(allocator, baseline);
        let (mut process, pipes) = race::start(&task, Stdio::piped())?;
        let replay = Replay::new(allocator, process.id(), pipes, reader.summary().slots);
        let workers = &histogram.threads.workers;
        let outcome =
            replay.run(reader, workers, moments, &mut take, |done| progress.at(turn * events + done, all));
        let status = process.wait().context("cannot wait for a worker process")?;
        match outcome {
            Err(_) if status.code().is_none() => {
                bail!("the process that replayed against {} died: {status}", allocator.text())
            }
            outcome => outcome.with_context(|| format!("replaying against {} failed", allocator.text()))?,
        }
    }
    Ok(())
}

/// The live block in a slot: the stack that allocated it, and its size.
#[derive(Clone, Copy, Default)]
struct Live {
    stack: u32,
    size: Option<u64>,
}

/// A replay of one allocator, as the process sees it that draws its map.
struct Replay {
    allocator: Name,
    process: u32,
    pipes: Pipes,
    slots: Vec<Live>,
    /// The pages that were resident at the start.
    before: Option<Vec<Range<u64>>>,
    /// What the worker says about the slots.
    places: Vec<u8>,
    is_ready: bool,
}

impl Replay {
    fn new(allocator: Name, process: u32, pipes: Pipes, slots: u32) -> Self {
        let places = vec![0; slots as usize * PLACE_BYTES];
        let slots = vec![Live::default(); slots as usize];
        Self { allocator, process, pipes, slots, before: None, places, is_ready: false }
    }

    fn run(
        mut self,
        reader: &mut Reader,
        workers: &[u16],
        moments: &[u64],
        take: &mut impl FnMut(Moment<'_>),
        progress: impl Fn(u64),
    ) -> Result<()> {
        reader.rewind()?;
        self.wait()?;
        self.before = resident::pages(self.process);
        let (mut moments, mut done) = (moments.iter().copied().peekable(), 0);
        loop {
            let mut steps = Vec::new();
            let worker = |thread: u32| workers.get(thread as usize).copied().unwrap_or(0);
            let has_more = Steps::new(|caller, step| {
                steps.push((caller.stack, Step { worker: worker(caller.thread), ..step }));
            })
            .block(reader)?;
            let mut rest = &steps[..];
            while let Some(moment) = moments.next_if(|&moment| moment <= done + rest.len() as u64) {
                let (before, after) = rest.split_at(moment.saturating_sub(done) as usize);
                self.send(before, MOMENT)?;
                (done, rest) = (done + before.len() as u64, after);
                take(self.moment()?);
                progress(done);
            }
            if !has_more {
                break;
            }
            // Without steps and without a moment, it would be the end.
            if !rest.is_empty() {
                self.send(rest, 0)?;
                done += rest.len() as u64;
                progress(done);
            }
        }
        self.send(&[], 0)?;
        match self.pipes.reply()? {
            Reply::Mapped => Ok(()),
            other => Err(out_of_turn(other)),
        }
    }

    /// Waits until the worker requests a batch.
    fn wait(&mut self) -> Result<()> {
        if self.is_ready {
            return Ok(());
        }
        match self.pipes.reply()? {
            Reply::Ready => self.is_ready = true,
            other => return Err(out_of_turn(other)),
        }
        Ok(())
    }

    /// Sends steps, and the flag with their number.
    fn send(&mut self, steps: &[(u32, Step)], flag: u64) -> Result<()> {
        self.wait()?;
        let mut bytes = (steps.len() as u64 | flag).to_le_bytes().to_vec();
        for (stack, step) in steps {
            bytes.extend_from_slice(&step.to_bytes());
            let live = &mut self.slots[step.slot as usize];
            let size = step.request.size() as u64;
            *live = match step.kind {
                Kind::Free => Live::default(),
                Kind::Resize => Live { size: Some(size), ..*live },
                Kind::Allocate | Kind::Zeroed | Kind::Aligned => Live { stack: *stack, size: Some(size) },
            };
        }
        self.is_ready = false;
        self.pipes.write(&bytes)
    }

    /// Reads where the blocks are.
    fn moment(&mut self) -> Result<Moment<'_>> {
        self.pipes.read(&mut self.places)?;
        // From then on, the worker does nothing.
        self.wait()?;
        let places = self.slots.iter().zip(self.places.as_chunks::<PLACE_BYTES>().0);
        let located = |(live, place): (&Live, &[u8; PLACE_BYTES])| {
            let [address, usable] =
                [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|byte| place[at + byte])));
            Some(Located { stack: live.stack, requested: live.size?, address, usable })
        };
        let blocks = places.filter_map(located).collect();
        let now = resident::pages(self.process);
        let resident = now.zip(self.before.as_deref()).map(|(now, before)| Resident { now, before });
        Ok(Moment { allocator: self.allocator, blocks, resident })
    }
}

fn out_of_turn(reply: Reply) -> Error {
    match reply {
        Reply::Failed(message) => anyhow!(message),
        other => anyhow!("a worker process answered out of turn: {other:?}"),
    }
}
