//! Finds the allocators that can be preloaded.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{
    Absent, Contender,
    bindings::{Preloaded, preloaded},
};
use crate::replay::{self, Library};

/// An allocator that systems have as a library.
struct Known {
    name: &'static str,
    /// Its files, the newest first.
    files: &'static [&'static str],
    /// Where it comes from.
    package: &'static str,
}

const KNOWN: [Known; 3] = [
    Known {
        name: "mimalloc",
        files: &["libmimalloc.so.3", "libmimalloc.so.2", "libmimalloc.so.2.0", "libmimalloc.so"],
        package: "in Debian, the package libmimalloc3 or libmimalloc2.0",
    },
    Known {
        name: "jemalloc",
        files: &["libjemalloc.so.2", "libjemalloc.so"],
        package: "in Debian, the package libjemalloc2",
    },
    Known {
        name: "tcmalloc",
        files: &["libtcmalloc_minimal.so.4", "libtcmalloc.so.4", "libtcmalloc_minimal.so"],
        package: "in Debian, the package libtcmalloc-minimal4 or libtcmalloc-minimal4t64",
    },
];

/// Millpond's malloc.
const OURS: &str = "libmillpond_malloc.so";
/// The variable that says where it is.
const PLACE: &str = "MILLPOND_MALLOC_LIBRARY";
/// The variable by which it is configured.
const MODE: &str = "MILLPOND_MALLOC";

/// Returns the allocators that a program can be timed under, and those that it cannot.
pub(super) fn find(binary: &Path, more: &[(String, PathBuf)]) -> Result<(Vec<Contender>, Vec<Absent>)> {
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for known in &KNOWN {
        let files = known.files.iter().map(OsString::from);
        let hint = format!("it is not installed ({})", known.package);
        match first(binary, files, hint)? {
            Ok(path) => found.push(contender(known.name, path, None)),
            Err(why) => absent.push(Absent { name: known.name.into(), why }),
        }
    }
    let hint = format!(
        "{OURS} is not in the folder of millpond (`cargo build --release -p millpond-malloc-preload` makes it; {PLACE} says \
         where it is)"
    );
    match first(binary, places(), hint)? {
        Ok(path) => found.extend(modes().map(|(name, mode)| contender(name, path.clone(), mode))),
        Err(why) => absent.push(Absent { name: "millpond".into(), why }),
    }
    for (name, path) in more {
        let what = || format!("--preload {name}={}", path.display());
        let path = replay::loadable(path).with_context(what)?;
        match preloaded(binary, path.as_os_str())? {
            Preloaded::Serves(path) => found.push(contender(name, path, None)),
            Preloaded::NotFound => bail!("{}: the dynamic linker does not find it", what()),
            Preloaded::Refused(why) => bail!("{}: {why}", what()),
        }
    }
    Ok((found, absent))
}

/// Returns the first of several files that serves the program, or why none does: the reason of the first that is there,
/// or that none is.
fn first(
    binary: &Path,
    files: impl Iterator<Item = OsString>,
    missing: String,
) -> Result<Result<PathBuf, String>> {
    let mut reason = None;
    for file in files {
        match preloaded(binary, &file)? {
            Preloaded::Serves(path) => return Ok(Ok(path)),
            Preloaded::NotFound => {}
            Preloaded::Refused(why) => reason = reason.or(Some(why)),
        }
    }
    Ok(Err(reason.unwrap_or(missing)))
}

/// Returns where Millpond's malloc may be: where a variable says, in the folder of this program, in the folder for
/// libraries beside it, or where the dynamic linker looks.
fn places() -> impl Iterator<Item = OsString> {
    let folder = env::current_exe().ok().and_then(|file| Some(file.parent()?.to_owned()));
    let beside = folder.iter().flat_map(|folder| [folder.join(OURS), folder.join("../lib").join(OURS)]);
    let beside: Vec<_> = beside.filter(|path| path.is_file()).map(PathBuf::into_os_string).collect();
    env::var_os(PLACE).into_iter().chain(beside).chain([OURS.into()])
}

/// Returns the modes of Millpond's malloc: the one that the environment sets, or all.
fn modes() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let is_set = env::var_os(MODE).is_some();
    let all = [("millpond", None), ("millpond fast", Some("fast")), ("millpond checked", Some("checked"))];
    all.into_iter().filter(move |(_, mode)| mode.is_none() == is_set)
}

fn contender(name: &str, path: PathBuf, mode: Option<&str>) -> Contender {
    let variables = mode.map(|mode| (MODE.to_owned(), mode.to_owned())).into_iter().collect();
    Contender { name: name.into(), library: Library { path, variables } }
}
