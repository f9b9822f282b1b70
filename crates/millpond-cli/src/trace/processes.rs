//! The processes in a file: which there are, and which of them a command is about.

use std::{cmp::Reverse, path::Path};

use anyhow::{Context, Result, bail};
use millpond_trace::{Archive, Ending, Origin, Reader};

use super::{command_line, last_part, program};
use crate::{terminal, units::counted};

/// Max number of processes that an error message lists.
const LISTED: usize = 5;
/// Max number of characters of a command line that are kept for each process.
const LINE: usize = 1000;
/// Begins the place of a process in the list.
const PLACE: char = '@';

/// All processes in a file, the one with the most events first.
pub(crate) struct Processes {
    file: String,
    archive: Archive,
    all: Vec<Process>,
}

/// What is known about a process without reading its events.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// The number of its trace in the file.
    trace: usize,
    /// Its place in the list, from 1.
    pub(crate) place: usize,
    /// The name of its program, for display.
    pub(crate) name: String,
    /// The last part of the path of its program.
    executable: String,
    /// Program and arguments, shortened if they are very long.
    pub(crate) command_line: String,
    /// Process numbers of it and of its parent; 0 if unknown.
    pub(crate) process: u32,
    pub(crate) parent: u32,
    /// When recording it began, in nanoseconds since 1970; 0 if unknown.
    pub(crate) unix_ns: u64,
    /// Nanoseconds for which it was recorded, and of CPU time in that period (0: unknown).
    pub(crate) wall_ns: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) events: u64,
    pub(crate) allocations: u64,
    /// Max bytes live at once.
    pub(crate) peak_bytes: u64,
    pub(crate) ending: Ending,
    /// Where its trace comes from.
    pub(crate) origin: Origin,
    /// The exit status as the system reports it, if it is known.
    pub(crate) status: Option<u64>,
    /// Bytes of its trace.
    pub(crate) bytes: u64,
}

impl Processes {
    /// Opens a file, whose name is for messages. Traces that cannot be opened are left out with a message, unless there is
    /// no other.
    pub(crate) fn new(file: &Path, archive: Archive) -> Result<Self> {
        let file = file.display().to_string();
        if !archive.is_complete() {
            terminal::eprint(&format!(
                "{file} was cut off or is damaged: it has {}, and later ones may be missing",
                counted(archive.count() as u64, "complete process")
            ));
        }
        let mut all = Vec::new();
        for trace in 0..archive.count() {
            match archive.reader(trace) {
                Ok(reader) => all.push(Process::new(trace, &reader, archive.bytes(trace))),
                Err(error) if archive.count() > 1 => {
                    terminal::eprint(&format!("process {} of {file} is left out: {error}", trace + 1));
                }
                Err(error) => return Err(error).with_context(|| format!("cannot read {file}")),
            }
        }
        all.sort_by_key(|process| Reverse(process.events));
        (1..).zip(&mut all).for_each(|(place, process)| process.place = place);
        Ok(Self { file, archive, all })
    }

    /// Returns all processes, the one with the most events first.
    pub(crate) fn all(&self) -> &[Process] {
        &self.all
    }

    /// Opens the trace of a process.
    pub(crate) fn reader(&self, process: &Process) -> Result<Reader> {
        self.archive.reader(process.trace).with_context(|| format!("cannot read {}", self.file))
    }

    /// Returns the process that is meant: by number, name or place in the list; if nothing is given, the largest.
    pub(crate) fn one(&self, wanted: Option<&str>) -> Result<&Process> {
        match &self.named(wanted)?[..] {
            [process, rest @ ..] if wanted.is_none() || rest.is_empty() => Ok(process),
            several => {
                let name = wanted.unwrap_or_default();
                let more = if several.len() > LISTED { ", ..." } else { "" };
                let list: Vec<_> = several.iter().take(LISTED).map(|process| process.label()).collect();
                bail!(
                    "{name} stands for {}: {}{more}; give --process the number of one, or its place with {PLACE}",
                    counted(several.len() as u64, "process"),
                    list.join(", ")
                )
            }
        }
    }

    /// Returns all processes that are meant, at least one: those with this number or name, or at this place in the list.
    pub(crate) fn named(&self, wanted: Option<&str>) -> Result<Vec<&Process>> {
        let is_wanted = |process: &&Process| wanted.is_none_or(|wanted| process.is_called(wanted));
        let found: Vec<_> = self.all.iter().filter(is_wanted).collect();
        if found.is_empty() {
            let mut names: Vec<_> = self.all.iter().map(|process| &*process.name).collect();
            names.sort_unstable();
            names.dedup();
            let more = if names.len() > 4 * LISTED { ", ..." } else { "" };
            names.truncate(4 * LISTED);
            bail!(
                "{} is not a process of {}; its processes are {}{more}",
                wanted.unwrap_or("that"),
                self.file,
                names.join(", ")
            );
        }
        Ok(found)
    }

    /// Returns all processes of the program of one that is meant.
    pub(crate) fn together(&self, wanted: Option<&str>) -> Result<Vec<&Process>> {
        let found = self.named(wanted)?;
        Ok(self.all.iter().filter(|process| process.name == found[0].name).collect())
    }

    /// Says which of several processes a command is about.
    pub(crate) fn note(&self, process: &Process) {
        if self.all.len() > 1 {
            terminal::eprint(&format!(
                "this is about {}, one of {} in {}; --process selects another, and `millpond show` lists them",
                process.label(),
                counted(self.all.len() as u64, "process"),
                self.file
            ));
        }
    }
}

impl Process {
    fn new(trace: usize, reader: &Reader, bytes: u64) -> Self {
        let (start, summary) = (reader.start(), reader.summary());
        Self {
            trace,
            place: 0,
            name: program(reader).chars().take(LINE).collect(),
            executable: last_part(&start.program).chars().take(LINE).collect(),
            command_line: command_line(reader).chars().take(LINE).collect(),
            process: start.process,
            parent: start.parent,
            unix_ns: start.unix_ns,
            wall_ns: summary.wall_ns,
            cpu_ns: summary.cpu_ns,
            events: summary.events,
            allocations: summary.allocations,
            peak_bytes: summary.peak_bytes,
            ending: summary.ending,
            origin: summary.resources.origin(),
            status: summary.resources.exit_status,
            bytes,
        }
    }

    /// Returns whether a text means this process.
    fn is_called(&self, text: &str) -> bool {
        if let Some(place) = text.strip_prefix(PLACE) {
            return place.parse() == Ok(self.place);
        }
        let is_number = self.process > 0 && text.parse() == Ok(self.process);
        is_number || self.name == text || self.executable == text
    }

    /// Returns its place, name, number and size.
    fn label(&self) -> String {
        let number = if self.process > 0 { format!("process {}, ", self.process) } else { String::new() };
        format!("{PLACE}{} {} ({number}{})", self.place, self.name, counted(self.events, "event"))
    }
}
