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
    Ok(vec![library(root)?])
}

/// The pools of the library.
fn library(root: &Path) -> Result<Suite, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--locked", "--quiet", "--profile", "attacks", "--package", "millpond"]);
    let status = build.args(["--example", "attacks"]).current_dir(root).status();
    if !status.is_ok_and(|status| status.success()) {
        return Err("cannot build the example attacks".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let program = target.join("attacks/examples/attacks");
    let listed = Command::new(&program).output().map_err(|error| format!("cannot run attacks: {error}"))?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
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
