//! Adds marks to a recording that is in progress.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use millpond_trace::raw::{self, FromBytes, OuterMark};

use super::scratch::Scratch;

/// See [`crate::record::mark`].
pub(in super::super) fn mark(target: &Path, name: &str) -> Result<()> {
    let ticks = millpond_record::ticks();
    let directory = find(target)?.0;
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

/// Returns the directory of a recording, and the process in it that is meant: that of a recorded process, or of the first
/// one that a `millpond record` has started.
pub(super) fn find(target: &Path) -> Result<(PathBuf, Option<u32>)> {
    let Some(process) = target.to_str().and_then(|target| target.parse::<u32>().ok()) else {
        return Ok((target.to_owned(), None));
    };
    let what = || format!("could not find out whether process {process} is being recorded");
    let started = || children(process).into_iter().map(|child| (directory_of(child), child));
    let found = match directory_of(process).with_context(what)? {
        Some(directory) => Some((directory, process)),
        None => started().find_map(|(directory, child)| Some((directory.ok()??, child))),
    };
    let (directory, process) = found.with_context(|| {
        format!(
            "process {process} is not being recorded, and millpond cannot look into a program that was started without \
             it: start it by `millpond record -o FILE -- PROGRAM`"
        )
    })?;
    Ok((directory, Some(process)))
}

/// Returns the directory of the recording of which a process is part; `None` if it is part of none.
fn directory_of(process: u32) -> io::Result<Option<PathBuf>> {
    let environment = fs::read(format!("/proc/{process}/environ"))?;
    let prefix = format!("{}=", raw::DIRECTORY);
    let mut entries = environment.split(|&byte| byte == 0);
    let directory = entries.find_map(|entry| entry.strip_prefix(prefix.as_bytes()));
    Ok(directory.map(|directory| PathBuf::from(OsStr::from_bytes(directory))))
}

/// Returns the children of a process, as far as the system says which they are.
fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split(' ').filter_map(|child| child.parse().ok()).collect::<Vec<_>>())
        .collect()
}
