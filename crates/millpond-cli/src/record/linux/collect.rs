//! Makes traces of what the recorder left behind.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::atomic::Ordering::Relaxed,
};

use anyhow::{Context, Result, bail};
use millpond_trace::raw;

use super::{
    convert::{Clock, convert, start},
    image::Image,
    inspect,
    launch::Run,
    merge::Merge,
    output::{Output, beside},
    program::Program,
    scratch::Scratch,
};
use crate::record::{
    obstacle::Obstacle,
    recording::{Recording, Trace},
    tell,
};

/// With fewer allocations than this, a program may have an allocator of its own.
const FEW: u64 = 1000;

/// All process images of a recording that is over.
pub(super) struct Collection {
    images: Vec<Image>,
    /// Which of them is the program.
    own: Option<usize>,
    /// The process that was started.
    process: u32,
    failed: usize,
    clock: Clock,
    limit: u64,
    status: ExitStatus,
}

impl Collection {
    /// Ends the recording: what a process that still runs does from here on is not part of it.
    pub(super) fn new(scratch: &Scratch, run: &Run) -> Result<Self> {
        let count = scratch.stop()?;
        let images: Vec<_> = (0..count).filter_map(|number| Image::open(scratch.path(), number)).collect();
        Ok(Self {
            own: own_image(&images, run.process)?,
            process: run.process,
            failed: count as usize - images.len(),
            images,
            clock: Clock::new(run.begin, &run.end),
            limit: scratch.limit(),
            status: run.status,
        })
    }

    /// Writes a trace for each: the program's own to `output`, the others beside it.
    pub(super) fn traces(&self, output: Output, program: &Program) -> Result<Recording> {
        let main = output.path().to_owned();
        let mut traces = Vec::new();
        match self.own {
            Some(at) => traces.extend(self.trace(&self.images[at], output, true)?),
            None => drop(output),
        }
        for (at, image) in self.images.iter().enumerate() {
            if Some(at) != self.own {
                let taken = |path: &Path| traces.iter().any(|trace: &Trace| trace.path == path);
                let path = beside(&main, image.header.process.load(Relaxed), image.name(), taken);
                let trace = self.trace(image, Output::create(&path)?, false)?;
                traces.extend(trace);
            }
        }
        let obstacle = self.obstacle(&traces, &program.binary);
        if traces.is_empty() {
            let (path, obstacle) = obstacle.unwrap_or_else(|| (program.binary.clone(), Obstacle::NotLoaded));
            bail!("nothing was recorded: {} {obstacle}", path.display());
        }
        Ok(Recording { traces, obstacle, status: self.status, failed: self.failed })
    }

    /// Writes the trace of an image, if it has events.
    fn trace(&self, image: &Image, mut output: Output, is_program: bool) -> Result<Option<Trace>> {
        let events = Merge::new(image.lanes()?)?;
        if events.is_empty() {
            return Ok(None);
        }
        let what = format!("cannot write {}", output.path().display());
        let summary = convert(image, events, &self.clock, &mut output).context(what)?;
        let path = output.finish()?;
        let bytes = fs::metadata(&path).map_or(0, |file| file.len());
        let start = start(image, &self.clock);
        Ok(Some(Trace { path, bytes, is_program, start, summary, stopped: self.stopped(image) }))
    }

    /// Why recording stopped before the process did, if it did.
    fn stopped(&self, image: &Image) -> Option<String> {
        if image.header.stopped.load(Relaxed) == 0 {
            return None;
        }
        Some(match image.header.reason.load(Relaxed) {
            raw::LIMIT => {
                format!("it reached the limit of {} for temporary data (--max-size)", tell::size(self.limit))
            }
            raw::OVER => "the program had ended while this process still ran".to_owned(),
            number => format!("of an error: {}", io::Error::from_raw_os_error(number as i32)),
        })
    }

    /// Why the program has no trace, or only a small part of one.
    fn obstacle(&self, traces: &[Trace], binary: &Path) -> Option<(PathBuf, Obstacle)> {
        let own = traces.first().filter(|trace| trace.is_program);
        if own.is_some_and(|trace| trace.summary.allocations >= FEW) {
            return None;
        }
        let path = own.map_or(binary.to_owned(), |trace| PathBuf::from(&trace.start.program));
        let found = if own.is_some() { inspect::own_allocator(&path)? } else { self.why_nothing(&path) };
        Some((path, found))
    }

    /// Why the program has no events at all.
    fn why_nothing(&self, binary: &Path) -> Obstacle {
        let mut own =
            self.images.iter().filter(|image| image.header.process.load(Relaxed) == self.process).peekable();
        if own.peek().is_none() && self.failed > 0 {
            return Obstacle::Failed(
                "no files could be made in the directory for temporary files or in /dev/shm".into(),
            );
        }
        if own.peek().is_none() {
            return Obstacle::NotLoaded;
        }
        match own.find_map(|image| self.stopped(image)) {
            Some(reason) => Obstacle::Failed(reason),
            None => inspect::own_allocator(binary).unwrap_or(Obstacle::NothingAllocated),
        }
    }
}

/// The image that is the program: the last one of the process that was started and has events. Earlier ones are what
/// led to it, such as `env`, or a shell whose last command takes its place.
fn own_image(images: &[Image], process: u32) -> Result<Option<usize>> {
    for (at, image) in images.iter().enumerate().rev() {
        if image.header.process.load(Relaxed) == process && !Merge::new(image.lanes()?)?.is_empty() {
            return Ok(Some(at));
        }
    }
    Ok(None)
}
