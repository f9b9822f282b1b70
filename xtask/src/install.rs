//! `cargo xtask install` and `cargo xtask dist`: install or package Millpond for C.
//!
//! No installed file contains an absolute path, so the installation may be moved: pkg-config and CMake find the files
//! relative to their own.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
    process::Command,
};

/// The number in the name of the shared library by which programs find it: it changes when existing programs would
/// break.
const ABI: &str = "1";
const CRATE: &str = "crates/millpond-c";

/// The arguments of `install`.
struct Options<'a> {
    prefix: &'a str,
    destdir: &'a str,
    profile: &'a str,
}

/// Installs for `--prefix DIR [--destdir DIR] [--profile NAME]`.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<bool, String> {
    let options = Options::read(arguments)?;
    let prefix = options.place();
    let before = manifest(&prefix);
    let files = install(root, &prefix, options.profile)?;
    // Files of an earlier version that this one does not have would still be found by programs.
    remove(&prefix, before.into_iter().filter(|file| !files.contains(file)))?;
    println!("installed in {}", prefix.display());
    Ok(true)
}

/// Removes what `install` has installed, for `--prefix DIR [--destdir DIR]`: the files in the manifest, and folders
/// that are empty then.
pub(crate) fn uninstall(arguments: &[&str]) -> Result<bool, String> {
    let prefix = Options::read(arguments)?.place();
    let files = manifest(&prefix);
    if files.is_empty() {
        return Err(format!(
            "uninstall: {} does not exist: pass the prefix with which Millpond was installed",
            prefix.join(MANIFEST).display()
        ));
    }
    remove(&prefix, files.into_iter())?;
    println!("uninstalled from {}", prefix.display());
    Ok(true)
}

/// The manifest of the installation: one path per line, relative to the prefix.
const MANIFEST: &str = "share/doc/millpond/manifest.txt";

/// Returns what was installed below a prefix, including the manifest; empty if that is not known.
fn manifest(prefix: &Path) -> BTreeSet<PathBuf> {
    let text = fs::read_to_string(prefix.join(MANIFEST)).unwrap_or_default();
    // A path that leads outside of the prefix was not installed by this program.
    let ours = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    text.lines().map(PathBuf::from).filter(|path| ours(path)).collect()
}

/// Removes files below a prefix, and the folders that are empty then.
fn remove(prefix: &Path, files: impl Iterator<Item = PathBuf>) -> Result<(), String> {
    for file in files {
        match fs::remove_file(prefix.join(&file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(told(&file)(error)),
            _ => {}
        }
        let mut folder = file.parent();
        while let Some(name) = folder.filter(|name| !name.as_os_str().is_empty()) {
            if fs::remove_dir(prefix.join(name)).is_err() {
                break;
            }
            folder = name.parent();
        }
    }
    Ok(())
}

impl<'a> Options<'a> {
    /// Returns the folder for the files.
    fn place(&self) -> PathBuf {
        // Joining an absolute path would replace the base path.
        match self.destdir {
            "" => PathBuf::from(self.prefix),
            destdir => Path::new(destdir).join(self.prefix.trim_start_matches('/')),
        }
    }

    fn read(arguments: &[&'a str]) -> Result<Self, String> {
        let mut options = Self { prefix: "", destdir: "", profile: "c" };
        for pair in arguments.chunks(2) {
            match *pair {
                ["--prefix", value] => options.prefix = value,
                ["--destdir", value] => options.destdir = value,
                ["--profile", value] => options.profile = value,
                [other, ..] => return Err(format!("install: {other} is unknown, or lacks its value")),
                [] => {}
            }
        }
        if options.prefix.is_empty() { Err("install: --prefix DIR is missing".into()) } else { Ok(options) }
    }
}

/// Packages everything that `install` installs, the documentation and the examples, for machines without Rust.
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
    // The same input produces the same archive.
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "-czf"]);
    succeed(tar.arg(&archive).arg("-C").arg(&stage).arg(&name))?;
    println!("{}", archive.display());
    Ok(true)
}

