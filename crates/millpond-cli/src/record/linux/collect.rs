//! Makes traces from the files that the recorder left.

use std::{fs, path::PathBuf, process::ExitStatus, sync::atomic::Ordering::Relaxed};

use anyhow::{Context, Result, bail};
use millpond_trace::raw::{Control, Reserve, StreamReader};

use super::{
    about::Outside,
    clock::Clock,
    convert::{Facts, convert, start},
    escapes,
    image::Image,
    inspect,
    launch::{self, Run},
    merge::Merge,
    program::Program,
    scratch::Scratch,
    stopped,
};
use crate::{
    output::{self, Output, beside},
    record::{
        error::RecordError,
        recording::{Escape, Options, Other, Recording, Trace},
        report,
    },
};

/// All process images of a finished recording.
pub(super) struct Collection {
    images: Vec<Image>,
    /// The process that was started.
    process: u32,
    failed: usize,
    sandboxed: usize,
    escaped: Vec<Escape>,
    compared: [u64; 2],
    clock: Clock,
    outside: Outside,
    limit: u64,
    status: ExitStatus,
}

impl Collection {
    /// Ends the recording: what a process does that still runs is not recorded from here on.
    pub(super) fn new(scratch: &Scratch, run: &Run) -> Result<Self> {
        Self::of(scratch, &scratch.stop()?, run.process, Clock::new(run.begin, &run.end), run.status)
    }

    /// Ends a recording that `millpond` itself could not end. How the program ended is not known.
    pub(super) fn recover(scratch: &Scratch) -> Result<Self> {
        let control = scratch.stop()?;
        Self::of(scratch, &control, control.first.load(Relaxed), Clock::of(&control), ExitStatus::default())
    }

    fn of(
        scratch: &Scratch,
        control: &Control,
        process: u32,
        clock: Clock,
        status: ExitStatus,
    ) -> Result<Self> {
        let execs = scratch.execs(control);
        let count = control.processes.load(Relaxed);
        let mut reserve = Reserve::open(&scratch.reserve()).context("could not read the reserve")?;
        let images: Vec<_> =
            (0..count).filter_map(|number| Image::open(scratch.path(), number, &mut reserve)).collect();
        let (failed, sandboxed) = (count as usize - images.len(), control.sandboxed.load(Relaxed) as usize);
        Ok(Self {
            process,
            failed,
            sandboxed,
            escaped: escapes::find(&execs, &images, &why_no_files(failed, sandboxed)),
            images,
            clock,
            outside: Outside::read(scratch.path()),
            compared: [control.compared.load(Relaxed), control.different.load(Relaxed)],
            limit: scratch.limit(),
            status,
        })
    }

    /// Returns the program of the first process, if there is one.
    pub(super) fn program(&self) -> Option<Program> {
        let image = self.images.first()?;
        let path = PathBuf::from(&image.program);
        Some(Program { name: image.name().into(), binary: path.clone(), path })
    }

    /// Writes the trace of the chosen process to `output`, and those of other processes beside it if they are to be
    /// kept.
    pub(super) fn recording(
        mut self,
        output: Output,
        program: &Program,
        options: &Options,
    ) -> Result<Recording> {
        if options.no_args {
            self.images.iter_mut().for_each(|image| image.arguments.truncate(1));
        }
        let chosen = self.choose(options.process.as_deref());
        let error = chosen.is_none().then(|| self.why_nothing(program, options.process.as_deref()));
        // If the name given matches no process, all traces are kept.
        let all = options.all || matches!(error, Some((_, RecordError::NoSuchProcess(_))));
        let main = output.path().to_owned();
        let (mut traces, mut others) = (Vec::new(), Vec::new());
        match chosen {
            Some(at) => traces.push(self.trace(&self.images[at], output, true)?),
            None => drop(output),
        }
        for (at, image) in self.images.iter().enumerate().filter(|&(at, _)| Some(at) != chosen) {
            let interrupted = launch::interrupted().is_some();
            let Some(events) = Merge::new(image.streams()?)?.some() else { continue };
            if all && !interrupted && !output::is_standard_output(&main) {
                let path = beside(&main, image.process(), &image.name(), |path| {
                    traces.iter().any(|trace: &Trace| trace.path == path) || !options.force && path.exists()
                });
                traces.push(self.trace(&self.images[at], Output::create(&path, options.force)?, false)?);
            } else {
                let (name, process, cpu_ns) = (image.name(), image.process(), image.cpu_ns());
                others.push(Other { name, process, events: events.count()?, cpu_ns });
            }
        }
        let recording = Recording {
            traces,
            others,
            error,
            program: program.name.to_string_lossy().into_owned(),
            status: self.status,
            interrupted: launch::interrupted(),
            failed: self.failed,
            sandboxed: self.sandboxed,
            escaped: std::mem::take(&mut self.escaped),
            compared: self.compared,
        };
        match (&recording.traces[..], &recording.error) {
            ([], Some((path, error))) => {
                let hint = self.hint(&recording.others);
                let ended = recording.signal().map(|signal| report::ended_by(&recording.program, signal));
                let ended = ended.map_or_else(String::new, |ended| format!("; {ended}"));
                bail!("nothing was recorded: {} {error}{hint}{ended}", path.display())
            }
            _ => Ok(recording),
        }
    }

