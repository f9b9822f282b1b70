//! The allocator with which the others are compared: the one that served the recorded program, unless the user names
//! another.

use std::{
    ffi::CStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use millpond_trace::Reader;
use object::{Endianness, Object, ObjectSymbol, read::elf::ElfFile64};
use serde::Serialize;

use super::{Name, contender::IS_FOR_GLIBC, race, worker};
use crate::trace;

/// Folders of the system. A trace may come from anywhere, so no library outside of them is loaded because a trace names
/// it.
const FOLDERS: [&str; 8] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
];
/// Characters that have a meaning in `LD_PRELOAD`.
const SPECIAL: [char; 4] = [' ', ':', '$', '\t'];
/// What to do if the allocator of the program cannot be the baseline.
const ANYWAY: &str = "With --baseline glibc, the others are compared with glibc instead";

/// The choices that the user has for the baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The allocator that served the program. A library in any folder is loaded if the trace was made by this process.
    Recorded { is_trusted: bool },
    /// glibc.
    Glibc,
    /// A library.
    File(PathBuf),
}

impl Choice {
    /// Returns the choice for a trace that this process has made.
    pub(crate) fn trusted(self) -> Self {
        match self {
            Self::Recorded { .. } => Self::Recorded { is_trusted: true },
            other => other,
        }
    }
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "recorded" => Ok(Self::Recorded { is_trusted: false }),
            "glibc" => Ok(Self::Glibc),
            path if path.contains('/') => Ok(Self::File(path.into())),
            _ => Err("it is recorded, glibc, or the path of a library, with a /".into()),
        }
    }
}

/// How the baseline relates to the recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Relation {
    /// It served the program.
    #[default]
    Recorded,
    /// The trace does not say what served the program.
    Assumed,
    /// Another allocator served the program.
    Other,
}

/// The baseline of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Baseline {
    /// The library whose `malloc` it is; `None` for glibc.
    pub(crate) library: Option<PathBuf>,
    pub(crate) relation: Relation,
    /// Whether the file is the build that was recorded; `None` if that cannot be known.
    pub(crate) is_same_build: Option<bool>,
}

impl Baseline {
    /// Returns the contender that is the baseline.
    pub(crate) fn name(&self) -> Name {
        if self.library.is_some() { Name::Library } else { Name::Glibc }
    }

    /// Returns its name for display.
    pub(crate) fn title(&self) -> String {
        match self.library.as_deref().and_then(Path::file_name) {
            Some(name) => trace::printable(&name.to_string_lossy()),
            None => Name::Glibc.title().into(),
        }
    }

    /// Returns the name of a contender for display.
    pub(crate) fn title_of(&self, name: Name) -> String {
        if name == Name::Library { self.title() } else { name.title().into() }
    }

    /// Determines the baseline for a trace that was read to its end. If the allocator of the program cannot be the
    /// baseline, glibc is, and the second value says why, in sentences: then there can be no verdict.
    pub(crate) fn new(choice: &Choice, reader: &Reader, program: &str) -> Result<(Self, Option<String>)> {
        let recorded = Recorded::of(reader);
        match choice {
            Choice::Glibc => Ok((recorded.glibc(), None)),
            Choice::File(path) => Ok((recorded.chosen(path)?, None)),
            Choice::Recorded { is_trusted } => Ok(match recorded.served(*is_trusted) {
                Ok(baseline) => (baseline, None),
                Err(reason) => (recorded.glibc(), Some(format!("{program} {reason} {ANYWAY}."))),
            }),
        }
    }
}

/// What a trace says about the allocator of its program.
struct Recorded<'a> {
    /// The file that served the calls; empty if unknown.
    file: &'a str,
    /// Its build identifier; empty if unknown.
    build_id: &'a [u8],
    /// An allocator other than that of glibc; empty if there was none.
    allocator: &'a str,
}

