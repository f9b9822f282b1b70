//! The working directory of one recording. Its layout is in [`millpond_trace::raw`].

use std::{
    ffi::CString,
    fs,
    mem::{offset_of, zeroed},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
};

use anyhow::{Context, Result, bail};
use millpond_trace::raw::{self, FromBytes};
use tempfile::TempDir;

use super::{keeper::Keeper, launch::Moment, sampler::Sampler};
use crate::record::StackOptions;

/// A directory whose files are in memory.
const MEMORY: &str = "/dev/shm";

/// The directories of a recording; deleted with all their contents when dropped.
pub(super) struct Scratch {
    disk: Directory,
    /// Holds the files that the program maps: in memory, where a write cannot fail because a disk is full.
    live: Option<Directory>,
    limit: u64,
}

/// A directory.
enum Directory {
    /// Deleted when dropped.
    Passing(TempDir),
    /// One that is to be left.
    Lasting(PathBuf),
}

impl Directory {
    fn path(&self) -> &Path {
        match self {
            Self::Passing(directory) => directory.path(),
            Self::Lasting(path) => path,
        }
    }

    /// Leaves the directory where it is.
    fn leave(self) -> PathBuf {
        match self {
            Self::Passing(directory) => directory.keep(),
            Self::Lasting(path) => path,
        }
    }
}

impl Scratch {
    /// Creates them in the directory for temporary files. At most `limit` bytes may be written there; by default, half
    /// of the free space.
    pub(super) fn new(limit: Option<u64>, stacks: StackOptions, addresses: bool) -> Result<Self> {
        let parent = std::env::temp_dir();
        let what =
            || format!("could not make a directory in {}; set TMPDIR to one where you may", parent.display());
        let private = fs::Permissions::from_mode(0o700);
        let make = |parent: &Path| {
            tempfile::Builder::new().prefix("millpond-").permissions(private.clone()).tempdir_in(parent)
        };
        let parent_now = fs::canonicalize(&parent).with_context(what)?;
        let disk = make(&parent_now).with_context(what)?;
        if disk.path().as_os_str().len() > raw::LONGEST_DIRECTORY {
            bail!("the name of {} is too long; set TMPDIR to a shorter one", disk.path().display());
        }
        let live = make(Path::new(MEMORY)).ok();
        match &live {
            Some(live) => symlink(live.path(), disk.path().join("live")).with_context(what)?,
            None => fs::create_dir(disk.path().join("live")).with_context(what)?,
        }
        let limit = limit.unwrap_or_else(|| {
            file_system(disk.path())
                .map_or(u64::MAX, |system| system.f_bavail.saturating_mul(system.f_frsize) / 2)
        });
        let scratch = Self { disk: Directory::Passing(disk), live: live.map(Directory::Passing), limit };
        let mut page = [0; 4096];
        let mut set = |at: usize, value: &[u8]| page[at..][..value.len()].copy_from_slice(value);
        set(offset_of!(raw::Control, magic), &raw::MAGIC.to_ne_bytes());
        set(offset_of!(raw::Control, limit), &limit.to_ne_bytes());
        set(offset_of!(raw::Control, filters), &own_filters().to_ne_bytes());
        set(offset_of!(raw::Control, frames), &stacks.frames.to_ne_bytes());
        set(offset_of!(raw::Control, free_stacks), &u32::from(stacks.of_frees).to_ne_bytes());
        set(offset_of!(raw::Control, check_every), &stacks.check_every.to_ne_bytes());
        set(offset_of!(raw::Control, addresses), &u32::from(addresses).to_ne_bytes());
        let mut file = fs::File::options();
        file.write(true).create_new(true).mode(0o600);
        file.open(scratch.control()).and_then(|file| file.write_all_at(&page, 0)).with_context(what)?;
        file.open(scratch.reserve()).with_context(what)?;
        Ok(scratch)
    }

    /// Opens the directories of a recording that was left behind. They are not deleted when dropped.
    pub(super) fn open(disk: &Path) -> Result<Self> {
        let disk = fs::canonicalize(disk).with_context(|| disk.display().to_string())?;
        let link = disk.join("live");
        let live = fs::read_link(&link).ok().map(Directory::Lasting);
        let scratch = Self { disk: Directory::Lasting(disk), live, limit: 0 };
        let control = scratch.control_page()?;
        Ok(Self { limit: control.limit.load(Relaxed), ..scratch })
    }

