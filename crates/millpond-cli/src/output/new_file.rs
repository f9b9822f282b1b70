//! A new file that has its name only when it is complete.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use tempfile::NamedTempFile;

/// A file that is being written. It is deleted when dropped, unless it was persisted.
pub(crate) enum NewFile {
    /// The file has no name, so nothing is left of it if this program is killed.
    #[cfg(target_os = "linux")]
    Unnamed(self::unnamed::Unnamed),
    /// The file has another name in the same directory, where the system has no files without one.
    Named(NamedTempFile),
}

impl NewFile {
    /// Creates a file in a directory. Only the owner can read it.
    pub(crate) fn create(directory: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Some(file) = unnamed::Unnamed::create(directory) {
            return Ok(Self::Unnamed(file));
        }
        builder().tempfile_in(directory).map(Self::Named)
    }

    /// Gives the file its name. A file of that name is replaced if `force` is set, and otherwise an error.
    pub(crate) fn persist(self, path: &Path, force: bool) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Unnamed(file) => file.persist(path, force),
            Self::Named(file) if force => Ok(file.persist(path).map(drop)?),
            Self::Named(file) => Ok(file.persist_noclobber(path).map(drop)?),
        }
    }

    fn file(&mut self) -> &mut File {
        match self {
            #[cfg(target_os = "linux")]
            Self::Unnamed(file) => file.file(),
            Self::Named(file) => file.as_file_mut(),
        }
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

/// Makes names of temporary files.
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".millpond-");
    builder
}

#[cfg(target_os = "linux")]
mod unnamed {
    use std::{
        fs::{File, OpenOptions},
        io,
        os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
        path::{Path, PathBuf},
    };

    use rustix::fs::{AtFlags, CWD, linkat};

    /// The directory in which the system lists the open files of this process.
    const OPEN_FILES: &str = "/proc/self/fd";

    /// A file without a name.
    pub(crate) struct Unnamed {
        file: File,
        directory: PathBuf,
    }

    impl Unnamed {
        /// Creates a file; `None` if the system or the file system cannot do that.
        pub(super) fn create(directory: &Path) -> Option<Self> {
            let mut options = OpenOptions::new();
            options.write(true).mode(0o600).custom_flags(libc::O_TMPFILE);
            let file = options.open(directory).ok()?;
            Path::new(OPEN_FILES).is_dir().then(|| Self { file, directory: directory.to_owned() })
        }

        pub(super) fn file(&mut self) -> &mut File {
            &mut self.file
        }

        pub(super) fn persist(self, path: &Path, force: bool) -> io::Result<()> {
            match self.link(path) {
                // A link replaces nothing, but another name does.
                Err(error) if force && error.kind() == io::ErrorKind::AlreadyExists => {
                    let other = super::builder().make_in(&self.directory, |name| self.link(name))?;
                    Ok(other.into_temp_path().persist(path)?)
                }
                done => done,
            }
        }

        fn link(&self, path: &Path) -> io::Result<()> {
            let source = format!("{OPEN_FILES}/{}", self.file.as_raw_fd());
            Ok(linkat(CWD, source, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
        }
    }
}
