//! Which processes of a recording are kept, and why there may be none.

use std::{cmp::Reverse, path::PathBuf, sync::atomic::Ordering::Relaxed};

use anyhow::Result;

use super::{collect::Collection, image::Image, inspect, program::Program, stopped};
use crate::record::{
    error::RecordError,
    recording::{Options, Other},
};

impl Collection {
    /// Returns why the requested process, or the one that was started, has no trace; `None` if it has.
    pub(super) fn obstacle(&self, program: &Program, wanted: Option<&str>) -> Option<(PathBuf, RecordError)> {
        let Some(name) = wanted else {
            return (!self.has_started_process()).then(|| self.why_nothing(program));
        };
        if self.images.iter().any(|image| image.is_called(name)) {
            return None;
        }
        let mut names: Vec<_> = self.images.iter().map(Image::name).collect();
        names.sort();
        names.dedup();
        Some((PathBuf::from(name), RecordError::NoSuchProcess(names.join(", "))))
    }

    /// Returns whether the process that was started was recorded up to its last program.
    fn has_started_process(&self) -> bool {
        if self.escaped.iter().any(|escape| escape.process == Some(self.process)) {
            return false;
        }
        let last = self.images.iter().rev().find(|image| image.process() == self.process);
        // Having no events can be legitimate, but not in these cases.
        let is_hidden = |image: &Image| {
            image.header.stopped.load(Relaxed) != 0 || inspect::hidden_allocator(image).is_some()
        };
        last.is_some_and(|image| !image.is_empty() || !is_hidden(image))
    }

    /// Returns the images to keep, the largest first, and the others. If there is an `obstacle`, all other processes than
    /// the one that was started are kept, so that nothing is lost, unless only one image is to be kept.
    pub(super) fn chosen(&self, options: &Options, obstacle: bool) -> Result<(Vec<&Image>, Vec<&Image>)> {
        let wanted = options.process.as_deref().filter(|_| !obstacle);
        let is_lost = obstacle && options.process.is_none();
        let is_wanted = |image: &&Image| match wanted {
            Some(name) => image.is_called(name),
            None => !is_lost || image.process() != self.process,
        };
        let (mut chosen, mut left): (Vec<_>, Vec<_>) = self.processes().partition(is_wanted);
        let sizes = chosen.iter().map(|image| if options.one { image.events() } else { image.records() });
        let mut sized = sizes.collect::<Result<Vec<_>>>()?.into_iter().zip(chosen).collect::<Vec<_>>();
        sized.sort_by_key(|&(size, _)| Reverse(size));
        chosen = sized.into_iter().map(|(_, image)| image).collect();
        if options.one {
            left.extend(chosen.drain(chosen.len().min(usize::from(!obstacle))..));
        }
        Ok((chosen, left))
    }

    /// Iterates over the images without those that only led to another program, by `fork` or `exec`, without an event.
    fn processes(&self) -> impl Iterator<Item = &Image> {
        let has_followed = |at: usize, process: u32| {
            self.images[at + 1..].iter().any(|image| image.process() == process)
                || self.escaped.iter().any(|escape| escape.process == Some(process))
        };
        let images = self.images.iter().enumerate();
        let images =
            images.filter(move |(at, image)| !image.is_empty() || !has_followed(*at, image.process()));
        images.map(|(_, image)| image)
    }

    /// Describes images that are not kept.
    pub(super) fn others<'a>(&self, images: impl Iterator<Item = &'a &'a Image>) -> Result<Vec<Other>> {
        let other = |image: &&Image| {
            let (name, process, cpu_ns) = (image.name(), image.process(), image.cpu_ns());
            Ok(Other { name, process, events: image.events()?, cpu_ns })
        };
        images.map(other).collect()
    }

    /// Explains why the process that was started has no trace.
    fn why_nothing(&self, program: &Program) -> (PathBuf, RecordError) {
        let path = &program.binary;
        if let Some(escape) = self.escaped.iter().find(|escape| escape.process == Some(self.process)) {
            let became = RecordError::Became(escape.program.clone(), Box::new(escape.error.clone()));
            return (path.clone(), became);
        }
        (path.clone(), self.why_no_events())
    }

    /// Returns the processes that could be recorded instead, by name.
    pub(super) fn hint(&self, others: &[Other]) -> String {
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
                    inspect::hidden_allocator(image).map_or(RecordError::NotLoaded, RecordError::OwnAllocator)
                }
            },
        }
    }
}

/// Explains why a process left no files, given how many could not make any and how many were in a sandbox.
pub(super) fn why_no_files(failed: usize, sandboxed: usize) -> RecordError {
    if sandboxed > 0 {
        return RecordError::Failed("it is in a sandbox (seccomp) that might kill it for that".into());
    }
    if failed > 0 {
        let what = "no files could be made for it in the directory for temporary files or in /dev/shm, for lack of \
                    room, permission or file descriptors";
        return RecordError::Failed(what.into());
    }
    RecordError::NotLoaded
}
