//! A worker: a separate process that replays a trace once, against one contender.
//!
//! It is this same executable, started with the argument [`ARGUMENT`] and a [`Task`] in JSON. It reads batches of
//! [`Step`]s from its standard input and answers on its standard output, one line of JSON for each [`Reply`]. The other
//! side decodes the next batch only when the worker requests it, or has decoded all of them into a file before, so that
//! nothing else runs while the time is measured. The heap of the worker contains only what is replayed: no trace
//! reader, no decompressor.

mod mapped;
mod plan;
mod process;
mod serving;
mod team;
mod timed;
mod touch;
mod verified;
mod walk;

use std::{
    io::{self, Read, StdinLock, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

pub(super) use self::walk::shuffle;
use self::walk::walk;
pub(crate) use self::{mapped::PLACE_BYTES, plan::stretch, serving::FUNCTIONS};
use super::contender::{Alone, Bare, Contender, Malloc, Mimalloc, Name, Pools, Route, Routed};
use crate::trace::{Kind, Request, Step};

/// The first argument of a worker.
pub(crate) const ARGUMENT: &str = "--replay-worker";

/// Set in the number of steps of a batch after which the worker says where all blocks are.
pub(crate) const MOMENT: u64 = 1 << 63;

/// The task of a worker.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The contender.
    pub(crate) contender: Name,
    /// The library that serves `malloc` in the worker; `None` for glibc.
    pub(crate) library: Option<PathBuf>,
    /// The environment of the worker.
    pub(crate) variables: Vec<(String, String)>,
    /// Block sizes of [`Name::Advised`] and [`Name::Huge`].
    pub(crate) sizes: Vec<usize>,
    /// What serves each route of [`Name::Routed`], from route 1 on; `None` stands for `malloc`.
    pub(crate) routes: Vec<Option<Route>>,
    /// Check every block instead of timing.
    pub(crate) verify: bool,
    /// Say where blocks are instead of timing; see [`MOMENT`].
    pub(crate) map: bool,
    /// Time how long it takes to read all blocks that are live when most bytes are live.
    pub(crate) walk: bool,
    /// Which bytes of each block are written.
    pub(crate) written: Written,
    /// Number of threads that replay.
    pub(crate) workers: u16,
    /// Number of steps in a stretch, after which the threads wait for each other.
    pub(crate) stretch: usize,
    /// Max number of blocks live at once.
    pub(crate) slots: u32,
    /// Max number of steps in a batch.
    pub(crate) batch: usize,
    /// Number of steps after which most bytes are live.
    pub(crate) peak: u64,
}

/// Which bytes of a new block are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Written {
    /// The first byte and the last; in blocks that are smaller than this, also one byte per 4 KiB between.
    Below(usize),
    /// Every byte.
    All,
}

impl Default for Written {
    fn default() -> Self {
        Self::Below(usize::MAX)
    }
}

impl Written {
    /// Returns whether all pages of a block of that size are written.
    #[inline(always)]
    pub(crate) fn is_written(self, size: usize) -> bool {
        match self {
            Self::Below(large) => size < large,
            Self::All => true,
        }
    }
}

/// A message of a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// Requests a batch.
    Ready,
    /// The trace has been replayed.
    Done(Measurement),
    /// The trace has been replayed, and the worker has said where blocks were.
    Mapped,
    /// Every block was checked.
    Verified(Verification),
    /// The replay failed, for the reason given as a sentence.
    Failed(String),
}

/// The measurements of one replay. Sizes are in bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// CPU time of the steps, including the loop itself.
    pub(crate) nanoseconds: u64,
    /// Max resident memory beyond that of the worker itself; `None` if the system does not report it.
    pub(crate) peak_resident: Option<u64>,
    /// The blocks live when most bytes are live.
    pub(crate) memory_use: MemoryUse,
    /// Page faults served without a disk.
    pub(crate) page_faults: u64,
    /// CPU time in the kernel, in nanoseconds.
    pub(crate) system_ns: u64,
    /// Nanoseconds to read a live block, for each time that all were read.
    pub(crate) walk: Vec<f64>,
}

/// Sums over blocks, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemoryUse {
    /// Bytes requested.
    pub(crate) requested: u64,
    /// Bytes requested for the blocks of which all pages are written; see [`Written`].
    pub(crate) written: u64,
    /// Bytes handed out for these.
    pub(crate) handed_out: u64,
}

/// The result of a verifying replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verification {
    /// Blocks handed out or resized.
    pub(crate) blocks: u64,
    /// Bytes whose stamps were compared.
    pub(crate) bytes: u64,
}

/// A block that is live, or null.
#[derive(Clone, Copy)]
struct Slot {
    block: *mut u8,
    request: Request,
}

/// Returns whether this process was started as a worker.
pub(crate) fn is_wanted() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// Performs the work of a worker.
pub(crate) fn main() -> ExitCode {
    let reply = work(&mut io::stdin().lock()).unwrap_or_else(|error| Reply::Failed(format!("{error:#}")));
    // If answering fails, there is no reader any longer.
    if send(&reply).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn send(reply: &Reply) -> Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&line)?;
    Ok(output.flush()?)
}

