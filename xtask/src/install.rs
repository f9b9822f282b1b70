//! `cargo xtask install` and `cargo xtask dist`: Millpond for C, as a system or another project takes it.
//!
//! What is installed names no path, so it may be moved: pkg-config and CMake find the rest from where their files lie.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// The number in the name by which a program finds the shared library: it changes when old programs would break.
const ABI: &str = "0";
const CRATE: &str = "crates/millpond-c";

/// What `install` was told.
struct Wish<'a> {
    prefix: &'a str,
    destdir: &'a str,
    profile: &'a str,
}

/// Installs for `--prefix DIR [--destdir DIR] [--profile NAME]`.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<bool, String> {
    let wish = Wish::read(arguments)?;
    // An absolute path would replace what it is joined to.
    let prefix = match wish.destdir {
        "" => PathBuf::from(wish.prefix),
        destdir => Path::new(destdir).join(wish.prefix.trim_start_matches('/')),
    };
    install(root, &prefix, wish.profile)?;
    println!("installed in {}", prefix.display());
    Ok(true)
}

impl<'a> Wish<'a> {
    fn read(arguments: &[&'a str]) -> Result<Self, String> {
        let mut wish = Self { prefix: "", destdir: "", profile: "c" };
        for pair in arguments.chunks(2) {
            match *pair {
                ["--prefix", value] => wish.prefix = value,
                ["--destdir", value] => wish.destdir = value,
                ["--profile", value] => wish.profile = value,
                [other, ..] => return Err(format!("install: {other} is unknown, or lacks its value")),
                [] => {}
            }
        }
        if wish.prefix.is_empty() { Err("install: say where, with --prefix DIR".into()) } else { Ok(wish) }
    }
}

/// Packs what `install` installs, the documentation and the examples, for machines without Rust.
pub(crate) fn dist(root: &Path) -> Result<bool, String> {
    let version = version(root)?;
    let name = format!("millpond-{version}-{}-linux", std::env::consts::ARCH);
    let stage = target(root)?.join("dist");
    let tree = stage.join(&name);
    if tree.exists() {
        fs::remove_dir_all(&tree).map_err(told(&tree))?;
    }
    install(root, &tree, "c")?;
    let archive = stage.join(format!("{name}.tar.gz"));
    // The same input gives the same archive.
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "-czf"]);
    succeed(tar.arg(&archive).arg("-C").arg(&stage).arg(&name))?;
    println!("{}", archive.display());
    Ok(true)
}

/// Builds both libraries and puts them below `prefix`, with all that belongs to them.
fn install(root: &Path, prefix: &Path, profile: &str) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err(
            "install and dist are written for Linux: elsewhere, take the libraries that cargo builds".into(),
        );
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(root).args(["rustc", "--quiet", "--locked", "--package", "millpond-c", "--lib"]);
    // Without the library for Rust, which only tests take, the objects carry nothing for a further optimisation.
    succeed(cargo.args(["--crate-type", "cdylib,staticlib", "--profile", profile]))?;
    let built = target(root)?.join(if profile == "dev" { "debug" } else { profile });
    let version = version(root)?;
    let (lib, source) = (prefix.join("lib"), root.join(CRATE));
    copy(&built.join("libmillpond_c.a"), &lib.join("libmillpond.a"))?;
    let shared = format!("libmillpond.so.{version}");
    copy(&built.join("libmillpond_c.so"), &lib.join(&shared))?;
    link(&shared, &lib.join(format!("libmillpond.so.{ABI}")))?;
    link(&format!("libmillpond.so.{ABI}"), &lib.join("libmillpond.so"))?;
    copy_tree(&source.join("include"), &prefix.join("include"))?;
    copy_tree(&source.join("compat"), &prefix.join("include/millpond-compat"))?;
    for (file, folder) in [
        ("millpond.pc", "pkgconfig"),
        ("millpond-compat.pc", "pkgconfig"),
        ("millpond-config.cmake", "cmake/millpond"),
        ("millpond-config-version.cmake", "cmake/millpond"),
    ] {
        let text = read(&source.join("package").join(file))?;
        write(&lib.join(folder).join(file), &text.replace("@VERSION@", &version).replace("@ABI@", ABI))?;
    }
    let documents = prefix.join("share/doc/millpond");
    for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root.join(file), &documents.join(file))?;
    }
    copy_tree(&source.join("docs"), &documents)?;
    for examples in ["examples/c", "examples/cpp"] {
        let folder = root.join(examples);
        if folder.exists() {
            copy_tree(&folder, &documents.join(examples))?;
        }
    }
    Ok(())
}

/// The version that all packages have.
fn version(root: &Path) -> Result<String, String> {
    let manifest = read(&root.join("Cargo.toml"))?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
    line.and_then(|line| line.strip_suffix('"')).map(str::to_owned).ok_or("Cargo.toml has no version".into())
}

/// Where cargo builds.
fn target(root: &Path) -> Result<PathBuf, String> {
    let set = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    std::path::absolute(&set).map_err(told(&set))
}

fn told(path: &Path) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn succeed(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(told(path))
}

fn make_room(path: &Path) -> Result<(), String> {
    path.parent().map_or(Ok(()), |folder| fs::create_dir_all(folder).map_err(told(folder)))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    make_room(path)?;
    fs::write(path, text).map_err(told(path))
}

/// A file that a running program uses is replaced, not overwritten.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    make_room(to)?;
    let new = to.with_added_extension("new");
    fs::copy(from, &new).map_err(told(from))?;
    fs::rename(&new, to).map_err(told(to))
}

fn link(target: &str, path: &Path) -> Result<(), String> {
    if path.is_symlink() {
        fs::remove_file(path).map_err(told(path))?;
    }
    symlink(target, path).map_err(told(path))
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), String> {
    for entry in fs::read_dir(from).map_err(told(from))? {
        let entry = entry.map_err(told(from))?;
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { copy_tree(&entry.path(), &to)? } else { copy(&entry.path(), &to)? }
    }
    Ok(())
}
