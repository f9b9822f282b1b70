//! Compiles programs in C and C++ with all warnings, and runs them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::install::{prefix, scratch, succeeds};

/// The default dialect.
pub(crate) const GCC: &[&str] = &["g++", "-std=c++17"];

/// A program to build.
pub(crate) struct Build {
    command: Command,
    source: PathBuf,
    name: String,
    linked_statically: bool,
}

impl Build {
    /// Creates a program in a dialect, which is a compiler and its arguments, from a source in this package or
    /// elsewhere.
    pub(crate) fn new(dialect: &[&str], source: &str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        let mut command = Command::new(dialect[0]);
        command.args(["-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"]).args(&dialect[1..]);
        command.arg("-I").arg(prefix().join("include"));
        Self { command, source, name: String::new(), linked_statically: false }
    }

    /// Adds a folder of headers in this package.
    pub(crate) fn including(mut self, folder: &str) -> Self {
        self.command.arg("-I").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
        self
    }

    /// Adds a folder of installed headers.
    pub(crate) fn including_installed(mut self, folder: &str) -> Self {
        self.command.arg("-I").arg(prefix().join("include").join(folder));
        self
    }

    /// Adds an argument for the compiler.
    pub(crate) fn with(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    /// Builds in a separate folder, named after the test.
    pub(crate) fn named(mut self, test: &str) -> Self {
        self.name = test.to_owned();
        self
    }

    /// Links the static library instead of the shared one.
    pub(crate) fn statically(mut self) -> Self {
        self.linked_statically = true;
        self
    }

    /// Compiles it.
    pub(crate) fn program(mut self) -> Program {
        let stem = self.source.file_stem().expect("sources have names").to_string_lossy().into_owned();
        let program = scratch(&format!("{}-{stem}", self.name)).join(stem);
        let lib = prefix().join("lib");
        self.command.arg(&self.source).arg("-o").arg(&program);
        if self.linked_statically {
            self.command.arg(lib.join("libmillpond.a")).args(["-ldl", "-lm"]);
        } else {
            self.command.arg("-L").arg(&lib).arg("-lmillpond");
        }
        succeeds(&mut self.command);
        Program(program)
    }
}

/// A program that was built.
pub(crate) struct Program(PathBuf);

impl Program {
    pub(crate) fn command(&self) -> Command {
        self.command_under(&[])
    }

    /// Returns a command that runs the program under another one.
    pub(crate) fn command_under(&self, tool: &[&str]) -> Command {
        let mut command = match tool {
            [tool, arguments @ ..] => {
                let mut command = Command::new(tool);
                command.args(arguments).arg(&self.0);
                command
            }
            [] => Command::new(&self.0),
        };
        command.env("LD_LIBRARY_PATH", prefix().join("lib"));
        // Programs request more memory than there is, and check for the error.
        command.env("ASAN_OPTIONS", "allocator_may_return_null=1");
        command
    }
}
