//! Builds the probe and runs it under callgrind.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::baseline::Counts;

/// Number of calls in the shorter of two runs.
const CALLS: u64 = 1000;

/// Returns the compiler and its target, in one line.
pub(super) fn compiler() -> Result<String, String> {
    let text = stdout(Command::new("rustc").arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("an unknown host");
    let version = text.lines().next().unwrap_or("an unknown compiler");
    Ok(format!("{version} for {host}"))
}

/// A program whose operations are counted: an example of a crate, with a value of `MILLPOND_MALLOC`, which is also put
/// before the names of its operations.
struct Probe {
    package: &'static str,
    example: &'static str,
    mode: Option<&'static str>,
}

const PROBES: [Probe; 3] = [
    Probe { package: "millpond", example: "counts", mode: None },
    Probe { package: "millpond-malloc", example: "malloc_counts", mode: Some("checked") },
    Probe { package: "millpond-malloc", example: "malloc_counts", mode: Some("fast") },
];

/// Returns the instructions per call of every operation of the probes.
pub(super) fn measure(root: &Path) -> Result<Counts, String> {
    let mut counts = Counts::new();
    for probe in &PROBES {
        let program = build(root, probe)?;
        for operation in stdout(&mut Command::new(&program))?.lines() {
            let name = probe.mode.map_or(operation.to_owned(), |mode| format!("{mode}_{operation}"));
            counts.insert(name, probe.per_call(&program, operation)?);
        }
    }
    Ok(counts)
}

fn build(root: &Path, probe: &Probe) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--quiet", "--release", "--package", probe.package, "--example", probe.example])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root)
        // Flags of the caller, for example a sanitizer, would change the code that is counted.
        .env_remove("RUSTFLAGS");
    let messages = stdout(&mut build)?;
    let executable =
        messages.lines().find_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next());
    executable
        .map(PathBuf::from)
        .ok_or_else(|| format!("cargo did not print the path of the probe {}", probe.example))
}

impl Probe {
    fn per_call(&self, program: &Path, operation: &str) -> Result<u64, String> {
        let once = self.collected(program, operation, CALLS)?;
        let twice = self.collected(program, operation, 2 * CALLS)?;
        match twice.checked_sub(once) {
            Some(more) if more > 0 && more.is_multiple_of(CALLS) => Ok(more / CALLS),
            _ => Err(format!(
                "{operation} does not cost the same at every call ({once} instructions for {CALLS}, {twice} for twice \
                 as many): let the probe warm it up"
            )),
        }
    }

    /// Returns the instructions executed within an operation, over a whole run of the program.
    fn collected(&self, program: &Path, operation: &str, calls: u64) -> Result<u64, String> {
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(format!("--toggle-collect={operation}"))
            .arg(program)
            .args([operation, &calls.to_string()]);
        if let Some(mode) = self.mode {
            valgrind.env("MILLPOND_MALLOC", mode);
        }
        let said = String::from_utf8_lossy(&output(&mut valgrind)?.stderr).into_owned();
        parse_collected(&said).ok_or_else(|| format!("valgrind did not print what it collected:\n{said}"))
    }
}

/// Returns the number in the line `==123== Collected : 456`.
fn parse_collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

fn stdout(command: &mut Command) -> Result<String, String> {
    Ok(String::from_utf8_lossy(&output(command)?.stdout).into_owned())
}

/// Returns the output of a program, if it succeeded.
fn output(command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{name} is not installed: install it and try again"),
        _ => format!("cannot run {name}: {error}"),
    })?;
    if output.status.success() {
        Ok(output)
    } else {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{name} failed ({}):\n{said}", output.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_is_found_in_the_output() {
        let said = "==7== Callgrind, a call-graph\n==7== Events    : Ir\n==7== Collected : 8000\n==7==\n";
        assert_eq!(parse_collected(said), Some(8000));
        assert_eq!(parse_collected("==7== Collected :\n"), None);
    }

    #[test]
    fn missing_program_is_named() {
        let error = output(&mut Command::new("no-such-program")).expect_err("there is none");
        assert_eq!(error, "no-such-program is not installed: install it and try again");
    }
}
