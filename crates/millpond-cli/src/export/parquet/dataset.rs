//! A data set: a folder with a folder for each table, in which each run has a folder of its own, `run=…`.

use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use super::schema;
use crate::output::NewFile;

/// The file of a table.
const FILE: &str = "part-0.parquet";

/// A run that is being added to a data set.
pub(super) struct Dataset {
    root: PathBuf,
    run: String,
    /// Whether a run of the same name may be replaced.
    force: bool,
}

impl Dataset {
    /// Begins a run. Creates the folder if there is none.
    pub(super) fn create(root: &Path, run: &str, force: bool) -> Result<Self> {
        if !root.exists() {
            folders().create(root).with_context(|| format!("cannot create {}", root.display()))?;
        }
        ensure!(root.is_dir(), "{} is not a folder, and --to parquet writes one", root.display());
        let dataset = Self { root: root.to_owned(), run: run.to_owned(), force };
        let existing = schema::ALL.iter().map(|table| dataset.place(table.name)).find(|place| place.exists());
        match existing {
            Some(place) if !force => bail!(
                "{} is there already: --force replaces the run, and --run gives this one another name",
                place.display()
            ),
            _ => Ok(dataset),
        }
    }

    /// Begins the file of a table.
    pub(super) fn file(&self) -> Result<NewFile> {
        NewFile::create(&self.root).with_context(|| format!("cannot write {}", self.root.display()))
    }

    /// Gives the files of all tables their names. The table of processes, which is the last one, is the first of an old run
    /// that goes: runs that it has are complete.
    pub(super) fn finish(self, files: Vec<(&str, NewFile)>) -> Result<()> {
        if let Some((last, _)) = files.last() {
            let place = self.place(last);
            match fs::remove_file(&place) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot replace {}", place.display()));
                }
                _ => {}
            }
        }
        for (table, file) in files {
            let place = self.place(table);
            let what = || format!("cannot create {}", place.display());
            folders().create(place.parent().unwrap_or(&self.root)).with_context(what)?;
            file.persist(&place, self.force).with_context(what)?;
        }
        Ok(())
    }

    /// Returns the path of the file of a table.
    fn place(&self, table: &str) -> PathBuf {
        self.root.join(table).join(format!("run={}", self.run)).join(FILE)
    }
}

/// Returns what creates folders that only the owner can read, as recordings are, whether they exist or not.
fn folders() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
}