impl<'a> Recorded<'a> {
    fn of(reader: &'a Reader) -> Self {
        let summary = reader.summary();
        let file = summary.served_by.as_str();
        let module = reader.tables().modules.iter().find(|module| !file.is_empty() && module.path == file);
        let build_id = module.map_or(&[][..], |module| &module.build_id);
        Self { file, build_id, allocator: &summary.allocator }
    }

    fn is_glibc(&self) -> bool {
        let name = trace::last_part(self.file);
        name.starts_with("libc.so.") || name.starts_with("libc-")
    }

    /// Returns whether the file is musl, which is a C library and a dynamic linker in one.
    fn is_musl(&self) -> bool {
        let name = trace::last_part(self.file);
        name == "libc.so" || name.starts_with("ld-musl")
    }

    /// Returns glibc as the baseline.
    fn glibc(&self) -> Baseline {
        let relation = match (self.file, self.allocator) {
            (_, "") if self.is_glibc() && IS_FOR_GLIBC => Relation::Recorded,
            ("", "") => Relation::Assumed,
            _ => Relation::Other,
        };
        let is_same_build = if relation == Relation::Recorded { self.is_build_of(self.file) } else { None };
        Baseline { library: None, relation, is_same_build }
    }

    /// Returns whether a file is the build that was recorded; `None` if either has no build identifier.
    fn is_build_of(&self, path: impl AsRef<Path>) -> Option<bool> {
        let found = millpond_symbols::build_id(path.as_ref()).ok().flatten()?;
        (!self.build_id.is_empty()).then(|| found.bytes() == self.build_id)
    }

    /// Returns the library that the user names.
    fn chosen(&self, path: &Path) -> Result<Baseline> {
        let path = loadable(path).with_context(|| format!("cannot compare with {}", path.display()))?;
        let is_same_build = self.is_build_of(&path);
        let relation = match is_same_build {
            Some(true) => Relation::Recorded,
            None if self.file.is_empty() && self.allocator.is_empty() => Relation::Assumed,
            _ => Relation::Other,
        };
        Ok(Baseline { library: Some(path), relation, is_same_build })
    }

    /// Returns the allocator that served the program, or a clause and sentences that say why it cannot be the baseline.
    fn served(&self, is_trusted: bool) -> Result<Baseline, String> {
        if self.allocator.is_empty() && (self.file.is_empty() || self.is_glibc()) {
            return Ok(self.glibc());
        }
        let own = if self.allocator.is_empty() { self.file } else { self.allocator };
        let own = trace::printable(own);
        let reason = |what: &str| format!("does not use glibc's allocator but {own}. {what}.");
        if self.is_musl() {
            return Err(reason("A process of glibc, as the replay is, cannot load it"));
        }
        if self.file.is_empty() || self.is_glibc() {
            return Err(reason(
                "Only the allocator of a library can be loaded into the replay, and blocks of this one may be missing \
                 from the recording",
            ));
        }
        let file = trace::printable(self.file);
        let path = Path::new(self.file);
        if !path.is_absolute() {
            return Err(reason("The trace does not say in which file that is, as if it were anonymized"));
        }
        let Ok(path) = fs::canonicalize(path) else {
            return Err(reason(&format!(
                "{file} is not on this machine. If it is elsewhere, name it by --baseline"
            )));
        };
        if !is_trusted && !FOLDERS.iter().any(|folder| path.starts_with(folder)) {
            return Err(reason(&format!(
                "{file} is not in a folder of the system, and is not loaded because a trace says so. Name it by --baseline if \
                 it may be loaded"
            )));
        }
        match self.is_build_of(&path) {
            Some(true) => {}
            Some(false) => {
                let what =
                    format!("{file} is another build than in the recording. Name it by --baseline to use it");
                return Err(reason(&what));
            }
            None => {
                return Err(reason(&format!(
                    "Whether {file} is still what was recorded cannot be known, because there is no build id to compare. \
                     Name it by --baseline if it is"
                )));
            }
        }
        load(&path).map_err(|error| reason(&format!("It cannot be loaded into the replay: {error:#}")))?;
        Ok(Baseline { library: Some(path), relation: Relation::Recorded, is_same_build: Some(true) })
    }
}

