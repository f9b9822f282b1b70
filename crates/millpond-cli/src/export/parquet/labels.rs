//! What tells the recordings of a fleet apart.

use anyhow::{Result, ensure};

use super::table::Cell;
use crate::{cli, trace::Process};

/// Max bytes of the name of a run.
const LONGEST: usize = 200;

/// The labels of a run.
pub(super) struct Labels {
    pub(super) host: Option<String>,
    pub(super) service: String,
    pub(super) version: Option<String>,
    pub(super) run: String,
}

impl Labels {
    /// Returns the labels that were given, and what the recording says in place of others.
    pub(super) fn new(given: &cli::Labels, processes: &[Process]) -> Result<Self> {
        // Only the process that was started has an exit status.
        let started = processes.iter().find(|process| process.status.is_some()).or(processes.first());
        let of_start = |text: fn(&Process) -> String| started.map(text).unwrap_or_default();
        let labels = Self {
            host: given.host.clone(),
            service: given.service.clone().unwrap_or_else(|| of_start(|process| process.name.clone())),
            version: given.service_version.clone(),
            run: given.run.clone().unwrap_or_else(|| {
                of_start(|process| match process.unix_ns {
                    0 => String::new(),
                    time => format!("{time}-{}", process.process),
                })
            }),
        };
        ensure!(
            !labels.run.is_empty(),
            "the recording does not say when it was made: name it with --run NAME"
        );
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.+@".contains(letter);
        ensure!(
            labels.run.chars().all(is_plain) && labels.run.len() <= LONGEST,
            "--run {:?} names folders: use up to {LONGEST} letters, digits, and -_.+@",
            labels.run
        );
        Ok(labels)
    }

    /// Returns host, service and version.
    pub(super) fn cells(&self) -> [Cell; 3] {
        [self.host.as_deref().into(), self.service.as_str().into(), self.version.as_deref().into()]
    }
}
