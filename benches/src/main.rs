//! Benchmarks of Millpond's pools against hand-written baselines and peers, interleaved in one run.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml -- [--csv FOLDER] [THEME|MIX…]`. Without a name, every mix
//! runs except the slow ones; `--list` prints the names. Names that end in `.mpt` are traces, which are replayed.
//! `--csv` stores the results as `FOLDER/MIX.csv`, from which `cargo xtask plots` draws.

mod aged;
mod arenas;
mod buddy;
mod bump;
mod checked;
mod classes;
mod cold;
mod contenders;
mod cpp;
mod fork;
mod grows;
mod harness;
mod latency;
mod lock_free;
mod many;
mod memory;
mod mixes;
mod ordered;
mod preload;
mod questions;
mod random;
mod regions;
mod report;
mod results;
mod shared;
mod traces;
mod typed;
mod variable;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use self::report::{Case, Mix};

/// A theme: the mixes of one plot.
struct Theme {
    name: &'static str,
    mixes: &'static [&'static [Mix]],
}

/// Memory comes first, while the process has no memory to reuse and has one thread.
const THEMES: &[Theme] = &[
    Theme { name: "memory", mixes: &[memory::RESIDENT, typed::memory::MIXES] },
    Theme { name: "cold", mixes: &[cold::MIXES] },
    Theme { name: "blocks", mixes: &[mixes::ALL, memory::RESET] },
    Theme { name: "aged", mixes: &[aged::MIXES] },
    Theme { name: "arenas", mixes: &[arenas::MIXES] },
    Theme { name: "typed", mixes: &[typed::MIXES] },
    Theme { name: "sizes", mixes: &[classes::MIXES, regions::MIXES, buddy::MIXES] },
    Theme { name: "checked", mixes: &[checked::MIXES] },
    Theme { name: "many", mixes: &[many::MIXES] },
    Theme { name: "latency", mixes: &[latency::MIXES] },
    Theme { name: "shared", mixes: &[shared::MIXES] },
    Theme { name: "lock-free", mixes: &[lock_free::MIXES, bump::MIXES, typed::SHARED] },
    Theme { name: "ordered", mixes: &[ordered::MIXES] },
    Theme { name: "questions", mixes: &[questions::MIXES] },
    Theme { name: "grows", mixes: &[grows::MIXES] },
    Theme { name: "malloc", mixes: &[preload::MIXES] },
];

/// Mixes that take minutes and run only if they are named individually.
const SLOW: &[&str] = &["shared-crowd", "grows-counts", "many-counts", "malloc-programs", "malloc-loops"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [grows::COUNT, row, live] => grows::count(row, live).ok_or_else(|| "no such row".into()),
        [many::COUNT, row, times] => many::count(row, times).ok_or_else(|| "no such row".into()),
        ["--list"] => {
            list();
            Ok(())
        }
        ["--csv", folder, ref names @ ..] => measure(names, Some(Path::new(folder))),
        ref names => measure(names, None),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Returns every mix with the name of its theme.
fn mixes() -> impl Iterator<Item = (&'static str, &'static Mix)> {
    let of_theme = |theme: &'static Theme| {
        theme.mixes.iter().flat_map(|mixes| mixes.iter()).map(|mix| (theme.name, mix))
    };
    THEMES.iter().flat_map(of_theme)
}

/// Runs the mixes and traces with these names, and stores their results.
fn measure(names: &[&str], folder: Option<&Path>) -> Result<(), String> {
    let (traces, names): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.ends_with(".mpt"));
    let is_known = |name: &str| mixes().any(|(theme, mix)| [theme, mix.name].contains(&name));
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(format!("no theme and no mix is called {unknown}: --list prints their names"));
    }
    // Traces are replayed in copies of this process, which must have only one thread.
    for path in &traces {
        let cases = traces::replay(path).map_err(|error| format!("{path}: {error}"))?;
        let name = PathBuf::from(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        keep(folder, "traces", &format!("trace-{name}"), "replay a recorded program", &cases)?;
    }
    for (theme, mix) in mixes() {
        let is_slow = SLOW.contains(&mix.name);
        let is_meant = names.contains(&theme) || names.is_empty() && traces.is_empty();
        if names.contains(&mix.name) && mix.name != theme || is_meant && !is_slow {
            keep(folder, theme, mix.name, mix.what, &(mix.run)())?;
        }
    }
    Ok(())
}

/// Prints the results of a mix, and writes them to a file if there is a folder for them.
fn keep(folder: Option<&Path>, theme: &str, mix: &str, what: &str, cases: &[Case]) -> Result<(), String> {
    println!("\n{mix}: {what}");
    cases.iter().for_each(|case| print!("{}", case.table()));
    let written = folder.map_or(Ok(()), |folder| results::write(folder, theme, mix, what, cases));
    written.map_err(|error| format!("cannot write the results of {mix}: {error}"))
}

fn list() {
    for theme in THEMES {
        println!("{}", theme.name);
        for mix in theme.mixes.iter().flat_map(|mixes| mixes.iter()) {
            let remark = if SLOW.contains(&mix.name) { " (only if named)" } else { "" };
            println!("  {:<20} {}{remark}", mix.name, mix.what);
        }
    }
    println!("FILE.mpt               replay a trace that `millpond record` wrote");
}
