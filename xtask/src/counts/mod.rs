//! `cargo xtask counts`: the exact number of instructions on the library's hot paths, compared with a baseline.
//!
//! The probes `crates/millpond/examples/counts.rs` and `crates/millpond-malloc/examples/malloc_counts.rs` call one
//! operation a given number of times, and callgrind collects what is executed between the operation's entry and its
//! return. They run with N calls and with 2 N: the difference, divided by N, is the cost of one call when everything is
//! warm. Counts depend on the compiler, so they are compared only if it is the one that the baseline names.

mod baseline;
mod probe;

use std::{fs, path::Path};

use self::baseline::{Baseline, Counts};

/// What to do with the counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Compare them with the baseline.
    Compare,
    /// Make them the baseline.
    Bless,
}

/// Counts, and compares or blesses; returns whether no operation exceeds its baseline or its budget.
pub(crate) fn run(root: &Path, mode: Mode) -> Result<bool, String> {
    let file = root.join("xtask/counts.txt");
    let failed =
        |what: &str, error: &dyn std::fmt::Display| format!("cannot {what} {}: {error}", file.display());
    let text = fs::read_to_string(&file).map_err(|error| failed("read", &error))?;
    let mut baseline = Baseline::parse(&text).map_err(|error| failed("understand", &error))?;
    let compiler = probe::compiler()?;
    let measured = probe::measure(root)?;
    if mode == Mode::Bless {
        baseline = baseline.blessed(&compiler, &measured);
        fs::write(&file, baseline.to_string()).map_err(|error| failed("write", &error))?;
    }
    Ok(report(&baseline, &compiler, &measured))
}

fn report(baseline: &Baseline, compiler: &str, measured: &Counts) -> bool {
    println!("instructions per operation with {compiler}:\n");
    let verdicts = baseline.judge(measured);
    for verdict in &verdicts {
        println!("{}", verdict.line);
    }
    let dear = verdicts.iter().filter(|verdict| !verdict.passed).count();
    println!("\ncounts: {dear} of {} operations to look at", verdicts.len());
    let is_pinned = compiler == baseline.compiler;
    if !is_pinned {
        println!("the baseline holds for {}: nothing is decided with another compiler", baseline.compiler);
    }
    dear == 0 || !is_pinned
}
