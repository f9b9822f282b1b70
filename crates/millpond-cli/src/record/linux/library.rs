//! The recorder, carried within this program, put into a file where the dynamic linker finds it.
//!
//! That file stays: `~/.cache/millpond/recorder-HASH.so`. A program that outlives the recording, or starts another one
//! later with the same environment, would otherwise be told by the linker that its library is missing.

use std::{
    env,
    ffi::OsStr,
    fs,
    hash::{DefaultHasher, Hasher},
    io::Write,
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The shared library that the build script made.
const RECORDER: &[u8] = include_bytes!(env!("MILLPOND_RECORDER"));

/// Puts the recorder into the user's cache, or else into `fallback`, and gives its path.
pub(super) fn place(fallback: &Path) -> Result<PathBuf> {
    let mut reason = None;
    for directory in cache().into_iter().chain([fallback.to_owned()]) {
        match place_in(&directory) {
            Ok(path) => return Ok(path),
            Err(error) => reason = Some(error),
        }
    }
    let reason = reason.map(|error| format!("{error:#}")).unwrap_or_default();
    bail!("{reason}; set XDG_CACHE_HOME or TMPDIR to a directory of yours where programs may be run")
}

/// The user's directory for what can be made again.
fn cache() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("millpond"))
}

fn place_in(directory: &Path) -> Result<PathBuf> {
    let path = directory.join(format!("recorder-{:016x}.so", hash()));
    // What separates the libraries in LD_PRELOAD cannot be part of a name there.
    if path.as_os_str().as_bytes().iter().any(|byte| b": \t\n".contains(byte)) {
        bail!("{} has a space or a colon in its name", directory.display());
    }
    if fs::read(&path).is_ok_and(|bytes| bytes == RECORDER) && may_run(directory) {
        return Ok(path);
    }
    let what = || format!("could not put the recorder into {}", directory.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).with_context(what)?;
    if !may_run(directory) {
        bail!("programs may not be run from {}", directory.display());
    }
    let mut file = tempfile::NamedTempFile::new_in(directory).with_context(what)?;
    file.write_all(RECORDER).with_context(what)?;
    file.persist(&path).with_context(what)?;
    Ok(path)
}

/// Names the contents, so that two versions of this program do not get into each other's way.
fn hash() -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(RECORDER);
    hasher.finish()
}

/// Whether libraries can be loaded from this directory: it may be mounted without the right to run programs.
fn may_run(directory: &Path) -> bool {
    super::scratch::file_system(directory).is_some_and(|system| system.f_flag & libc::ST_NOEXEC == 0)
}

/// `LD_PRELOAD` with the recorder in front of what is there already. In front, because it then sees exactly what the
/// program asks for, and because an allocator among the others would not pass calls on to a recorder behind it.
pub(super) fn preload(recorder: &Path) -> Vec<u8> {
    let mut value = recorder.as_os_str().as_bytes().to_vec();
    if let Some(others) = env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        value.push(b':');
        value.extend(<OsStr as OsStrExt>::as_bytes(&others));
    }
    value
}
