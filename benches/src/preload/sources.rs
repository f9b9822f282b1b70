//! Peers that distributions lack or have old versions of, compiled from the sources in their crates.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// How a peer is compiled to a library that can be preloaded.
struct Recipe {
    name: &'static str,
    package: &'static str,
    compiler: &'static str,
    /// Files and folders of headers, in the package.
    files: &'static [&'static str],
    headers: &'static [&'static str],
    options: &'static [&'static str],
}

const RECIPES: &[Recipe] = &[
    Recipe {
        name: "mimalloc 3",
        package: "libmimalloc-sys",
        compiler: "cc",
        files: &["c_src/mimalloc/v3/src/static.c"],
        headers: &["c_src/mimalloc/v3/include"],
        options: &["-DMI_MALLOC_OVERRIDE", "-fno-builtin-malloc"],
    },
    Recipe {
        name: "snmalloc",
        package: "snmalloc-sys",
        compiler: "c++",
        files: &["upstream/src/snmalloc/override/malloc.cc", "upstream/src/snmalloc/override/new.cc"],
        headers: &["upstream/src"],
        options: &[
            "-std=c++20",
            "-mcx16",
            "-DSNMALLOC_USE_WAIT_ON_ADDRESS=1",
            "-DSNMALLOC_HAS_LINUX_FUTEX_H",
            "-DSNMALLOC_HAS_LINUX_RANDOM_H",
            "-DSNMALLOC_PLATFORM_HAS_GETENTROPY",
            "-DSNMALLOC_USE_PTHREAD_DESTRUCTORS",
        ],
    },
    Recipe {
        name: "rpmalloc",
        package: "rpmalloc-sys",
        compiler: "cc",
        files: &["rpmalloc/rpmalloc/rpmalloc.c"],
        headers: &[],
        options: &["-D_GNU_SOURCE", "-DENABLE_PRELOAD=1", "-DENABLE_OVERRIDE=1"],
    },
];

/// What all are compiled with.
const OPTIONS: &[&str] =
    &["-O3", "-DNDEBUG", "-w", "-fPIC", "-shared", "-pthread", "-ftls-model=initial-exec"];

/// Compiles the peers into a folder; returns their names and libraries, `None` for what could not be compiled.
pub fn compiled(folder: &Path) -> Vec<(&'static str, Option<PathBuf>)> {
    let packages = packages();
    RECIPES.iter().map(|recipe| (recipe.name, compile(recipe, &packages, folder))).collect()
}

fn compile(recipe: &Recipe, packages: &[PathBuf], folder: &Path) -> Option<PathBuf> {
    let belongs = |path: &&PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix(recipe.package).is_some_and(|version| version.starts_with('-'))
    };
    let root = packages.iter().find(belongs)?;
    let library = folder.join(format!("lib{}.so", recipe.package));
    let mut compiler = Command::new(recipe.compiler);
    compiler.args(OPTIONS).args(recipe.options).arg("-o").arg(&library);
    compiler.args(recipe.headers.iter().map(|header| format!("-I{}", root.join(header).display())));
    compiler.args(recipe.files.iter().map(|file| root.join(file)));
    compiler.status().is_ok_and(|status| status.success()).then_some(library)
}

/// Returns the folders of the sources of all packages that this one depends on.
fn packages() -> Vec<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--format-version=1", "--locked", "--manifest-path"]);
    let output = metadata.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    // Paths of packages from registries have no characters that JSON escapes.
    let manifests = text.split("\"manifest_path\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    manifests.filter_map(|manifest| Some(Path::new(manifest).parent()?.to_owned())).collect()
}
