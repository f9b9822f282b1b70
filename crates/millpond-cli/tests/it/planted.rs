//! `millpond advise` on programs that were written for it: each function is known to need one kind of advice.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::support::{millpond, skipped, stdout};

/// The programs, and for each function that allocates what is true of it: the kind of advice, or that there is none to
/// give.
const TRUTH: &[(&str, &[(&str, &str)])] = &[
    (
        "temporaries.c",
        &[
            ("format_line", "reuse"),
            ("checksum", "reuse"),
            ("connection", "one_size"),
            ("total", "none"),
            ("table_of", "none"),
        ],
    ),
    (
        "chains.c",
        &[
            ("read_record", "capacity"),
            ("read_line", "reuse"),
            ("extend", "none"),
            ("name", "arena"),
            ("table_of", "none"),
        ],
    ),
    (
        "vectors.cc",
        &[
            ("page", "capacity"),
            ("vertex", "one_size"),
            ("remember", "one_size"),
            ("label", "classes"),
            ("enqueue", "one_size"),
            ("main", "none"),
        ],
    ),
    (
        "phases.c",
        &[
            ("parse", "frame"),
            ("argument", "frame"),
            ("session", "one_size"),
            ("tree_node", "arena"),
            ("setting", "none"),
            ("table_of", "none"),
        ],
    ),
    (
        "threads.c",
        &[
            ("message", "remote_free"),
            ("item", "thread_cache"),
            ("blob", "thread_cache"),
            ("scratch", "reuse"),
            ("setup", "none"),
            ("main", "none"),
        ],
    ),
    (
        "growth.c",
        &[
            ("leak", "growth"),
            ("history", "growth"),
            ("load_entry", "arena"),
            ("job", "one_size"),
            ("ticket", "one_size"),
            ("image", "none"),
            ("table_of", "none"),
            ("main", "none"),
        ],
    ),
    (
        "pooled.c",
        &[
            ("refill", "none"),
            ("entry", "one_size"),
            ("value", "classes"),
            ("text", "classes"),
            ("frame", "none"),
            ("option", "none"),
            ("table_of", "none"),
        ],
    ),
];

/// How the programs are compiled, and the seeds and amounts with which they run. None of them served to choose the
/// thresholds of the advice; those were chosen with seed 1 and 20,000.
const LEVELS: [&str; 2] = ["-O0", "-O2"];
const RUNS: [[&str; 2]; 2] = [["7", "31000"], ["101", "12500"]];

/// Compiles a planted program; `None`, with a message, where that is impossible.
fn compile(folder: &Path, source: &str, level: &str) -> Option<PathBuf> {
    let (compiler, standard) =
        if source.ends_with(".cc") { ("c++", "-std=c++17") } else { ("cc", "-std=gnu11") };
    let program = folder.join(format!("{}{level}", source.split('.').next().unwrap()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/planted").join(source);
    let mut command = Command::new(compiler);
    command.args([level, standard, "-g", "-w", "-pthread", "-o"]).args([&program, &source]);
    match command.output() {
        Ok(output) if output.status.success() => Some(program),
        failed => {
            skipped("advice for planted programs", &format!("{compiler} cannot make one: {failed:?}"));
            None
        }
    }
}

/// Records a program; `None`, with a message, where that is impossible.
fn record(folder: &Path, program: &Path, arguments: &[&str]) -> Option<PathBuf> {
    let trace = folder.join("planted.mpt");
    let mut command = millpond();
    command.args(["record", "--force", "-o"]).arg(&trace).arg("--").arg(program).args(arguments);
    let output = command.env("TMPDIR", folder).output().unwrap();
    // The programs exit with 0 or 1, and millpond with 125 or more if it cannot record.
    if output.status.code().is_some_and(|code| code < 125) {
        return Some(trace);
    }
    skipped("advice for planted programs", &String::from_utf8_lossy(&output.stderr));
    None
}

/// Returns the advice on a trace.
fn advise(trace: &Path) -> Value {
    let mut command = millpond();
    command.arg("advise").arg(trace).args(["--json", "--no-replay"]);
    command.env("XDG_CACHE_HOME", trace.parent().unwrap());
    serde_json::from_str(&stdout(command.output().unwrap())).unwrap()
}

/// What was advised correctly, what was advised at all, and what should have been.
#[derive(Default)]
struct Score {
    right: usize,
    advised: usize,
    wanted: usize,
    mistakes: String,
}

impl Score {
    /// Compares the advice for one run of a program with the truth. A function is right if all its sites that need
    /// advice get that of the truth.
    fn add(&mut self, run: &str, truth: &[(&str, &str)], advice: &Value) {
        let sites: Vec<(&str, &str)> = advice["sites"]
            .as_array()
            .unwrap()
            .iter()
            .map(|site| {
                let name = site["frames"][0]["function"].as_str().unwrap_or("?");
                (name.split('(').next().unwrap(), site["advice"]["kind"].as_str().unwrap())
            })
            .collect();
        for &(function, kind) in sites.iter().filter(|(_, kind)| *kind != "none") {
            let expected = truth.iter().find(|(known, _)| *known == function).map(|(_, kind)| *kind);
            self.advised += 1;
            if expected == Some(kind) {
                self.right += 1;
            } else {
                writeln!(self.mistakes, "{run}: {function} needs {expected:?}, not {kind}").unwrap();
            }
        }
        for &(function, kind) in truth.iter().filter(|(_, kind)| *kind != "none") {
            self.wanted += 1;
            if !sites.contains(&(function, kind)) {
                writeln!(self.mistakes, "{run}: {function} does not get {kind}").unwrap();
            }
        }
    }

    fn precision(&self) -> f64 {
        self.right as f64 / self.advised as f64
    }

    /// Each function has one site that needs advice, so the sites that are right are those found.
    fn recall(&self) -> f64 {
        self.right as f64 / self.wanted as f64
    }
}

#[test]
fn advice_on_planted_programs_is_precise_and_complete() {
    let folder = tempfile::tempdir().unwrap();
    let mut score = Score::default();
    for (source, truth) in TRUTH {
        for level in LEVELS {
            let Some(program) = compile(folder.path(), source, level) else { return };
            for arguments in RUNS {
                let Some(trace) = record(folder.path(), &program, &arguments) else { return };
                let run = format!("{source} {level} {}", arguments.join(" "));
                score.add(&run, truth, &advise(&trace));
            }
        }
    }
    let figures = format!("precision {:.3}, recall {:.3}", score.precision(), score.recall());
    assert!(score.precision() >= 0.9 && score.recall() >= 0.95, "{figures}\n{}", score.mistakes);
    assert!(score.wanted >= 100, "{} functions are too few", score.wanted);
}

#[test]
fn the_truth_names_functions_that_exist() {
    for (source, truth) in TRUTH {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/planted");
        let text = ["planted.h", source].map(|name| fs::read_to_string(folder.join(name)).unwrap()).concat();
        for (function, _) in *truth {
            assert!(text.contains(&format!("{function}(")), "{source} has no {function}");
        }
    }
}
