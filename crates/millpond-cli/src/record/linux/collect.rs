//! Makes traces from the files that the recorder left.

use std::{cmp::Reverse, fs, path::PathBuf, process::ExitStatus, sync::atomic::Ordering::Relaxed};

use anyhow::{Context, Result, bail};
use millpond_trace::{
    ArchiveWriter,
    raw::{Control, Reserve},
};

use super::{
    about::Outside,
    clock::Clock,
    convert::{BuildIds, Facts, convert, start},
    escapes,
    image::Image,
    launch::{self, Run},
    merge::Merge,
    program::Program,
    scratch::Scratch,
    select, stopped,
};
use crate::{
    output::Output,
    record::{
        error::RecordError,
        recording::{Escape, Options, Recording, Trace},
        report,
    },
    terminal::Progress,
};

/// All process images of a finished recording.
pub(super) struct Collection {
    pub(super) images: Vec<Image>,
    /// The process that was started.
    pub(super) process: u32,
    pub(super) failed: usize,
    pub(super) sandboxed: usize,
    missing: usize,
    pub(super) escaped: Vec<Escape>,
    compared: [u64; 2],
    clock: Clock,
    outside: Outside,
    pub(super) limit: u64,
    /// Whether traces have the addresses of blocks.
    addresses: bool,
    /// How that process ended; `None` if `millpond` did not wait for it.
    status: Option<ExitStatus>,
}

impl Collection {
    /// Ends the recording: what a process does that still runs is not recorded from here on.
    pub(super) fn new(scratch: &Scratch, run: &Run) -> Result<Self> {
        Self::of(scratch, &scratch.stop()?, run.process, Clock::new(run.begin, &run.end), Some(run.status))
    }

    /// Ends a recording that `millpond` itself could not end. How the program ended is not known.
    pub(super) fn recover(scratch: &Scratch) -> Result<Self> {
        let control = scratch.stop()?;
        Self::of(scratch, &control, control.first.load(Relaxed), Clock::of(&control), None)
    }

    fn of(
        scratch: &Scratch,
        control: &Control,
        process: u32,
        clock: Clock,
        status: Option<ExitStatus>,
    ) -> Result<Self> {
        let execs = scratch.execs(control);
        let count = control.processes.load(Relaxed);
        let mut reserve = Reserve::open(&scratch.reserve()).context("could not read the reserve")?;
        let images: Vec<_> =
            (0..count).filter_map(|number| Image::open(scratch.path(), number, &mut reserve)).collect();
        let (failed, sandboxed) = (count as usize - images.len(), control.sandboxed.load(Relaxed) as usize);
        let mut escaped = escapes::find(&execs, &images, &select::why_no_files(failed, sandboxed));
        let mut missing = control.missing.load(Relaxed) as usize;
        // One of them may be known by its process.
        let unwritten = Some(control.unwritten.load(Relaxed));
        if missing > 0
            && let Some(known) = escaped.iter_mut().find(|escape| escape.process == unwritten)
        {
            known.error = RecordError::NotInherited;
            missing -= 1;
        }
        Ok(Self {
            process,
            failed,
            sandboxed,
            missing,
            escaped,
            images,
            clock,
            outside: Outside::read(scratch.path()),
            compared: [control.compared.load(Relaxed), control.different.load(Relaxed)],
            limit: scratch.limit(),
            addresses: control.addresses.load(Relaxed) != 0,
            status,
        })
    }

    /// Returns the program of the first process, if there is one.
    pub(super) fn program(&self) -> Option<Program> {
        let image = self.images.first()?;
        let path = PathBuf::from(&image.program);
        Some(Program { name: image.name().into(), binary: path.clone(), path })
    }

    /// Writes the traces of all processes, or of those that are requested, to `output`, the largest first.
    pub(super) fn recording(
        mut self,
        output: Output,
        program: &Program,
        options: &Options,
    ) -> Result<Recording> {
        if options.no_args {
            self.images.iter_mut().for_each(|image| image.arguments.truncate(1));
        }
        let error = self.obstacle(program, options.process.as_deref());
        let (chosen, left) = self.chosen(options, error.is_some())?;
        let path = output.path().to_owned();
        let (traces, bytes) =
            self.write(&chosen, output).with_context(|| format!("cannot write {}", path.display()))?;
        let others = self.others(chosen[traces.len()..].iter().chain(&left))?;
        let recording = Recording {
            path,
            bytes,
            traces,
            others,
            error,
            program: program.name.to_string_lossy().into_owned(),
            status: self.status.unwrap_or_default(),
            interrupted: launch::interrupted(),
            failed: self.failed,
            sandboxed: self.sandboxed,
            missing: self.missing,
            escaped: std::mem::take(&mut self.escaped),
            compared: self.compared,
        };
        match (&recording.traces[..], &recording.error) {
            ([], Some((_, RecordError::NoSuchProcess(_)))) => Ok(recording),
            ([], Some((path, error))) => {
                let hint = self.hint(&recording.others);
                let ended = recording.signal().map(|signal| report::ended_by(&recording.program, signal));
                let ended = ended.map_or_else(String::new, |ended| format!("; {ended}"));
                bail!("nothing was recorded: {} {error}{hint}{ended}", path.display())
            }
            _ => Ok(recording),
        }
    }

    /// Writes the traces of these images, which are in this order; returns them, the largest first, and the bytes of the
    /// file, which is only made if there are any. After a signal, those that follow are left out.
    fn write(&self, images: &[&Image], output: Output) -> Result<(Vec<Trace>, u64)> {
        let mut archive = ArchiveWriter::new(output);
        let (progress, build_ids) = (Progress::new("writing the traces"), BuildIds::default());
        let records = images.iter().map(|image| image.records()).collect::<Result<Vec<_>>>()?;
        let (mut traces, mut done, all) = (Vec::new(), 0, records.iter().sum());
        for (image, records) in images.iter().zip(records) {
            if !traces.is_empty() && launch::interrupted().is_some() {
                break;
            }
            let facts = Facts {
                image,
                clock: &self.clock,
                outside: &self.outside,
                stopped: stopped::reason(&image.header, self.limit),
                addresses: self.addresses,
                status: self.status.filter(|_| self.is_last_of_first(image)),
                build_ids: &build_ids,
                progress: &|count| progress.at(done + count, all),
            };
            let summary = convert(facts, Merge::new(image.streams()?)?, archive.begin())?;
            let (name, start) = (image.name(), start(image, &self.clock));
            traces.push(Trace { bytes: archive.length(), name, start, summary });
            done += records;
        }
        if traces.is_empty() {
            return Ok((traces, 0));
        }
        traces.sort_by_key(|trace| Reverse(trace.summary.events));
        let path = archive.finish()?.finish()?;
        let file = fs::metadata(&path).ok().filter(fs::Metadata::is_file);
        Ok((traces, file.map_or(0, |file| file.len())))
    }

    /// Returns whether an image is the last of the process that was started.
    fn is_last_of_first(&self, image: &Image) -> bool {
        let last = self.images.iter().rev().find(|image| image.process() == self.process);
        last.is_some_and(|last| last.number == image.number)
    }
}
