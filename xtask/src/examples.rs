//! `cargo xtask examples`: runs every example and compares its output with the text stored beside it.
//!
//! The expected output of `examples/NAME.rs` is `examples/expected/NAME.txt`. An ellipsis (…) there stands for any text
//! within its line: addresses, times, everything that differs from run to run.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Examples of the library that measure: their output is for people, and they have their own commands.
const MEASURING: [&str; 3] = ["counts", "stress", "worst"];

/// A program to run, and its expected output.
struct Example {
    name: String,
    /// The arguments that tell cargo which program to run.
    arguments: Vec<OsString>,
    expected: PathBuf,
}

/// Runs all examples; returns whether each output was as expected.
pub(crate) fn run(root: &Path) -> Result<bool, String> {
    let mut failed = 0;
    let examples = all(root)?;
    for example in &examples {
        match judge(root, example) {
            Ok(()) => println!("{}: as expected", example.name),
            Err(message) => {
                failed += 1;
                println!("{}: {message}", example.name);
            }
        }
    }
    println!("\nexamples: {failed} of {} to look at", examples.len());
    Ok(failed == 0)
}

/// Returns the library's examples, and the one that is a separate package because it has no standard library.
fn all(root: &Path) -> Result<Vec<Example>, String> {
    let folder = root.join("crates/millpond/examples");
    let failed = |error| format!("cannot list {}: {error}", folder.display());
    let mut examples = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && !MEASURING.contains(&&*name) {
            let arguments =
                ["--locked", "--package", "millpond", "--example", &name].map(OsString::from).to_vec();
            let expected = folder.join("expected").join(&name).with_extension("txt");
            examples.push(Example { name, arguments, expected });
        }
    }
    let manifest = root.join("examples/no_std/Cargo.toml");
    let expected = manifest.with_file_name("expected.txt");
    let arguments = vec!["--manifest-path".into(), manifest.into()];
    examples.push(Example { name: "no_std".into(), arguments, expected });
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(examples)
}

fn judge(root: &Path, example: &Example) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut run = Command::new(cargo);
    run.args(["run", "--quiet"]).args(&example.arguments).current_dir(root);
    let output = run.output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("failed ({})\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = fs::read_to_string(&example.expected).map_err(|error| {
        format!("cannot read {}: {error}\nit printed:\n{said}", example.expected.display())
    })?;
    compare(&expected, &said).map_err(|message| format!("{message}\nall that it printed:\n{said}"))
}

/// Compares an output with the expected one, line by line.
fn compare(expected: &str, said: &str) -> Result<(), String> {
    let (mut expected, mut said) = (expected.lines(), said.lines());
    for number in 1.. {
        match (expected.next(), said.next()) {
            (None, None) => break,
            (Some(pattern), Some(line)) if fits(pattern, line) => {}
            (pattern, line) => {
                let [pattern, line] = [pattern, line].map(|text| text.unwrap_or("(nothing more)"));
                return Err(format!(
                    "line {number} is not as expected\n  expected: {pattern}\n  printed:  {line}"
                ));
            }
        }
    }
    Ok(())
}

/// Returns whether a line matches the pattern, in which ellipses stand for any text.
fn fits(pattern: &str, line: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else { return pattern == line };
    let Some(mut line) = line.strip_prefix(start) else { return false };
    let mut pieces = rest.split('…');
    let end = pieces.next_back().unwrap_or_default();
    for piece in pieces {
        match line.find(piece) {
            Some(at) => line = &line[at + piece.len()..],
            None => return false,
        }
    }
    line.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ellipsis_matches_within_a_line() {
        for (pattern, line) in [
            ("", ""),
            ("plain", "plain"),
            ("Node at …", "Node at 0x7f"),
            ("…", ""),
            ("a … b … c", "a 1 b 2 b 3 c"),
            ("… ns, … ns", "1 ns, 2 ns"),
        ] {
            assert!(fits(pattern, line), "{pattern} / {line}");
        }
        for (pattern, line) in [
            ("plain", "plain "),
            ("Node at …", "node at 0x7f"),
            ("a…a", "a"),
            ("… ns, … ns", "1 ns, 2"),
            ("a … b … c", "a 1 c"),
            ("", "something"),
        ] {
            assert!(!fits(pattern, line), "{pattern} / {line}");
        }
    }

    #[test]
    fn first_difference_is_reported() {
        assert_eq!(compare("one\ntwo …\n", "one\ntwo 2\n"), Ok(()));
        for (said, line) in [("1\ntwo 2\n", 1), ("one\nthree\n", 2), ("one\n", 2), ("one\ntwo 2\nthree\n", 3)]
        {
            let message = compare("one\ntwo …\n", said).expect_err(said);
            assert!(message.starts_with(&format!("line {line} ")), "{message}");
        }
    }
}
