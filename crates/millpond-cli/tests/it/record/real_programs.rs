//! Real programs, compared with valgrind's counts.

use std::{collections::BTreeSet, path::Path, process::Command};

use millpond_trace::Op;

use super::{Trace, Workshop, told};
use crate::support::{millpond, refusal, skipped, stdout};

/// Returns the allocations that valgrind counts in a command; `None`, with a message, if it or the program is missing.
fn by_valgrind(command: &[&str]) -> Option<u64> {
    let what = &format!("counting the allocations of {}", command[0]);
    let output = Command::new("valgrind").env("PYTHONMALLOC", "malloc").args(command).output();
    let Ok(output) = output else {
        skipped(what, "there is no valgrind");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.split_once("total heap usage: ").and_then(|(_, rest)| rest.split_once(" allocs"));
    let Some((count, _)) = count else {
        skipped(what, &format!("valgrind cannot run it: {text}"));
        return None;
    };
    count.replace(',', "").parse().ok()
}

/// Fails unless both counts agree, up to `rest` in a thousand.
fn agree(command: &[&str], rest: f64) {
    let Some(expected) = by_valgrind(command) else { return };
    let workshop = Workshop::new();
    let mut recorder = workshop.recorder();
    told(&recorder.env("PYTHONMALLOC", "malloc").arg("--").args(command).output().unwrap());
    let found = workshop.trace().summary.allocations;
    let difference = found.abs_diff(expected) as f64 / expected as f64 * 1000.0;
    assert!(difference <= rest, "{command:?}: {found} recorded, {expected} counted by valgrind");
}

#[test]
fn jq_agrees_with_valgrind() {
    let numbers = (0..2000).map(|n| format!("{{\"n\":{n},\"s\":[\"{n}\"]}}")).collect::<Vec<_>>().join(",");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("numbers.json");
    std::fs::write(&file, format!("[{numbers}]")).unwrap();
    agree(&["jq", ".", &file.to_string_lossy()], 0.0);
}

#[test]
fn perl_agrees_with_valgrind() {
    agree(&["perl", "-e", "my %h; $h{$_} = $_ x 3 for 1..5000; print scalar %h"], 5.0);
}

#[test]
fn python_agrees_with_valgrind() {
    if !Path::new("/usr/bin/python3").exists() {
        return skipped("counting the allocations of python3", "there is no /usr/bin/python3");
    }
    agree(&["/usr/bin/python3", "-S", "-c", "print(sum(range(100)))"], 5.0);
}

#[test]
fn lua_and_sqlite_agree_with_valgrind() {
    let lua = "local t = {}; for i = 1, 5000 do t[i] = {i, tostring(i)} end";
    agree(&["lua5.4", "-e", lua], 0.0);
    agree(
        &["sqlite3", ":memory:", "create table t(a, b); insert into t values(1, 'x'); select * from t;"],
        5.0,
    );
}

/// Returns whether a program is installed; if not, with a message.
fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        skipped(&format!("recording {program}"), "it is not there");
    }
    found
}