/// Builds both libraries and installs them below `prefix` with their files and a manifest; returns the files, as paths
/// relative to the prefix.
fn install(root: &Path, prefix: &Path, profile: &str) -> Result<BTreeSet<PathBuf>, String> {
    if !cfg!(target_os = "linux") {
        return Err("install and dist need Linux: elsewhere, use the libraries that cargo builds".into());
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(root).args(["rustc", "--quiet", "--locked", "--package", "millpond-c", "--lib"]);
    // Without the library for Rust, which only tests use, the objects contain no data for later optimisation.
    succeed(cargo.args(["--crate-type", "cdylib,staticlib", "--profile", profile]))?;
    let built = target(root)?.join(if profile == "dev" { "debug" } else { profile });
    let version = version(root)?;
    let source = root.join(CRATE);
    let mut placed = Placed { prefix, files: BTreeSet::new() };
    placed.copy(&built.join("libmillpond_c.a"), "lib/libmillpond.a")?;
    let shared = format!("libmillpond.so.{version}");
    placed.copy(&built.join("libmillpond_c.so"), format!("lib/{shared}"))?;
    placed.link(&shared, format!("lib/libmillpond.so.{ABI}"))?;
    placed.link(&format!("libmillpond.so.{ABI}"), "lib/libmillpond.so")?;
    placed.copy_tree(&source.join("include"), Path::new("include"))?;
    placed.copy_tree(&source.join("compat"), Path::new("include/millpond-compat"))?;
    for (file, folder) in [
        ("millpond.pc", "pkgconfig"),
        ("millpond-compat.pc", "pkgconfig"),
        ("millpond-config.cmake", "cmake/millpond"),
        ("millpond-config-version.cmake", "cmake/millpond"),
    ] {
        let text = read(&source.join("package").join(file))?;
        let text = text.replace("@VERSION@", &version).replace("@ABI@", ABI);
        placed.write(format!("lib/{folder}/{file}"), &text)?;
    }
    let documents = Path::new("share/doc/millpond");
    for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
        placed.copy(&root.join(file), documents.join(file))?;
    }
    placed.copy_tree(&source.join("docs"), documents)?;
    for examples in ["examples/c", "examples/cpp"] {
        let folder = root.join(examples);
        if folder.exists() {
            placed.copy_tree(&folder, &documents.join(examples))?;
        }
    }
    placed.list()
}

/// The files that have been installed below a prefix so far.
struct Placed<'a> {
    prefix: &'a Path,
    files: BTreeSet<PathBuf>,
}

impl Placed<'_> {
    /// Returns the path for a file, and creates its folder.
    fn place(&mut self, file: impl Into<PathBuf>) -> Result<PathBuf, String> {
        let file = file.into();
        let path = self.prefix.join(&file);
        path.parent().map_or(Ok(()), |folder| fs::create_dir_all(folder).map_err(told(folder)))?;
        self.files.insert(file);
        Ok(path)
    }

    fn write(&mut self, file: impl Into<PathBuf>, text: &str) -> Result<(), String> {
        let path = self.place(file)?;
        fs::write(&path, text).map_err(told(&path))
    }

    /// A file that a running program uses is replaced, not overwritten.
    fn copy(&mut self, from: &Path, file: impl Into<PathBuf>) -> Result<(), String> {
        let to = self.place(file)?;
        let new = to.with_added_extension("new");
        fs::copy(from, &new).map_err(told(from))?;
        fs::rename(&new, &to).map_err(told(&to))
    }

    fn link(&mut self, target: &str, file: impl Into<PathBuf>) -> Result<(), String> {
        let path = self.place(file)?;
        if path.is_symlink() {
            fs::remove_file(&path).map_err(told(&path))?;
        }
        symlink(target, &path).map_err(told(&path))
    }

    fn copy_tree(&mut self, from: &Path, to: &Path) -> Result<(), String> {
        for entry in fs::read_dir(from).map_err(told(from))? {
            let entry = entry.map_err(told(from))?;
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                self.copy_tree(&entry.path(), &to)?;
            } else {
                self.copy(&entry.path(), to)?;
            }
        }
        Ok(())
    }

    /// Writes the manifest, which lists itself too.
    fn list(mut self) -> Result<BTreeSet<PathBuf>, String> {
        self.files.insert(MANIFEST.into());
        let text: String = self.files.iter().map(|file| format!("{}\n", file.display())).collect();
        self.write(MANIFEST, &text)?;
        Ok(self.files)
    }
}

/// Returns the version that all packages have.
fn version(root: &Path) -> Result<String, String> {
    let manifest = read(&root.join("Cargo.toml"))?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
    line.and_then(|line| line.strip_suffix('"')).map(str::to_owned).ok_or("Cargo.toml has no version".into())
}

/// Returns cargo's target folder.
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
