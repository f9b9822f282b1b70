//! Adds marks to a recording that is in progress.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use millpond_trace::raw::{self, FromBytes, OuterMark};

use super::scratch::Scratch;

/// See [`crate::record::mark`].
pub(in super::super) fn mark(target: &Path, name: &str) -> Result<()> {
    let ticks = millpond_record::ticks();
    let process = target.to_str().and_then(|target| target.parse::<u32>().ok());
    let directory = match process {
        Some(process) => directory_of(process)?,
        None => target.to_owned(),
    };
    let scratch = Scratch::open(&directory)?;
    let mut mark = OuterMark { ticks, name: [0; 120] };
    let Some(place) = mark.name.get_mut(..name.len()) else {
        bail!("the name of a mark has at most 120 bytes");
    };
    place.copy_from_slice(name.as_bytes());
    let mut file = fs::File::options();
    let file = file.append(true).create(true).mode(0o600).open(scratch.path().join("marks"));
    file.and_then(|mut file| file.write_all(mark.to_bytes())).context("could not write the mark")
}

/// Returns the directory of the recording of which a process is part.
fn directory_of(process: u32) -> Result<PathBuf> {
    let environment = fs::read(format!("/proc/{process}/environ"))
        .with_context(|| format!("could not find out whether process {process} is being recorded"))?;
    let prefix = format!("{}=", raw::DIRECTORY);
    let mut entries = environment.split(|&byte| byte == 0);
    let directory = entries.find_map(|entry| entry.strip_prefix(prefix.as_bytes()));
    let directory = directory.with_context(|| format!("process {process} is not being recorded"))?;
    Ok(PathBuf::from(OsStr::from_bytes(directory)))
}
