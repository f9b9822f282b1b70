//! Checks and other tasks of this repository, run as `cargo xtask`.

#[cfg(unix)]
mod attacks;
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
Checks and other tasks of this repository.

cargo xtask tidy             check the source tree: order of layers, cycles, sizes of files, docs, SAFETY comments
cargo xtask unsafe           count unsafe code, and write the table in SAFETY.md
cargo xtask counts           count the instructions of the library's hot paths and compare with xtask/counts.txt
cargo xtask counts --bless   store the counts in xtask/counts.txt
cargo xtask attacks          commit every misuse of every pool, and compare the outcomes with SECURITY.md
cargo xtask attacks --bless  store the outcomes in SECURITY.md
cargo xtask bench [THEME|MIX…]
                             run benchmarks, store their results in benches/results, and draw the plots
cargo xtask plots            draw the plots in docs/bench from the results in benches/results
cargo xtask plots --check    compare the plots with the results
cargo xtask install --prefix DIR [--destdir DIR]
                             build Millpond for C, and install its libraries, headers, pkg-config and CMake files
cargo xtask uninstall --prefix DIR [--destdir DIR]
                             remove the installed files
cargo xtask dist             package the same files as an archive, for machines without Rust
cargo xtask package          package every crate, and run the tests of the packages
cargo xtask examples         run every example and compare its output with the expected output
cargo xtask twins            compile each `compile_fail` example with its wrong line replaced
cargo xtask ci               run all checks that a change must pass (.ci/run)
cargo xtask ci --quick       run the checks for each commit
cargo xtask ci --full        run all checks, including slow ones
cargo xtask ci --only WORDS  run the checks whose headline contains these words
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // This package is in a folder of the repository's root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let done = match words[..] {
        ["tidy"] => tidy::run(root),
        ["unsafe"] => tidy::inventory::write(root),
        ["counts"] => counts::run(root, counts::Mode::Compare),
        ["counts", "--bless"] => counts::run(root, counts::Mode::Bless),
        #[cfg(unix)]
        ["attacks"] => attacks::run(root, attacks::Mode::Compare),
        #[cfg(unix)]
        ["attacks", "--bless"] => attacks::run(root, attacks::Mode::Bless),
        #[cfg(unix)]
        ["install", ref options @ ..] => install::run(root, options),
        #[cfg(unix)]
        ["uninstall", ref options @ ..] => install::uninstall(options),
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
        _ => Err(format!("there is no command \"{}\"\n\n{HELP}", words.join(" "))),
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

/// Runs the checks of this level; the script reports an invalid level.
fn ci(root: &Path, levels: &[&str]) -> Result<bool, String> {
    let status = Command::new("bash").arg(".ci/run").args(levels).current_dir(root).status();
    status.map(|status| status.success()).map_err(|error| format!("cannot run bash .ci/run: {error}"))
}
