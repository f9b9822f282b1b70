//! `millpond top`: call sites of a program while it runs, or as a trace is replayed.
//!
//! * `sample`, `held` – which blocks are followed, and what they add up to, with ranges;
//! * `model` – what a program has allocated up to a moment;
//! * `source`, `live`, `file` – where the events come from: a recording in progress, or a trace;
//! * `places`, `snapshot` – call sites, and what is shown of them at one moment;
//! * `column`, `cells` – figures as text, and how call sites are sorted by them.

pub(crate) mod cells;
mod column;
mod file;
mod held;
#[cfg(recorder)]
mod live;
mod model;
mod places;
mod sample;
mod snapshot;
mod source;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

pub(crate) use self::{
    column::Column,
    places::Places,
    snapshot::{Figures, Generation, Row, Snapshot},
    source::{About, Source, State},
};
use crate::{cli, terminal::Progress, trace};

/// What following a program may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Share of the time of one processor.
    pub(crate) cpu: f64,
    /// Blocks that are followed.
    pub(crate) blocks: usize,
}

/// Followed blocks take about 50 bytes each.
const BLOCKS: usize = 1 << 20;

impl Limits {
    /// Returns the limits that a user has chosen.
    pub(crate) fn new(arguments: &cli::Top) -> Self {
        match arguments.exact {
            true => Self { cpu: f64::INFINITY, blocks: usize::MAX },
            false => Self { cpu: arguments.cpu / 100.0, blocks: BLOCKS },
        }
    }
}

/// Opens what is to be watched: a recording in progress, if the target is the number of a process or a directory, or else a
/// trace. If `at_once`, a trace is replayed at once to the end or to the chosen moment.
pub(crate) fn open(arguments: &cli::Top, at_once: bool) -> Result<Box<dyn Source>> {
    let target = &arguments.target;
    let is_number = target.to_str().is_some_and(|target| target.parse::<u32>().is_ok());
    if is_number || target.is_dir() {
        anyhow::ensure!(
            arguments.at.is_none() && arguments.speed.is_none() && arguments.selected.process.is_none(),
            "--at, --speed and --process are about a trace, and {} is a process or a recording in progress",
            target.display()
        );
        return live(target, Limits::new(arguments));
    }
    let reader = trace::open(target, arguments.selected.process.as_deref())?;
    let at_once = at_once || arguments.at.is_some();
    let speed = if at_once { f64::INFINITY } else { arguments.speed.unwrap_or(1.0) };
    let replay = file::Replay::new(reader, speed, arguments.at);
    Ok(Box::new(replay.with_context(|| target.display().to_string())?))
}

#[cfg(recorder)]
fn live(target: &Path, limits: Limits) -> Result<Box<dyn Source>> {
    Ok(Box::new(live::Live::attach(target, limits)?))
}

#[cfg(not(recorder))]
fn live(target: &Path, _limits: Limits) -> Result<Box<dyn Source>> {
    anyhow::bail!("cannot watch {} here: {}", target.display(), crate::record::NEEDS)
}

/// Returns one snapshot: of the present, of the chosen moment, or of the end.
pub(crate) fn once(source: &mut dyn Source, places: &mut Places, mark: Option<&str>) -> Result<Snapshot> {
    let progress = Progress::new("reading what was recorded");
    let state = loop {
        match source.advance()? {
            State::Behind(share) if !source.has_caught_up() => progress.at((share * 1000.0) as u64, 1000),
            state => break state,
        }
    };
    drop(progress);
    places.look_up(source)?;
    let generation = Generation::of(mark, source.marks())?;
    Ok(Snapshot::take(source, places, state, generation, &[]))
}

/// The interval between two states of the screen.
pub(crate) fn interval(arguments: &cli::Top) -> Duration {
    Duration::from_secs_f64(arguments.delay)
}

/// Returns the CPU time that this thread has used.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place is valid for the result.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