/// Returns the whole path of a library that a worker process can load, and that then serves all calls.
pub(crate) fn loadable(path: &Path) -> Result<PathBuf> {
    let path = fs::canonicalize(path)?;
    load(&path)?;
    Ok(path)
}

/// Checks that a worker process can load a library, and that it then serves all calls.
fn load(path: &Path) -> Result<()> {
    ensure!(
        path.to_str().is_some_and(|text| !text.contains(SPECIAL)),
        "the dynamic linker cannot be given a path with a space, a colon or a dollar sign: give it a copy elsewhere"
    );
    if let Some(function) = missing(path)? {
        bail!("it has no function {}", function.to_string_lossy());
    }
    race::probe(path)
}

/// Returns the first function of an allocator that a library does not offer. A process that loads it would mix two
/// allocators.
fn missing(path: &Path) -> Result<Option<&'static CStr>> {
    let bytes = fs::read(path).context("it cannot be read")?;
    let file = ElfFile64::<Endianness>::parse(&*bytes).context("it is not a library")?;
    let defined = |function: &CStr| {
        let is_named = |name: Result<&[u8], _>| name == Ok(function.to_bytes());
        file.dynamic_symbols().any(|symbol| symbol.is_definition() && is_named(symbol.name_bytes()))
    };
    Ok(worker::FUNCTIONS.into_iter().find(|function| !defined(function)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded<'a>(file: &'a str, build_id: &'a [u8], allocator: &'a str) -> Recorded<'a> {
        Recorded { file, build_id, allocator }
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn glibc_is_the_baseline_of_what_it_served() {
        let glibc = |file, allocator| recorded(file, &[], allocator).glibc().relation;
        assert_eq!(glibc("/lib/libc.so.6", ""), Relation::Recorded);
        assert_eq!(glibc("", ""), Relation::Assumed);
        assert_eq!(glibc("/lib/libjemalloc.so.2", "that of libjemalloc.so.2"), Relation::Other);
        assert_eq!(glibc("/lib/libc.so.6", "jemalloc, within the program itself"), Relation::Other);
        let served = recorded("/lib/libc.so.6", &[], "").served(false).unwrap();
        assert_eq!((served.name(), served.title().as_str()), (Name::Glibc, "glibc"));
    }

    #[test]
    fn what_cannot_be_loaded_is_no_baseline() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libother.so");
        fs::write(&file, "no library").unwrap();
        let path = file.to_str().unwrap();
        for (file, is_trusted, expected) in [
            ("/lib/libc.so.6", false, "Only the allocator of a library can be loaded"),
            ("/lib/ld-musl-x86_64.so.1", false, "A process of glibc, as the replay is, cannot load it"),
            ("/usr/lib/musl/lib/libc.so", true, "A process of glibc"),
            ("anon-0123456789abcdef", false, "does not say in which file"),
            ("/nowhere/libjemalloc.so.2", true, "/nowhere/libjemalloc.so.2 is not on this machine."),
            (path, false, "is not in a folder of the system"),
            (path, true, "no build id to compare"),
        ] {
            let reason = recorded(file, &[1, 2], "jemalloc").served(is_trusted).unwrap_err();
            assert!(reason.contains("not use glibc's allocator but jemalloc. "), "{reason}");
            assert!(reason.contains(expected), "{reason}");
        }
        let error = format!("{:#}", recorded("", &[], "").chosen(&file).unwrap_err());
        assert!(error.contains("libother.so: it is not a library"), "{error}");
    }

    #[test]
    fn choices_are_two_words_or_a_path() {
        assert_eq!("recorded".parse(), Ok(Choice::Recorded { is_trusted: false }));
        assert_eq!("glibc".parse(), Ok(Choice::Glibc));
        assert_eq!("./a.so".parse(), Ok(Choice::File("./a.so".into())));
        assert!("jemalloc".parse::<Choice>().is_err());
    }
}
