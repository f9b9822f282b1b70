//! Traces without the names in them: every text is replaced by a keyed hash of it, and the key is forgotten.
//!
//! What stays is what the program did: times, sizes, threads, and call stacks as offsets in modules without names. Of
//! libraries that every system has, names and build ids stay too, so that their functions can still be named.

mod copy;
mod secret;
mod texts;

use std::{
    io::{Seek as _, Write as _},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use millpond_trace::Reader;

use self::{secret::Secret, texts::Texts};

/// How often a key is chosen until the hashes contain none of the texts by chance.
const TRIES: usize = 3;

/// What was done.
pub(crate) struct Report {
    /// Number of different texts that were replaced.
    pub(crate) replaced: usize,
    /// The texts that were kept.
    pub(crate) kept: Vec<String>,
    /// Bytes of the new trace, decompressed, that were searched for the texts and their parts.
    pub(crate) searched: u64,
    /// Number of texts and parts searched for.
    pub(crate) patterns: usize,
}

/// Writes a trace without names to `output`, which must not exist unless `force` is set. It appears under that name only
/// after a search has shown that no text of the old one is in it.
pub(crate) fn run(reader: &mut Reader, output: &Path, force: bool) -> Result<Report> {
    let what = || format!("cannot write {}", output.display());
    ensure!(force || !output.exists(), "{}: the file is there already; --force overwrites it", what());
    // All tables are known after this.
    while reader.read(&mut Vec::new())? {}
    let texts = Texts::of(reader);
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for _ in 0..TRIES {
        let mut file =
            tempfile::Builder::new().prefix(".millpond-").tempfile_in(parent).with_context(what)?;
        let secret = Secret::new(&texts)?;
        let mut buffered = std::io::BufWriter::new(file.as_file_mut());
        copy::copy(reader, &secret, &mut buffered)?;
        buffered.flush().with_context(what)?;
        drop(buffered);
        file.rewind().with_context(what)?;
        let mut written = Reader::new(file.reopen().with_context(what)?)?;
        let found = texts.search(&mut written, &secret)?;
        if let Some(searched) = found {
            let persisted = if force { file.persist(output) } else { file.persist_noclobber(output) };
            persisted.with_context(what)?;
            let (replaced, kept) = (texts.private().count(), texts.kept());
            return Ok(Report { replaced, kept, searched, patterns: texts.patterns().len() });
        }
    }
    bail!("a text of the trace is still in the new one after {TRIES} attempts, so it was not written")
}
