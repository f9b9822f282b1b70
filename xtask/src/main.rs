//! Checks and chores of this repository, run as `cargo xtask`.

mod counts;
mod examples;
#[cfg(unix)]
mod install;
mod package;
mod plots;
mod tidy;
mod twins;

use std::{
    path::Path,
    process::{Command, ExitCode},
};

const HELP: &str = "\
Checks and chores of this repository.

cargo xtask tidy             check the source tree: who imports whom, sizes, docs, forbidden words, links
cargo xtask unsafe           count what is unsafe, and write the table of SAFETY.md
cargo xtask counts           count the instructions of the library's hot paths and compare with xtask/counts.txt
cargo xtask counts --bless   count them and write xtask/counts.txt
cargo xtask bench [THEME|MIX…]
                             run benchmarks, keep their results in benches/results, and draw the plots
cargo xtask plots            draw the plots in docs/bench from the results in benches/results
cargo xtask plots --check    compare the plots with the results
cargo xtask install --prefix DIR [--destdir DIR]
                             build Millpond for C, and install libraries, headers, pkg-config and CMake files
cargo xtask uninstall --prefix DIR [--destdir DIR]
                             remove what was installed there
cargo xtask dist             the same as an archive that needs no Rust
cargo xtask package          pack every crate, and run the tests of the packed crates
cargo xtask examples         run every example and compare what it says with what is expected
cargo xtask twins            compile each program that must not compile with its one wrong line replaced
cargo xtask ci               everything that a change must pass: .ci/run
cargo xtask ci --quick       the part of it that a developer runs before a commit
cargo xtask ci --full        that, and what takes long
cargo xtask ci --only WORDS  the steps whose headline has these words
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // This package lies in a folder of the repository's root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let done = match words[..] {
        ["tidy"] => tidy::run(root),
        ["unsafe"] => tidy::inventory::write(root),
        ["counts"] => counts::run(root, counts::Mode::Compare),
        ["counts", "--bless"] => counts::run(root, counts::Mode::Bless),
        #[cfg(unix)]
        ["install", ref wishes @ ..] => install::run(root, wishes),
        #[cfg(unix)]
        ["uninstall", ref wishes @ ..] => install::uninstall(wishes),
        #[cfg(unix)]
        ["dist"] => install::dist(root),
        ["bench", ref names @ ..] => plots::bench(root, names),
        ["plots"] => plots::run(root, false),
        ["plots", "--check"] => plots::run(root, true),
        ["package"] => package::run(root),
        ["examples"] => examples::run(root),
        ["twins"] => twins::run(root),
        ["ci", ref levels @ ..] => ci(root, levels),
        [] | ["help" | "-h" | "--help"] => {
            print!("{HELP}");
            Ok(true)
        }
        _ => Err(format!("there is no chore called \"{}\"\n\n{HELP}", words.join(" "))),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("xtask: {}", message.trim_end());
            ExitCode::from(2)
        }
    }
}

/// Runs the checks of this level; the script says what is wrong with others.
fn ci(root: &Path, levels: &[&str]) -> Result<bool, String> {
    let status = Command::new("bash").arg(".ci/run").args(levels).current_dir(root).status();
    status.map(|status| status.success()).map_err(|error| format!("cannot run bash .ci/run: {error}"))
}
