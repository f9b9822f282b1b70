//! Compiling programs, and running them with the library.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// Modes in which most tests run.
pub(crate) const MODES: [&str; 4] = ["fast", "checked", "light", "full"];

/// The directory of compiled programs.
fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Builds the library, once, with debug assertions; returns its path. (Cargo does not build shared libraries for tests.)
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target = scratch().parent().expect("the target directory").join("preload");
        succeed(
            Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--package", "millpond-malloc-preload", "--target-dir"])
                .arg(&target)
                .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
                .current_dir(env!("CARGO_MANIFEST_DIR")),
        );
        target.join("debug/libmillpond_malloc.so")
    })
}

/// Number of programs compiled so far: each has a file of its own.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The directory of the sources of programs.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/programs");

/// Compiles a program of `programs/`; returns its path.
pub(crate) fn compile(name: &str, more: &[&str]) -> PathBuf {
    let warnings =
        ["-Wall", "-Wno-use-after-free", "-Wno-free-nonheap-object", "-Wno-alloc-size-larger-than"];
    let mut options = vec!["-O1", "-fno-builtin-malloc"];
    options.extend(warnings);
    compile_source(&format!("{name}.c"), &options, more)
}

/// Compiles a source of `programs/`, by the C or the C++ compiler; returns the program's path.
pub(crate) fn compile_source(source: &str, options: &[&str], libraries: &[&str]) -> PathBuf {
    let name = source.replace(['/', '.'], "-");
    let program = scratch().join(format!("{name}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed)));
    let (variable, default) = if source.ends_with(".cc") { ("CXX", "c++") } else { ("CC", "cc") };
    let output = Command::new(std::env::var(variable).unwrap_or_else(|_| default.into()))
        .args(options)
        .args(["-pthread", "-o"])
        .arg(&program)
        .arg(Path::new(PROGRAMS).join(source))
        .args(libraries)
        .output()
        .expect("a C and a C++ compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// A command with the library preloaded, in this mode.
pub(crate) fn preloaded(program: impl AsRef<std::ffi::OsStr>, mode: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LD_PRELOAD", library()).env("MILLPOND_MALLOC", mode);
    command
}

/// Runs a command; panics if it fails.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    output
}
