//! One installation for all tests; compiles programs with it and runs them.

use std::{
    collections::HashSet,
    fs,
    io::{Write, stderr},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{LazyLock, Mutex},
};

/// Returns the root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Creates a folder for the files of one test only: tests run in parallel, and must not overwrite files that others
/// use.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static TAKEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let is_new = TAKEN.lock().expect("nothing panics").get_or_insert_default().insert(name.to_owned());
    assert!(is_new, "two tests want the folder {name:?}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("millpond-c").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("what an earlier run left can be removed");
    }
    fs::create_dir_all(&folder).expect("tests may write there");
    folder
}

/// Returns the path of the installation, which cargo builds in the target folder of these tests.
pub(crate) fn prefix() -> &'static Path {
    static PREFIX: LazyLock<PathBuf> = LazyLock::new(|| {
        let prefix = scratch("usr");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(root()).args(["xtask", "install", "--prefix"]).arg(&prefix);
        let target =
            Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's folder has one around it");
        cargo.env("CARGO_TARGET_DIR", target).env_remove("RUSTFLAGS");
        succeeds(&mut cargo);
        prefix
    });
    &PREFIX
}

/// Prints that a test is skipped, and why, bypassing the capture of output.
pub(crate) fn skipped(test: &str, why: &str) {
    let said = writeln!(stderr(), "SKIPPED: {test}, because {why}");
    said.expect("there is a standard error");
}

/// Returns whether a program can be run; if not, prints that the test is skipped.
pub(crate) fn has(program: &str, test: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        skipped(test, &format!("{program} is not installed"));
    }
    found
}

/// Runs a command that must succeed; returns its output.
pub(crate) fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the whole output of a command.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// How a program is linked with the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linking {
    Shared,
    Static,
}

/// Compiles a program; returns its path.
pub(crate) fn compile(compiler: &str, source: &Path, linking: Linking, extra: &[&str]) -> PathBuf {
    let [name, folder] = [source.file_stem(), source.parent().and_then(Path::file_name)]
        .map(|name| name.expect("sources have names, in folders that have too").to_string_lossy());
    let program = scratch(&format!("{folder}-{name}-{compiler}-{linking:?}{}", extra.concat())).join(&*name);
    let (include, lib) = (prefix().join("include"), prefix().join("lib"));
    let mut command = Command::new(compiler);
    command.args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-g"]);
    command.args(extra).arg("-I").arg(include).arg(source).arg("-o").arg(&program);
    match linking {
        Linking::Shared => {
            command.arg("-L").arg(&lib).arg("-lmillpond").arg(format!("-Wl,-rpath,{}", lib.display()))
        }
        Linking::Static => command.arg(lib.join("libmillpond.a")).args(["-ldl", "-lm"]),
    };
    succeeds(command.arg("-lpthread"));
    program
}
