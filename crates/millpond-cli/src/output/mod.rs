//! Output files: complete under their name, or absent.

mod new_file;

use std::{
    fs::{self, File},
    io::{self, BufWriter, IsTerminal, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

pub(crate) use self::new_file::NewFile;

/// The name of standard output.
const STANDARD_OUTPUT: &str = "-";

/// Returns whether a path stands for standard output.
pub(crate) fn is_standard_output(path: &Path) -> bool {
    path == Path::new(STANDARD_OUTPUT)
}

/// A file that is being written.
pub(crate) struct Output {
    path: PathBuf,
    file: Kind,
    /// Whether an existing file of that name may be replaced.
    force: bool,
}

enum Kind {
    /// A file that gets its name at the end.
    New(BufWriter<NewFile>),
    /// A device, a pipe or standard output, written directly.
    Existing(BufWriter<File>),
}

impl Output {
    /// Checks that the output can be written; an existing file needs `force`. Only the owner can read the file, because
    /// it contains command lines and paths.
    pub(crate) fn create(path: &Path, force: bool) -> Result<Self> {
        let is_terminal = is_standard_output(path) && io::stdout().is_terminal();
        ensure!(
            !is_terminal,
            "this is not for a terminal: send standard output to a file or a pipe, or use -o FILE"
        );
        Self::text(path, force)
    }

    /// Does the same for a file that a terminal can show.
    pub(crate) fn text(path: &Path, force: bool) -> Result<Self> {
        let what = || format!("cannot write {}", path.display());
        if is_standard_output(path) {
            return Self::standard_output();
        }
        let file = match fs::metadata(path) {
            Ok(existing) if existing.is_dir() => bail!("cannot write {}: it is a directory", path.display()),
            Ok(existing) if !existing.is_file() => {
                Kind::Existing(BufWriter::new(File::options().write(true).open(path).with_context(what)?))
            }
            Ok(_) if !force => {
                bail!("cannot write {}: the file is there already; --force overwrites it", path.display())
            }
            _ => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let directory = parent.unwrap_or(Path::new("."));
                ensure!(directory.is_dir(), "{}: there is no directory {}", what(), directory.display());
                Kind::New(BufWriter::new(NewFile::create(directory).with_context(what)?))
            }
        };
        Ok(Self { path: path.to_owned(), file, force })
    }

    fn standard_output() -> Result<Self> {
        let output = io::stdout();
        let output = output.as_fd().try_clone_to_owned().context("cannot write to standard output")?;
        let file = Kind::Existing(BufWriter::new(output.into()));
        Ok(Self { path: PathBuf::from(STANDARD_OUTPUT), file, force: true })
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name. Without this call, it is deleted when dropped.
    pub(crate) fn finish(self) -> Result<PathBuf> {
        let what = || format!("cannot write {}", self.path.display());
        match self.file {
            Kind::New(file) => {
                let file = file.into_inner().map_err(|error| error.into_error()).with_context(what)?;
                file.persist(&self.path, self.force).with_context(what)?;
            }
            Kind::Existing(mut file) => file.flush().with_context(what)?,
        }
        Ok(self.path)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut self.file {
            Kind::New(file) => file.write(bytes),
            Kind::Existing(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match &mut self.file {
            Kind::New(file) => file.flush(),
            Kind::Existing(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_has_its_name_only_when_it_is_finished() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.mpt");
        fs::write(&path, "before").unwrap();
        assert!(Output::create(&path, false).is_err(), "the file is there");
        let mut output = Output::create(&path, true).unwrap();
        output.write_all(b"after").unwrap();
        output.flush().unwrap();
        if cfg!(target_os = "linux") {
            let names = fs::read_dir(directory.path()).unwrap().count();
            assert_eq!(names, 1, "a process that is killed now leaves nothing behind");
        }
        drop(output);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
        let mut output = Output::create(&path, true).unwrap();
        output.write_all(b"after").unwrap();
        assert_eq!(output.finish().unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), b"after");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.mpt");
        let output = Output::create(&path, false).unwrap();
        fs::write(&path, "another's").unwrap();
        assert!(output.finish().is_err());
        assert_eq!(fs::read(&path).unwrap(), b"another's");
    }

    #[test]
    fn what_cannot_be_written_is_told_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let told = |path: &Path| {
            Output::create(path, true).err().map(|error| format!("{error:#}")).unwrap_or_default()
        };
        assert!(told(directory.path()).contains("it is a directory"));
        assert!(told(&directory.path().join("no/where.mpt")).contains("there is no directory"));
    }

    #[test]
    fn devices_are_not_replaced() {
        let mut output = Output::create(Path::new("/dev/null"), false).unwrap();
        output.write_all(b"x").unwrap();
        output.finish().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
