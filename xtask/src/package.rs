//! `cargo xtask package`: packages every crate that will be published, and runs the tests of the packages.
//!
//! A packaged crate lacks everything outside of its folder, and every dependency that has only a path. Its tests are
//! therefore run from the packaged files, in a separate folder, with the other packages in place of published ones.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The features that the tests of `millpond` need in addition to the default ones.
const FEATURES: &str = "testing,allocator-api2-02,allocator-api2-04,valgrind,asan";

/// Packages, unpacks and tests; returns whether every test passed.
pub(crate) fn run(root: &Path) -> Result<bool, String> {
    let target = root.join("target");
    let folder = target.join("packed");
    let failed = |what: &str, error: std::io::Error| format!("cannot {what}: {error}");
    succeed(
        cargo(root)
            .args(["package", "--workspace", "--exclude", "xtask", "--no-verify", "--allow-dirty"])
            .arg("--target-dir")
            .arg(&target),
    )?;
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| failed("remove what was unpacked before", error))?;
    }
    fs::create_dir_all(folder.join(".cargo")).map_err(|error| failed("make a folder", error))?;
    let packed = unpack(&target.join("package"), &folder)?;
    let mut config = String::from("[patch.crates-io]\n");
    for (name, place) in &packed {
        let _ = writeln!(config, "{name} = {{ path = {place:?} }}");
    }
    fs::write(folder.join(".cargo/config.toml"), config).map_err(|error| failed("write a config", error))?;
    let mut passed = true;
    for (name, place) in &packed {
        println!("\n== {name}, as packed");
        let mut test = cargo(place);
        test.arg("test").arg("--target-dir").arg(target.join("packed-target"));
        if name == "millpond" {
            test.args(["--features", FEATURES]);
        }
        passed &= test.status().map_err(|error| failed("run cargo", error))?.success();
    }
    Ok(passed)
}

/// Unpacks every archive of a folder into another folder; returns the names of the crates and their new paths.
fn unpack(archives: &Path, folder: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let entries =
        fs::read_dir(archives).map_err(|error| format!("cannot read {}: {error}", archives.display()))?;
    let mut packed = Vec::new();
    for archive in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let stem = archive.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Some((name, _)) = stem.rsplit_once('-') else { continue };
        if archive.extension().is_some_and(|end| end == "crate") {
            succeed(Command::new("tar").arg("xf").arg(&archive).arg("-C").arg(folder))?;
            packed.push((name.to_owned(), folder.join(&stem)));
        }
    }
    packed.sort();
    Ok(packed)
}

fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(folder);
    command
}

fn succeed(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(error) => Err(format!("cannot run {command:?}: {error}")),
    }
}
