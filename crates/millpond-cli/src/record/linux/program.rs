//! Finds the program that a command names, and the file that the kernel will actually load for it.

use std::{
    env,
    ffi::{CString, OsStr, OsString},
    fs,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::errors::CannotRun;

/// A program that can be run.
#[derive(Debug)]
pub(crate) struct Program {
    /// The name as given.
    pub(crate) name: OsString,
    /// The path.
    pub(crate) path: PathBuf,
    /// The file with machine code: the program itself, or the interpreter if the program is a script.
    pub(crate) binary: PathBuf,
}

impl Program {
    /// Finds a program as a shell does.
    pub(super) fn find(name: &OsStr) -> Result<Self> {
        let path = if name.as_bytes().contains(&b'/') { PathBuf::from(name) } else { search(name)? };
        check(&path)?;
        let binary = interpreter(&path).with_context(|| format!("could not read {}", path.display()))?;
        Ok(Self { name: name.to_owned(), path, binary })
    }
}

/// Returns the first executable file of this name in the directories of PATH.
fn search(name: &OsStr) -> Result<PathBuf> {
    if name.is_empty() {
        bail!(CannotRun::NotFound("the name of the program is empty: say which program to run".into()));
    }
    let paths = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let found: Vec<PathBuf> = env::split_paths(&paths)
        .map(|directory| directory.join(name))
        .filter(|path| path.is_file())
        .collect();
    let Some(path) = found.iter().find(|path| is_executable(path)).or(found.first()) else {
        let name = Path::new(name).display();
        bail!(CannotRun::NotFound(format!("there is no program {name} in PATH; name it with its directory")));
    };
    Ok(path.clone())
}

/// Fails with the reason if a file cannot be run.
fn check(path: &Path) -> Result<()> {
    let kind = fs::metadata(path).map_err(|error| cannot_run(path, &error))?;
    let refuse = |why: &str| CannotRun::Refused(format!("cannot run {}: {why}", path.display()));
    if kind.is_dir() {
        bail!(refuse("it is a directory"));
    }
    if !is_executable(path) {
        bail!(refuse("it is not executable; allow it with chmod +x"));
    }
    Ok(())
}

/// Converts an error of the system into the reason why a program cannot be run.
pub(super) fn cannot_run(path: &Path, error: &io::Error) -> CannotRun {
    let text = format!("cannot run {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => CannotRun::NotFound(text),
        _ => CannotRun::Refused(text),
    }
}

fn is_executable(path: &Path) -> bool {
    // SAFETY: the argument is a NUL-terminated string.
    CString::new(path.as_os_str().as_bytes())
        .is_ok_and(|path| unsafe { libc::access(path.as_ptr(), libc::X_OK) } == 0)
}

/// Follows `#!` lines to the program that reads the script. Returns the file itself if it is not a script or cannot be
/// read.
fn interpreter(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    // The kernel follows only a few.
    for _ in 0..5 {
        let mut start = [0; 256];
        let count = match fs::File::open(&path).and_then(|mut file| file.read(&mut start)) {
            Ok(count) => count,
            Err(_) => break,
        };
        let Some(line) = start[..count].strip_prefix(b"#!") else { break };
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(word) = words.next() else { break };
        let next = Path::new(OsStr::from_bytes(word));
        let is_env = next.file_name() == Some(OsStr::new("env"));
        path = match words.find(|word| !word.starts_with(b"-") && !word.contains(&b'=')) {
            Some(name) if is_env => search(OsStr::from_bytes(name))?,
            _ => next.to_owned(),
        };
        check(&path).map_err(named_in_first_line)?;
    }
    Ok(path)
}

/// Reports that the interpreter of a script cannot be run.
fn named_in_first_line(error: anyhow::Error) -> anyhow::Error {
    let say = |text: &str| format!("{text} (the interpreter named in the first line of the script)");
    match error.downcast::<CannotRun>() {
        Ok(CannotRun::NotFound(text)) => CannotRun::NotFound(say(&text)).into(),
        Ok(CannotRun::Refused(text)) => CannotRun::Refused(say(&text)).into(),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn script(directory: &Path, name: &str, text: &str) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn find(name: impl AsRef<OsStr>) -> Result<Program> {
        Program::find(name.as_ref())
    }

    #[test]
    fn a_name_is_looked_up_and_a_path_is_not() {
        let found = find("sh").unwrap();
        assert!(found.path.is_absolute() && found.path.ends_with("sh"));
        assert_eq!(found.path, found.binary);
        assert_eq!(find("/bin/sh").unwrap().path, Path::new("/bin/sh"));
    }

    #[test]
    fn scripts_lead_to_their_interpreter() {
        let directory = tempfile::tempdir().unwrap();
        let plain = script(directory.path(), "plain", "#! /bin/sh -e\ntrue\n");
        assert_eq!(find(&plain).unwrap().binary, Path::new("/bin/sh"));
        let env = script(directory.path(), "env", "#!/usr/bin/env -S A=b sh\n");
        assert_eq!(find(&env).unwrap().binary, find("sh").unwrap().path);
        let twice = script(directory.path(), "twice", &format!("#!{}\n", plain.display()));
        assert_eq!(find(&twice).unwrap().binary, Path::new("/bin/sh"));
        let missing = script(directory.path(), "missing", "#!/nowhere/sh\n");
        assert!(format!("{:#}", find(&missing).unwrap_err()).contains("/nowhere/sh"));
    }

    #[test]
    fn what_cannot_be_run_is_told_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fs::write(&data, "x").unwrap();
        let told = |name: &OsStr| format!("{:#}", find(name).unwrap_err());
        assert!(told(data.as_os_str()).contains("not executable"));
        assert!(told(directory.path().as_os_str()).contains("is a directory"));
        assert!(told("/nowhere/program".as_ref()).contains("No such file"));
        assert!(
            told("surely-no-such-program".as_ref()).contains("no program surely-no-such-program in PATH")
        );
        assert!(told("".as_ref()).contains("name of the program is empty"));
    }
}
