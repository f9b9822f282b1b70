//! Whole programs under allocators that are preloaded: real ones, and loops over malloc and free in C.
//!
//! Contenders are Millpond's malloc in both modes and the peers that are installed (Debian: libmimalloc2.0, libjemalloc2,
//! libtcmalloc-minimal4) or compiled from the sources in their crates (mimalloc 3, snmalloc, rpmalloc), glibc being the
//! baseline. `MALLOC_PEERS=NAME=LIBRARY,…` adds others. A sample is the CPU time
//! of the process, user and system, and its peak resident memory.

mod library;
mod programs;
mod run;
mod sources;

use std::path::Path;

use self::{
    library::{Library, libraries},
    run::{Command, compile, sample},
};
use crate::report::{Case, Measure, Mix};

pub const MIXES: &[Mix] = &[
    Mix { name: "malloc-programs", what: "real programs under preloaded allocators", run: programs },
    Mix { name: "malloc-loops", what: "18 loops in C, with 1, 2 and 8 threads", run: loops },
];

const MEASURES: &[Measure] = &[Measure { name: "CPU", unit: "ms" }, Measure { name: "memory", unit: "KiB" }];

/// Rounds in which all contenders take turns.
const ROUNDS: usize = 7;

fn programs() -> Vec<Case> {
    measure(programs::programs)
}

fn loops() -> Vec<Case> {
    measure(|folder| {
        let Some(loops) = compile("loops", folder) else { return Vec::new() };
        let names =
            std::process::Command::new(&loops).output().map(|output| output.stdout).unwrap_or_default();
        let names = String::from_utf8_lossy(&names).into_owned();
        let with_threads = |name: &str| {
            let words = |threads: &str| [loops.display().to_string(), name.into(), threads.into()];
            ["1", "2", "8"].map(|threads| Command::new(format!("{name}, {threads} threads"), words(threads)))
        };
        names.lines().flat_map(with_threads).collect()
    })
}

/// Runs commands under all contenders, in turn; `commands` gets a folder for files.
fn measure(commands: impl FnOnce(&Path) -> Vec<Command>) -> Vec<Case> {
    let folder = std::env::temp_dir().join(format!("millpond-malloc-{}", std::process::id()));
    if let Err(error) = std::fs::create_dir_all(&folder) {
        eprintln!("skipped: cannot create {}: {error}", folder.display());
        return Vec::new();
    }
    let libraries = libraries(&folder);
    let cases = compile("peak", &folder)
        .map(|peak| commands(&folder).into_iter().map(|command| case(&peak, &command, &libraries)).collect());
    // A folder that stays costs nothing but room.
    let _ = std::fs::remove_dir_all(&folder);
    cases.unwrap_or_default()
}

fn case(peak: &Path, command: &Command, libraries: &[Library]) -> Case {
    eprintln!("{}", command.title);
    let mut case = Case::new(command.title.clone(), MEASURES);
    case.name_rows(libraries.iter().map(|library| library.name.clone()));
    case.take_turns(ROUNDS, |row| sample(peak, command, &libraries[row]).unwrap_or([f64::NAN; 2]));
    case
}
