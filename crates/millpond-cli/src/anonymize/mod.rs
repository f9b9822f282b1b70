//! Traces without the names in them: every text is replaced by a keyed hash of it, and the key is forgotten.
//!
//! What stays is what the program did: times, sizes, threads, and call stacks as offsets in modules without names. Of
//! libraries that every system has, names and build ids stay too, so that their functions can still be named.

mod copy;
mod secret;
mod texts;

use std::{
    fs::File,
    io::{BufWriter, Seek as _},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use millpond_trace::{Archive, ArchiveWriter, Reader};

use self::{secret::Secret, texts::Texts};
use crate::{
    terminal::Progress,
    trace::{Process, Processes},
};

/// How often a key is chosen until the hashes contain none of the texts by chance.
const TRIES: usize = 3;

/// What was done.
pub(crate) struct Report {
    /// Number of processes.
    pub(crate) processes: usize,
    /// Number of different texts that were replaced.
    pub(crate) replaced: usize,
    /// The texts that were kept.
    pub(crate) kept: Vec<String>,
    /// Bytes of the new trace, decompressed, that were searched for the texts and their parts.
    pub(crate) searched: u64,
    /// Number of texts and parts searched for.
    pub(crate) patterns: usize,
}

/// Writes the traces of these processes without names to `output`, which must not exist unless `force` is set. It appears
/// under that name only after a search has shown that no text of the old ones is in it.
pub(crate) fn run(processes: &Processes, chosen: &[&Process], output: &Path, force: bool) -> Result<Report> {
    let what = || format!("cannot write {}", output.display());
    ensure!(force || !output.exists(), "{}: the file is there already; --force overwrites it", what());
    let texts = texts(processes, chosen)?;
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for _ in 0..TRIES {
        let mut file =
            tempfile::Builder::new().prefix(".millpond-").tempfile_in(parent).with_context(what)?;
        let secret = Secret::new(&texts)?;
        write(processes, chosen, &secret, file.as_file_mut())?;
        file.rewind().with_context(what)?;
        if let Some(searched) = search(&texts, &secret, file.reopen().with_context(what)?)? {
            let persisted = if force { file.persist(output) } else { file.persist_noclobber(output) };
            persisted.with_context(what)?;
            let (replaced, kept) = (texts.private().count(), texts.kept());
            let processes = chosen.len();
            return Ok(Report { processes, replaced, kept, searched, patterns: texts.patterns().len() });
        }
    }
    bail!("a text of the trace is still in the new one after {TRIES} attempts, so it was not written")
}

/// Collects the texts in the traces of these processes.
fn texts(processes: &Processes, chosen: &[&Process]) -> Result<Texts> {
    let mut texts = Texts::default();
    each(processes, chosen, "collecting the names", |_, reader| {
        texts.add(reader);
        Ok(())
    })?;
    Ok(texts)
}

/// Writes the traces of these processes, whose numbers become 1, 2, 3 …, or 0 if there is only one.
fn write(processes: &Processes, chosen: &[&Process], secret: &Secret<'_>, file: &mut File) -> Result<()> {
    let mut archive = ArchiveWriter::new(BufWriter::new(file));
    let number = |process: u32| {
        let place = chosen.iter().position(|chosen| process != 0 && chosen.process == process);
        place.filter(|_| chosen.len() > 1).map_or(0, |place| place as u32 + 1)
    };
    each(processes, chosen, "writing the traces", |process, reader| {
        let numbers = (number(process.process), number(process.parent));
        copy::copy(reader, secret, numbers, archive.begin()).map(drop)
    })?;
    archive.finish()?;
    Ok(())
}

/// Passes the traces of these processes, read to their ends, so that all tables are known, to `work`.
fn each(
    processes: &Processes,
    chosen: &[&Process],
    what: &'static str,
    mut work: impl FnMut(&Process, &mut Reader) -> Result<()>,
) -> Result<()> {
    let (progress, all) = (Progress::new(what), chosen.iter().map(|process| process.events).sum());
    let mut done = 0;
    for &process in chosen {
        let mut reader = processes.reader(process)?;
        let mut events = Vec::new();
        while reader.read(&mut events)? {
            done += events.len() as u64;
            progress.at(done, all);
        }
        work(process, &mut reader)?;
    }
    Ok(())
}

/// Searches all new traces for all texts. Returns how many bytes were searched; `None` if something was found.
fn search(texts: &Texts, secret: &Secret<'_>, file: File) -> Result<Option<u64>> {
    let archive = Archive::new(file)?;
    let mut searched = 0;
    for number in 0..archive.count() {
        match texts.search(&mut archive.reader(number)?, secret)? {
            Some(bytes) => searched += bytes,
            None => return Ok(None),
        }
    }
    Ok(Some(searched))
}