/// Runs the task against its contender.
fn work(input: &mut StdinLock<'_>) -> Result<Reply> {
    let task = std::env::args().nth(2).unwrap_or_default();
    let task: Task = serde_json::from_str(&task)
        .with_context(|| format!("{ARGUMENT} is for millpond itself: use `millpond replay FILE`"))?;
    serving::check(task.library.as_deref())?;
    let has_threads = task.workers > 1;
    match task.contender {
        Name::Bare => run_shared(&Bare, &task, input),
        Name::Glibc | Name::Library => run_shared(&Malloc, &task, input),
        Name::Mimalloc => run_shared(&Mimalloc, &task, input),
        Name::Pools if has_threads => run_shared(&Pools::standard_shared(), &task, input),
        Name::Pools => run(&Pools::standard(), &task, input),
        Name::Advised if has_threads => run_shared(&Pools::chosen_shared(&task.sizes)?, &task, input),
        Name::Advised => run(&Pools::chosen(&task.sizes)?, &task, input),
        Name::Huge if has_threads => {
            run_shared(&Pools::chosen_on_huge_pages_shared(&task.sizes)?, &task, input)
        }
        Name::Huge => run(&Pools::chosen_on_huge_pages(&task.sizes)?, &task, input),
        Name::Routed if has_threads => {
            run_shared(&Routed::new(&task.routes, Route::serve_threads)?, &task, input)
        }
        Name::Routed => run(&Routed::new(&task.routes, Alone::new)?, &task, input),
    }
}

/// Runs the task with a contender that threads can share: with several threads, if the program had several.
fn run_shared<C: Contender + Sync>(contender: &C, task: &Task, input: &mut StdinLock<'_>) -> Result<Reply> {
    if task.verify || task.workers < 2 {
        return run(contender, task, input);
    }
    team::run(contender, task, Batches::new(input, task.batch, task.slots))
}

fn run<C: Contender>(contender: &C, task: &Task, input: &mut StdinLock<'_>) -> Result<Reply> {
    let batches = Batches::new(input, task.batch, task.slots);
    if task.verify {
        verified::run(contender, task, batches).map(Reply::Verified)
    } else {
        timed::run(contender, task, batches)
    }
}

/// What the system reports about a replay.
struct Meter {
    /// Resident memory at the start, if its peak can be determined at the end.
    resident: Option<u64>,
    faults: (u64, u64),
}

impl Meter {
    /// Starts measuring.
    fn start() -> Self {
        let can_reset = process::reset_peak();
        let resident = process::resident().filter(|_| can_reset).map(|(now, _)| now);
        Self { resident, faults: process::faults() }
    }

    /// Stops measuring.
    fn stop(self, measurement: &mut Measurement) {
        let (page_faults, system_ns) = process::faults();
        measurement.page_faults = page_faults - self.faults.0;
        measurement.system_ns = system_ns - self.faults.1;
        let after = process::resident();
        measurement.peak_resident =
            self.resident.zip(after).map(|(before, (now, peak))| peak.max(now).saturating_sub(before));
    }
}

/// Adds up all live blocks.
fn measure_memory<'a, C: Contender>(
    contender: &C,
    slots: impl Iterator<Item = &'a Slot>,
    written: Written,
) -> MemoryUse {
    let mut memory_use = MemoryUse::default();
    for slot in slots.filter(|slot| !slot.block.is_null()) {
        let size = slot.request.size();
        memory_use.requested += size as u64;
        if written.is_written(size) {
            // SAFETY: the block is live, and the slot holds the request that it last served.
            let usable = unsafe { contender.usable(slot.block, slot.request) };
            memory_use.written += size as u64;
            memory_use.handed_out += usable as u64;
        }
    }
    memory_use
}

/// The batches, as they are received.
struct Batches<'a, 'b> {
    input: &'a mut StdinLock<'b>,
    steps: Vec<Step>,
    capacity: usize,
    slots: u32,
    /// Whether the latest batch ended at a moment; see [`MOMENT`].
    is_moment: bool,
}

impl<'a, 'b> Batches<'a, 'b> {
    /// Creates a buffer for batches of at most `capacity` steps, all of it touched.
    fn new(input: &'a mut StdinLock<'b>, capacity: usize, slots: u32) -> Self {
        let filler = Step { request: Request::of_size(1), slot: u32::MAX, kind: Kind::Free, worker: 0 };
        Self { input, steps: vec![filler; capacity], capacity, slots, is_moment: false }
    }

    /// Requests and returns the next batch; empty after the last one, and if nothing happened before a moment. Does not
    /// allocate.
    fn next(&mut self) -> Result<&[Step]> {
        send(&Reply::Ready)?;
        let mut count = [0; 8];
        self.input.read_exact(&mut count)?;
        let count = u64::from_le_bytes(count);
        self.is_moment = count & MOMENT != 0;
        let count = (count & !MOMENT) as usize;
        ensure!(count <= self.capacity, "a batch is larger than agreed");
        let mut bytes = [0; 1024 * Step::BYTES];
        for steps in self.steps[..count].chunks_mut(1024) {
            let bytes = &mut bytes[..steps.len() * Step::BYTES];
            self.input.read_exact(bytes)?;
            for (step, bytes) in steps.iter_mut().zip(bytes.as_chunks().0) {
                *step = Step::from_bytes(bytes).context("a step is unreadable")?;
                ensure!(step.slot < self.slots, "a step names a slot that does not exist");
            }
        }
        Ok(&self.steps[..count])
    }
}

/// Creates a table of dead slots, all of it touched.
fn dead(slots: u32) -> Vec<Slot> {
    let mut table = Vec::with_capacity(slots as usize);
    // The compiler must not turn this into fresh zero pages, which would become resident while the time is measured.
    table.resize(
        slots as usize,
        std::hint::black_box(Slot { block: std::ptr::null_mut(), request: Request::of_size(1) }),
    );
    table
}