    /// Returns the process to keep. Without a name, it is the last image of the process that was started: earlier
    /// images are what led to it, such as `env`, or a shell that was replaced by its last command. `None` if no process
    /// has the name, or if that process became a program that was not recorded.
    fn choose(&self, wanted: Option<&str>) -> Option<usize> {
        let images = self.images.iter().enumerate();
        if let Some(name) = wanted {
            let records = |image: &Image| {
                image.streams().map_or(0, |streams| streams.iter().map(StreamReader::records).sum::<u64>())
            };
            let named = images.filter(|(_, image)| image.is_called(name));
            return named.max_by_key(|(at, image)| (records(image), *at)).map(|(at, _)| at);
        }
        if self.escaped.iter().any(|escape| escape.process == Some(self.process)) {
            return None;
        }
        let (at, image) = images.rev().find(|(_, image)| image.process() == self.process)?;
        let empty = image
            .streams()
            .ok()
            .and_then(|streams| Merge::new(streams).ok())
            .is_some_and(|all| all.is_empty());
        // Having no events can be legitimate, but not in these cases.
        let hidden = image.header.stopped.load(Relaxed) != 0 || inspect::allocator(image, 0).is_some();
        (!empty || !hidden).then_some(at)
    }

    /// Writes the trace of an image.
    fn trace(&self, image: &Image, mut output: Output, is_chosen: bool) -> Result<Trace> {
        let events = Merge::new(image.streams()?)?;
        let what = format!("cannot write {}", output.path().display());
        let stopped = stopped::reason(&image.header, self.limit);
        let facts = Facts { image, clock: &self.clock, outside: &self.outside, stopped };
        let summary = convert(facts, events, &mut output).context(what)?;
        let path = output.finish()?;
        let file = fs::metadata(&path).ok().filter(fs::Metadata::is_file);
        let bytes = file.map_or(0, |file| file.len());
        let (name, start) = (image.name(), start(image, &self.clock));
        Ok(Trace { path, bytes, is_chosen, name, start, summary })
    }

    /// Explains why the chosen process has no trace.
    fn why_nothing(&self, program: &Program, wanted: Option<&str>) -> (PathBuf, RecordError) {
        if let Some(name) = wanted {
            let mut names: Vec<_> = self.images.iter().map(Image::name).collect();
            names.sort();
            names.dedup();
            return (PathBuf::from(name), RecordError::NoSuchProcess(names.join(", ")));
        }
        let path = &program.binary;
        if let Some(escape) = self.escaped.iter().find(|escape| escape.process == Some(self.process)) {
            let became = RecordError::Became(escape.program.clone(), Box::new(escape.error.clone()));
            return (path.clone(), became);
        }
        (path.clone(), self.why_no_events())
    }

    /// Returns the processes that could be recorded instead, by name.
    fn hint(&self, others: &[Other]) -> String {
        let others = others.iter().filter(|other| other.process != self.process);
        others.max_by_key(|other| other.events).map_or_else(String::new, |most| {
            let name = &most.name;
            format!("; it started {name}, which --process {name} picks when it is recorded again")
        })
    }

    /// Explains why the started process, which became no other program, has no events.
    fn why_no_events(&self) -> RecordError {
        let own = self.images.iter().rev().find(|image| image.process() == self.process);
        match own {
            None => why_no_files(self.failed, self.sandboxed),
            Some(image) => match stopped::reason(&image.header, self.limit) {
                Some((_, reason)) => RecordError::Failed(reason),
                None => {
                    inspect::allocator(image, 0).map_or(RecordError::NotLoaded, RecordError::OwnAllocator)
                }
            },
        }
    }
}

/// Explains why a process left no files, given how many could not make any and how many were in a sandbox.
fn why_no_files(failed: usize, sandboxed: usize) -> RecordError {
    if sandboxed > 0 {
        return RecordError::Failed("it is in a sandbox (seccomp) that might kill it for that".into());
    }
    if failed > 0 {
        let what = "no files could be made for it in the directory for temporary files or in /dev/shm, for want of \
                    room, of rights, or because of a limit (ulimit)";
        return RecordError::Failed(what.into());
    }
    RecordError::NotLoaded
}