    /// Leaves the directories where they are; returns the main one.
    pub(super) fn leave(self) -> PathBuf {
        self.live.map(Directory::leave);
        self.disk.leave()
    }

    /// Deletes the directories, which a `Scratch` that was opened would leave.
    pub(super) fn delete(self) -> Result<()> {
        for directory in self.live.into_iter().chain([self.disk]) {
            let path = directory.leave();
            fs::remove_dir_all(&path).with_context(|| format!("could not delete {}", path.display()))?;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        self.disk.path()
    }

    /// Returns the number of bytes that may be written.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    fn control(&self) -> PathBuf {
        self.path().join("live/control")
    }

    /// Returns the path of the reserve.
    pub(super) fn reserve(&self) -> PathBuf {
        self.path().join("reserve")
    }

    /// Notes the number of the process that was started.
    pub(super) fn set_first(&self, process: u32) -> Result<()> {
        let file =
            fs::File::options().write(true).open(self.control()).context("could not note the process")?;
        let place = offset_of!(raw::Control, first) as u64;
        file.write_all_at(&process.to_ne_bytes(), place).context("could not note the process")
    }

    /// Keeps the clock and the reserve until the result is dropped. The recording began at this moment.
    pub(super) fn keep(&self, begin: Moment) -> Result<Keeper> {
        let open = |path: PathBuf| {
            let file = fs::File::options().read(true).write(true).open(&path);
            file.with_context(|| format!("could not open {}", path.display()))
        };
        let sampler = Sampler::new(self.path()).context("could not prepare the recording")?;
        Keeper::start(open(self.control())?, open(self.reserve())?, sampler, begin)
    }

    /// Tells running processes to stop recording, and returns what all have left in the control file.
    pub(super) fn stop(&self) -> Result<raw::Control> {
        let what = || format!("could not read {}", self.control().display());
        let file = fs::File::options().write(true).open(self.control()).with_context(what)?;
        file.write_all_at(&1_u32.to_ne_bytes(), raw::STOP_AT).with_context(what)?;
        self.control_page()
    }

    /// Returns what is in the control file.
    pub(super) fn control_page(&self) -> Result<raw::Control> {
        let control = fs::read(self.control()).ok().and_then(|bytes| raw::Control::from_bytes(&bytes));
        let control = control.filter(|control| control.magic.load(Relaxed) == raw::MAGIC);
        control.with_context(|| {
            format!(
                "{} is not the directory of a recording by this version of millpond",
                self.path().display()
            )
        })
    }

    /// Returns the programs that processes were about to become or to start; for the last one that could not be written
    /// down, only that there was one.
    pub(super) fn execs(&self, control: &raw::Control) -> Vec<raw::Exec> {
        let bytes = fs::read(self.path().join("live/execs")).unwrap_or_default();
        let (process, ticks) = (control.unwritten.load(Relaxed), control.unwritten_ticks.load(Relaxed));
        let unwritten = raw::Exec { ticks, process, failed: 0, path: [0; 496] };
        raw::Exec::all(&bytes).chain([unwritten]).collect()
    }
}

/// Returns how many seccomp filters this process has, by the same query as the recorder uses; 0 if the system does not
/// report it.
fn own_filters() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Returns what the system reports about the file system of a directory.
pub(super) fn file_system(directory: &Path) -> Option<libc::statvfs> {
    let path = CString::new(directory.as_os_str().as_bytes()).ok()?;
    // SAFETY: the path is NUL-terminated, the result is valid for writes, and an all-zero value of its type is valid.
    unsafe {
        let mut answer = zeroed::<libc::statvfs>();
        (libc::statvfs(path.as_ptr(), &raw mut answer) == 0).then_some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_is_private_and_leaves_nothing_behind() {
        let scratch = Scratch::new(Some(77), StackOptions::default(), false).unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let live = fs::canonicalize(path.join("live")).unwrap();
        assert_eq!(fs::metadata(&live).unwrap().permissions().mode() & 0o077, 0);
        let control = raw::Control::from_bytes(&fs::read(live.join("control")).unwrap()).unwrap();
        assert_eq!((control.magic.into_inner(), control.limit.into_inner()), (raw::MAGIC, 77));
        assert_eq!(scratch.stop().unwrap().processes.into_inner(), 0);
        let control = raw::Control::from_bytes(&fs::read(live.join("control")).unwrap()).unwrap();
        assert_eq!(control.stop.into_inner(), 1);
        drop(scratch);
        assert!(!path.exists() && !live.exists());
    }
}