#[test]
fn each_process_of_a_compiler_can_be_selected() {
    if !is_there("gcc") {
        return;
    }
    let workshop = Workshop::new();
    let source = workshop.path("a.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let command = ["-c", "-o", "/dev/null", &source.to_string_lossy()].map(str::to_owned);
    let arguments: Vec<_> = command.iter().map(String::as_str).collect();
    let text = told(&workshop.record("gcc".as_ref(), &arguments));
    assert!(text.contains(" of cc1, process ") && text.contains(" gcc (process "), "{text}");
    told(&workshop.record_with(&["--process", "cc1"], "gcc".as_ref(), &arguments));
    let trace = workshop.trace();
    assert!(trace.start.program.ends_with("/cc1") && trace.summary.allocations > 1000, "{:?}", trace.start);
}

#[test]
fn runs_of_a_compiler_are_taken_together() {
    if !is_there("gcc") || !is_there("make") {
        return;
    }
    let workshop = Workshop::new();
    let rule = "all: a.o b.o c.o\n%.o: %.c\n\tcat $< | gcc -x c -c -o $@ -\n";
    std::fs::write(workshop.path("Makefile"), rule).unwrap();
    for name in ["a", "b", "c"] {
        let code = format!("int {name}(int x) {{ return x + 1; }}\n");
        std::fs::write(workshop.path(&format!("{name}.c")), code).unwrap();
    }
    let folder = workshop.path("");
    told(&workshop.record("make".as_ref(), &["-s", "-j2", "-C", &folder.to_string_lossy()]));
    let traces = workshop.traces();
    let named = |name: &str| {
        let found = traces.iter().filter(|trace| trace.start.arguments[0].ends_with(name));
        found.collect::<Vec<_>>()
    };
    for (name, count) in [("make", 1), ("cc1", 3), ("cat", 3), ("as", 3)] {
        let found = named(name).iter().filter(|trace| trace.summary.events > 0).count();
        assert!(found >= count, "{found} of {name}");
    }
    let mut show = millpond();
    show.arg("show").arg(workshop.path("out.mpt")).args(["--together", "--process", "cc1", "--json"]);
    let report = stdout(show.env("XDG_CACHE_HOME", workshop.path("cache")).output().unwrap());
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let events: u64 = named("cc1").iter().map(|trace| trace.summary.events).sum();
    assert_eq!(report["trace"]["events"], events);
    // Most stacks are those of all three runs, whose code was at different addresses.
    let stacks = report["by_site"].as_array().unwrap().iter().map(|site| site["stacks"].as_u64().unwrap());
    let of_one = |trace: &&Trace| {
        let allocations = trace.events.iter().filter(|event| !matches!(event.op, Op::Free { .. }));
        allocations.map(|event| event.stack).collect::<BTreeSet<_>>().len() as u64
    };
    let all: u64 = named("cc1").iter().map(of_one).sum();
    assert!(stacks.sum::<u64>() < all / 2, "{all} stacks in all");
}

#[test]
fn program_behind_a_script_is_recorded() {
    let python = Path::new("/usr/bin/python3");
    if !python.exists() {
        return skipped("python3 behind a script", "there is no /usr/bin/python3");
    }
    let workshop = Workshop::new();
    let script = workshop.path("wrapper");
    std::fs::write(&script, "#!/bin/sh\nx=$(echo words)\nexec /usr/bin/python3 -S \"$@\"\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let text = told(&workshop.record(&script, &["-c", "print"]));
    assert!(text.contains(" of python3, process ") && text.contains("PYTHONMALLOC=malloc"), "{text}");
    // Without `exec`, the shell is another process.
    std::fs::write(&script, "#!/bin/sh\n/usr/bin/python3 -S \"$@\"\n:\n").unwrap();
    let text = told(&workshop.record(&script, &["-c", "print"]));
    assert!(text.contains(" of python3, process ") && text.contains("sh (process "), "{text}");
    // A process with few events may have done most of the work.
    let many = "perl -e 'my %h; $h{$_} = 1 for 1..5000'";
    std::fs::write(&script, format!("#!/bin/sh\n{many}\n/usr/bin/python3 -S \"$@\"\n")).unwrap();
    let text = told(&workshop.record(&script, &["-c", "sum(range(10_000_000))"]));
    assert!(text.contains(" of perl, process ") && text.contains("CPU time went into python3"), "{text}");
}

/// Returns the message about a program that is built by this command and cannot be recorded; `None` if it cannot be
/// built.
fn refused(workshop: &Workshop, compiler: &mut Command, what: &str) -> Option<String> {
    match compiler.current_dir(workshop.path("")).output() {
        Ok(output) if output.status.success() => {
            Some(refusal(workshop.recorder().arg("--").arg(workshop.path("program")).output().unwrap()))
        }
        Ok(output) => {
            skipped(what, &String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            skipped(what, &format!("its compiler cannot be run: {error}"));
            None
        }
    }
}

#[test]
fn programs_of_go_are_refused() {
    let workshop = Workshop::new();
    std::fs::write(workshop.path("a.go"), "package main\n\nfunc main() { println(1) }\n").unwrap();
    let mut go = Command::new("go");
    go.args(["build", "-o", "program", "a.go"])
        .env("GOCACHE", workshop.path("cache"))
        .env("GO111MODULE", "off");
    if let Some(text) = refused(&workshop, &mut go, "a program of Go") {
        assert!(text.contains("is a Go program") && text.contains("not through malloc"), "{text}");
    }
}
