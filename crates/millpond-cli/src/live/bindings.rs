//! Asks the dynamic linker which file would serve a program's calls to `malloc`, without running the program.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use object::{Endianness, Object, ObjectSymbol, read::elf::ElfFile64};

/// What follows the name of the file in a line about `malloc`: its namespace, and the function.
const FUNCTION: &str = "]: normal symbol `malloc'";

/// Whether a preloaded library serves a program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Preloaded {
    /// It does; this is its file.
    Serves(PathBuf),
    /// There is no such library.
    NotFound,
    /// It does not, for this reason, as a clause.
    Refused(String),
}

/// Returns the file that serves a program as it is.
pub(super) fn own(binary: &Path) -> Result<PathBuf> {
    let text = ask(binary, std::env::var_os("LD_PRELOAD").as_deref())?;
    match &served_by(binary, &text)[..] {
        [file] => Ok(file.clone()),
        [] => bail!(
            "the dynamic linker does not say what serves the calls of {} to malloc, so it cannot be told whether another \
             allocator would",
            binary.display()
        ),
        [one, other, ..] => bail!(
            "the calls of {} to malloc are served by several files ({}, {}), which no single library replaces",
            binary.display(),
            one.display(),
            other.display()
        ),
    }
}

/// Returns whether a library, a name or a path, serves the program when it is preloaded.
pub(super) fn preloaded(binary: &Path, library: &OsStr) -> Result<Preloaded> {
    let text = ask(binary, Some(&preload(library)))?;
    let (mark, name) = ("cannot be preloaded (", library.to_string_lossy());
    let failed = |line: &&str| line.contains(mark) && line.contains(&format!("'{name}'"));
    if let Some(line) = text.lines().find(failed) {
        let reason = line.split_once(mark).map_or(line, |(_, reason)| reason).trim_end_matches("): ignored.");
        let is_missing = reason.starts_with("cannot open shared object file") && !name.contains('/');
        let refused = || Preloaded::Refused(format!("the dynamic linker cannot preload it: {reason}"));
        return Ok(if is_missing { Preloaded::NotFound } else { refused() });
    }
    let is_it = |file: &Path| {
        let same = fs::canonicalize(library).is_ok_and(|library| library == file);
        same || !name.contains('/') && file.file_name().is_some_and(|found| is_named(found, library))
    };
    Ok(match &served_by(binary, &text)[..] {
        [file] if is_it(file) => Preloaded::Serves(file.clone()),
        [] => Preloaded::Refused("the dynamic linker does not say what serves the calls to malloc".into()),
        served => {
            let file = served.iter().find(|file| !is_it(file)).unwrap_or(&served[0]);
            Preloaded::Refused(format!("calls to malloc are still served by {}", file.display()))
        }
    })
}

/// Returns whether a file, whose name may have a longer version than the library's, is that library.
fn is_named(file: &OsStr, library: &OsStr) -> bool {
    file.as_bytes().starts_with(library.as_bytes())
}

/// Returns `LD_PRELOAD` with a library in front of what is there already.
pub(super) fn preload(library: &OsStr) -> OsString {
    let mut value = library.to_owned();
    if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        value.push(":");
        value.push(others);
    }
    value
}

/// Returns what the dynamic linker says about a program: it only binds its functions, and does not run it.
fn ask(binary: &Path, preload: Option<&OsStr>) -> Result<String> {
    let mut command = Command::new(binary);
    command.envs(["LD_TRACE_LOADED_OBJECTS", "LD_WARN", "LD_BIND_NOW"].map(|name| (name, "1")));
    command.env("LD_DEBUG", "bindings").env_remove("LD_DEBUG_OUTPUT").env_remove("LD_PRELOAD");
    command.envs(preload.map(|libraries| ("LD_PRELOAD", libraries))).stdin(Stdio::null());
    let output = command
        .output()
        .with_context(|| format!("cannot ask the dynamic linker about {}", binary.display()))?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Returns the files that serve a program. If the program itself has no `malloc`, what is bound to it is only an address
/// of the function there, behind which is the one that the program is bound to.
fn served_by(binary: &Path, text: &str) -> Vec<PathBuf> {
    let mut files = files(text);
    let program = fs::canonicalize(binary).unwrap_or_else(|_| binary.to_owned());
    files.retain(|file| *file != program || defines_malloc(binary));
    files
}

/// Returns whether a file has a `malloc` that others are bound to.
fn defines_malloc(file: &Path) -> bool {
    let Ok(bytes) = fs::read(file) else { return false };
    let file = ElfFile64::<Endianness>::parse(&*bytes);
    file.is_ok_and(|file| {
        let is_malloc = |name: object::Result<&[u8]>| name == Ok(b"malloc");
        file.dynamic_symbols().any(|symbol| symbol.is_definition() && is_malloc(symbol.name_bytes()))
    })
}

/// Returns the files that `malloc` is bound to, each once.
fn files(text: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in text.lines() {
        let Some((before, after)) = line.split_once(FUNCTION) else { continue };
        // "malloc" may be the beginning of a longer name only without the closing quote.
        let Some((_, file)) = before.rsplit_once(" to ") else { continue };
        let Some((file, _)) = file.rsplit_once(" [") else { continue };
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.into());
        if (after.is_empty() || after.starts_with(" [")) && !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_serve_are_read() {
        let text = "\
            \x20 7:\tbinding file /lib/libx.so [0] to /lib/a b.so.6 [0]: normal symbol `malloc' [GLIBC_2.2.5]\n\
            \x20 7:\tbinding file ./p [0] to /lib/a b.so.6 [0]: normal symbol `malloc'\n\
            \x20 7:\tbinding file ./p [0] to /lib/other.so [0]: normal symbol `malloc_trim'\n\
            \x20 7:\tbinding file ./p [0] to ./nowhere/q [0]: normal symbol `malloc'\n";
        assert_eq!(files(text), [Path::new("/lib/a b.so.6"), Path::new("./nowhere/q")]);
    }

    #[test]
    fn a_library_is_found_or_not() {
        let sh = Path::new("/bin/sh");
        assert!(own(sh).unwrap().to_string_lossy().contains("libc.so"));
        let missing = preloaded(sh, "libsurely-no-such-malloc.so.9".as_ref()).unwrap();
        assert_eq!(missing, Preloaded::NotFound);
        let Preloaded::Refused(why) = preloaded(sh, "libm.so.6".as_ref()).unwrap() else { panic!("served") };
        assert!(why.contains("still served by") && why.contains("libc.so"), "{why}");
        assert!(matches!(preloaded(sh, "/etc/passwd".as_ref()).unwrap(), Preloaded::Refused(_)));
    }
}
