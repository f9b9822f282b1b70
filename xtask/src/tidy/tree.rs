//! The files of the repository, and the findings of rules about them.

use std::{collections::BTreeMap, fmt, fs, io, path::Path};

use super::source::Source;

/// A finding at a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    pub(super) path: String,
    pub(super) line: usize,
    /// The problem and its solution.
    pub(super) message: String,
}

impl Finding {
    pub(super) fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Every file by its path from the root, with its text if it is read here.
#[derive(Default)]
pub(crate) struct Files(BTreeMap<String, String>);

impl Files {
    /// Reads the files below `root`, except those of git and cargo.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut files = Self::default();
        files.add_folder(root, "")?;
        Ok(files)
    }

    fn add_folder(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if !entry.file_type()?.is_dir() {
                let is_read = [".rs", ".md", ".toml", ".csv", ".svg"].iter().any(|end| name.ends_with(end));
                let text = if is_read { fs::read_to_string(entry.path())? } else { String::new() };
                self.0.insert(path, text);
            } else if ![".git", "target"].contains(&name.as_str()) {
                self.add_folder(&entry.path(), &format!("{path}/"))?;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect())
    }

    /// Returns the files whose names end in `end`.
    pub(crate) fn ending(&self, end: &'static str) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter(move |(path, _)| path.ends_with(end))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Returns whether `path` is a file or a folder with files.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty() || self.0.keys().any(|file| file == path || file.starts_with(&folder))
    }
}

/// The files, with the Rust files split into tokens.
pub(super) struct Tree<'a> {
    pub(super) files: &'a Files,
    pub(super) sources: Vec<Source<'a>>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(files: &'a Files) -> Self {
        let sources = files.ending(".rs").map(|(path, text)| Source::new(path, text)).collect();
        Self { files, sources }
    }
}

/// Returns where a rule finds something in these files.
#[cfg(test)]
pub(super) fn found(rule: fn(&Tree<'_>) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<(String, usize)> {
    let files = Files::of(files);
    rule(&Tree::new(&files)).into_iter().map(|finding| (finding.path, finding.line)).collect()
}
