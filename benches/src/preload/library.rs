//! The allocators.

use std::path::{Path, PathBuf};

use super::sources;

/// An allocator, which is preloaded.
pub struct Library {
    pub name: String,
    /// The library; none for that of the C library.
    pub path: Option<PathBuf>,
    /// The mode of Millpond's.
    pub mode: &'static str,
}

/// Where Debian and others have libraries.
const FOLDERS: &[&str] = &["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"];

const PEERS: &[(&str, &[&str])] = &[
    ("mimalloc 2", &["libmimalloc.so.2", "libmimalloc.so.2.0"]),
    ("jemalloc", &["libjemalloc.so.2"]),
    ("tcmalloc", &["libtcmalloc_minimal.so.4"]),
];

/// Returns the allocators that are there, the baseline first. Some are compiled into a folder.
pub fn libraries(folder: &Path) -> Vec<Library> {
    let mut libraries = vec![Library { name: "glibc".into(), path: None, mode: "" }];
    let mut add = |name: &str, path: Option<PathBuf>, mode| match path.filter(|path| path.is_file()) {
        Some(path) => libraries.push(Library { name: name.into(), path: Some(path), mode }),
        None => eprintln!("skipped: {name}, which is not installed, or cannot be compiled"),
    };
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/c/libmillpond_malloc.so");
    if !ours.is_file() {
        eprintln!("first: cargo build --profile c -p millpond-malloc-preload");
    }
    for mode in ["fast", "checked"] {
        add(&format!("Millpond, {mode}"), Some(ours.clone()), mode);
    }
    for (name, files) in PEERS {
        let places =
            FOLDERS.iter().flat_map(|folder| files.iter().map(move |file| Path::new(folder).join(file)));
        add(name, places.into_iter().find(|path| path.is_file()), "");
    }
    for (name, path) in sources::compiled(folder) {
        add(name, path, "");
    }
    let more = std::env::var("MALLOC_PEERS").unwrap_or_default();
    for (name, path) in more.split(',').filter_map(|peer| peer.split_once('=')) {
        add(name, Some(path.into()), "");
    }
    libraries
}
