//! The recorder, embedded in this program and written to a file where the dynamic linker finds it.
//!
//! The file `~/.cache/millpond/recorder-HASH.so` is kept. If it were removed, the dynamic linker would report a missing
//! library to each program that outlives the recording, or that starts another one later with the same environment.

use std::{
    env,
    ffi::OsStr,
    fs,
    hash::{DefaultHasher, Hasher},
    io::Write,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The shared library that the build script made.
const RECORDER: &[u8] = include_bytes!(env!("MILLPOND_RECORDER"));

/// Writes the recorder to the user's cache, or else to `fallback`, and returns its path.
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

/// Returns the user's cache directory.
fn cache() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("millpond"))
}

fn place_in(directory: &Path) -> Result<PathBuf> {
    let path = directory.join(format!("recorder-{:016x}.so", hash()));
    // A path in LD_PRELOAD cannot contain the separators of the list.
    if path.as_os_str().as_bytes().iter().any(|byte| b": \t\n".contains(byte)) {
        bail!("{} has a space or a colon in its name", directory.display());
    }
    // A program that becomes another user loads it by a descriptor that it inherits.
    let readable = || fs::set_permissions(&path, fs::Permissions::from_mode(0o644));
    if fs::read(&path).is_ok_and(|bytes| bytes == RECORDER) && may_run(directory) && readable().is_ok() {
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
    readable().with_context(what)?;
    Ok(path)
}

/// Hashes the contents, so that two versions of this program use different files.
fn hash() -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(RECORDER);
    hasher.finish()
}

/// Returns whether libraries can be loaded from this directory: it may be mounted `noexec`.
fn may_run(directory: &Path) -> bool {
    super::scratch::file_system(directory).is_some_and(|system| system.f_flag & libc::ST_NOEXEC == 0)
}

/// Returns `LD_PRELOAD` with the recorder in front of what is there already. At the front, the recorder sees exactly
/// what the program requests, and an allocator among the other libraries would not forward calls to a recorder behind
/// it. With the library by which stacks are checked behind it.
pub(super) fn preload(recorder: &Path, checks_stacks: bool) -> Vec<u8> {
    let mut value = recorder.as_os_str().as_bytes().to_vec();
    if checks_stacks {
        value.extend(b":libgcc_s.so.1");
    }
    if let Some(others) = env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        value.push(b':');
        value.extend(<OsStr as OsStrExt>::as_bytes(&others));
    }
    value
}
