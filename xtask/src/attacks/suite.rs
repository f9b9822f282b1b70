//! The programs that attack, and the columns of the tables.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// How an attack is started in one column of a table.
pub(super) struct Column {
    /// The heading of the table.
    pub(super) table: String,
    /// The heading of the column.
    pub(super) title: String,
    pub(super) program: PathBuf,
    /// The arguments, which the name of the attack follows.
    pub(super) arguments: Vec<String>,
    /// The environment in addition.
    pub(super) environment: Vec<(String, String)>,
    /// Whether a worse outcome is an error. What comes of misuse that nothing detects differs from run to run.
    pub(super) is_promised: bool,
}

/// Attacks, each of which is run in each of the columns.
pub(super) struct Suite {
    /// The name of the section in the page.
    pub(super) name: &'static str,
    pub(super) attacks: Vec<String>,
    /// Columns of the same table follow one another.
    pub(super) columns: Vec<Column>,
}

/// Builds the programs, and returns all suites.
pub(super) fn all(root: &Path) -> Result<Vec<Suite>, String> {
    Ok(vec![library(root)?, malloc(root)?])
}

/// Builds a package, or its example; returns the folder of what was built.
fn build(root: &Path, arguments: &[&str]) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--locked", "--quiet", "--profile", "attacks", "--package"]).args(arguments);
    if !build.current_dir(root).status().is_ok_and(|status| status.success()) {
        return Err(format!("cannot build {}", arguments.join(" ")));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("attacks"))
}

/// Returns what a program lists that is started without arguments.
fn listed(program: &Path) -> Result<String, String> {
    let output = Command::new(program)
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The malloc, preloaded into a program in C, in each mode, and the C library's malloc.
fn malloc(root: &Path) -> Result<Suite, String> {
    let folder = build(root, &["millpond-malloc-preload"])?;
    let program = folder.join("attacks-on-malloc");
    let source = root.join("crates/millpond-malloc-preload/tests/it/programs/attacks/table.c");
    let mut compile = Command::new(std::env::var_os("CC").unwrap_or("cc".into()));
    compile.args(["-O1", "-fno-builtin", "-w", "-pthread", "-o"]).arg(&program).arg(&source);
    if !compile.status().is_ok_and(|status| status.success()) {
        return Err(format!("cannot compile {}", source.display()));
    }
    let library = folder.join("libmillpond_malloc.so").display().to_string();
    let columns = ["fast", "checked", "light", "full", "glibc"].map(|mode| {
        let ours = [("LD_PRELOAD".into(), library.clone()), ("MILLPOND_MALLOC".into(), mode.into())];
        Column {
            table: "`millpond-malloc`".into(),
            title: mode.into(),
            program: program.clone(),
            arguments: Vec::new(),
            environment: if mode == "glibc" { Vec::new() } else { ours.into() },
            is_promised: !["fast", "glibc"].contains(&mode),
        }
    });
    let attacks = listed(&program)?.lines().map(str::to_owned).collect();
    Ok(Suite { name: "malloc", attacks, columns: columns.into() })
}

/// The pools of the library.
fn library(root: &Path) -> Result<Suite, String> {
    let program = build(root, &["millpond", "--example", "attacks"])?.join("examples/attacks");
    let listed = listed(&program)?;
    let (mut attacks, mut columns) = (Vec::new(), Vec::new());
    for line in listed.lines() {
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["misuse", name] => attacks.push(name.into()),
            ["pool", pool, mode] => columns.push(Column {
                table: format!("`{pool}`"),
                title: mode.into(),
                program: program.clone(),
                arguments: vec![pool.into(), mode.into()],
                environment: Vec::new(),
                is_promised: mode != "unchecked",
            }),
            _ => return Err(format!("the example attacks lists what is not known: {line}")),
        }
    }
    Ok(Suite { name: "library", attacks, columns })
}
