//! Checks and chores of this repository, run as `cargo xtask`.

mod counts;
mod tidy;

use std::{path::Path, process::ExitCode};

const HELP: &str = "\
Checks and chores of this repository.

cargo xtask tidy             check the source tree: who imports whom, sizes, docs, forbidden words, links
cargo xtask counts           count the instructions of the library's hot paths and compare with xtask/counts.txt
cargo xtask counts --bless   count them and write xtask/counts.txt
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // This package lies in a folder of the repository's root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let done = match words[..] {
        ["tidy"] => tidy::run(root),
        ["counts"] => counts::run(root, counts::Mode::Compare),
        ["counts", "--bless"] => counts::run(root, counts::Mode::Bless),
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
