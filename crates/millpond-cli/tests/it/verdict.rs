//! Verdicts on small programs in C.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{millpond, replay, sample, stdout};

/// Compiles a program in C.
fn compile(folder: &Path, name: &str, code: &str) -> std::path::PathBuf {
    let (source, program) = (folder.join(format!("{name}.c")), folder.join(name));
    fs::write(&source, code).unwrap();
    let built =
        Command::new("cc").args(["-O1", "-pthread", "-o"]).args([&program, &source]).status().unwrap();
    assert!(built.success());
    program
}

/// Returns the output of `millpond replay --json` for a recorded program.
fn judge(folder: &Path, program: &Path) -> Value {
    let trace = folder.join("trace.mpt");
    let recorded = millpond().args(["record", "--force", "-o"]).args([&trace, program]).output().unwrap();
    assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
    serde_json::from_str(&stdout(replay(&trace, &["--json", "--rounds", "5"]))).unwrap()
}

/// Allocates 286 MiB and touches one page of each block.
const LEAK: &str = "\
#include <stdlib.h>
int main(void) {
    for (int i = 0; i < 3000; i++) { volatile char *p = malloc(100000); p[0] = 1; }
    return 0;
}
";

#[test]
fn untouched_pages_stay_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "leak", LEAK);
    let report = judge(folder.path(), &program);
    let glibc = &report["allocators"][0];
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert_eq!(report["settings"]["written_from_memory"], true);
    assert_eq!(report["settings"]["written_below_bytes"], 100_000);
    let resident = number(&glibc["peak_resident_bytes"]["median"]);
    assert!(resident < 40e6, "{resident} bytes resident, of 300 MB that are not touched");
    assert!(number(&glibc["page_faults"]) < 10_000.0, "{glibc}");
    // A share is at most the whole; where it would be more, there is none, and the reason is given.
    match &report["bound"]["allocation_share_range"] {
        Value::Null => assert!(report["bound"]["doubt"].is_string(), "{}", report["bound"]),
        share => assert!(number(&share["least"]) <= 1.0, "{share}"),
    }
}

/// Runs four threads, three times; the main thread frees the last blocks.
const THREADS: &str = "\
#include <pthread.h>
#include <stdlib.h>
#define N 20000
static void *q[4][N];
static void *work(void *x) {
    long k = (long)x;
    for (int i = 0; i < N; i++) {
        volatile char *p = malloc(16 + i % 100);
        p[0] = 1;
        q[k][i] = (void *)p;
        if (i > 100) free(q[k][i - 100]);
    }
    return 0;
}
int main(void) {
    for (int r = 0; r < 3; r++) {
        pthread_t t[4];
        for (long i = 0; i < 4; i++) pthread_create(t + i, 0, work, (void *)i);
        for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
        for (int i = 0; i < 4; i++)
            for (int j = N - 100; j < N; j++) free(q[i][j]);
    }
    return 0;
}
";

#[test]
fn threads_are_replayed_by_threads() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "threads", THREADS);
    let report = judge(folder.path(), &program);
    let threads = report["settings"]["threads"].as_u64().unwrap();
    assert!((2..=13).contains(&threads), "{threads}");
    // 4 · 100 blocks of each of three rounds are freed by another thread; glibc adds a few of its own.
    let foreign = report["trace"]["foreign_calls"].as_u64().unwrap();
    assert!((1200..1300).contains(&foreign), "{foreign}");
    assert_eq!(report["settings"]["threads_merged"], false);
    assert!(report["advice"]["rust"].as_str().unwrap().contains("Cached<Classes>"));
    for language in ["c", "cpp"] {
        assert!(report["advice"][language].as_str().unwrap().contains("MP_CACHED"));
    }
    assert_eq!(report["advice"]["languages"], serde_json::json!(["c"]));
}

#[test]
fn few_rounds_give_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let report = stdout(replay(&trace, &["--rounds", "1"]));
    let verdict = report.lines().last().unwrap();
    assert_eq!(
        verdict,
        "No verdict: 1 round cannot tell a difference from chance. Replay with --rounds 5 or more."
    );
}

#[test]
fn program_runs_once_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let script = format!("echo run >> {}; echo shown", log.display());
    for (options, times) in [(&[][..], 1), (&["--runs", "3"], 6)] {
        let _ = fs::remove_file(&log);
        let output = millpond()
            .args(["try", "--rounds", "1", "--with", "pools"])
            .args(options)
            .args(["--", "sh", "-c", &script])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, b"shown\n", "the first run alone is shown");
        assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), times);
    }
}

#[test]
fn every_run_reads_the_whole_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let script = format!("tee -a {}", log.display());
    let mut program = millpond()
        .args(["try", "--rounds", "1", "--with", "pools", "--runs", "3", "--", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    program.stdin.take().unwrap().write_all(b"a line\n").unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"a line\n", "the first run alone is shown");
    assert_eq!(fs::read_to_string(&log).unwrap(), "a line\n".repeat(6));
}

#[test]
fn recording_and_replay_report_the_same_cost() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "threads", THREADS);
    let trace = folder.path().join("trace.mpt");
    let recorded = millpond().args(["record", "-o"]).args([&trace, &program]).output().unwrap();
    let told = String::from_utf8_lossy(&recorded.stderr).into_owned();
    let cost = told.split("recording took ").nth(1).expect(&told).lines().next().unwrap();
    let report = stdout(replay(&trace, &["--rounds", "1", "--with", "pools"]));
    assert!(report.contains(&format!("recording took {cost}")), "{told}{report}");
}
