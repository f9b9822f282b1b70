//! `millpond check`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use millpond_trace::{At, FrameKind};
use serde_json::Value;

use crate::{
    diff::{compared, record},
    support::{millpond, refusal_with, skipped, stdout, write_trace_of},
};

/// How many equal runs are checked.
const RUNS: usize = 20;

fn check(traces: &[PathBuf], options: &[&str]) -> Output {
    let cache = traces[0].parent().unwrap();
    let mut command = millpond();
    command.arg("check").args(traces).args(options).env("XDG_CACHE_HOME", cache).output().unwrap()
}

/// Asserts the exit code, and returns what was printed.
fn checked(traces: &[PathBuf], budget: &Path, code: i32) -> String {
    let output = check(traces, &["--budget", budget.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}{complaint}");
    text
}

/// Makes a budget from some runs, checks that equal runs keep it, and that runs with 1 % more do not.
fn equal_runs_pass(program: &Path, folder: &Path, training: usize, equal: &[&str], more: &[&str]) {
    let path = |name: &str, number: usize| folder.join(format!("{name}{number}.mpt"));
    let run = |arguments: &[&str], name: &str, number: usize| {
        record(program, arguments, &path(name, number)).map(|()| path(name, number))
    };
    let Some(first) = run(equal, "train", 0) else { return };
    let mut trained = vec![first];
    trained.extend((1..training).filter_map(|number| run(equal, "train", number)));
    let budget = folder.join("budget.toml");
    assert_eq!(stdout(check(&trained, &["--write-budget", budget.to_str().unwrap()])), "");
    for number in 0..RUNS {
        let trace = run(equal, "equal", number).unwrap();
        checked(&[trace], &budget, 0);
    }
    let text = checked(&[run(more, "more", 0).unwrap()], &budget, 1);
    assert!(text.contains("whole program: allocations"), "{text}");
    let line = text.lines().find(|line| line.contains("whole program: allocations")).unwrap();
    assert!(line.contains("EXCEEDED"), "{text}");
}

#[test]
fn equal_runs_keep_a_budget_and_one_percent_more_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("compared");
    if compared(&program, &[]).is_none() {
        return;
    }
    // 1,000 allocations of load, and 1,000 of parse: 1 % of all is 2 % of those of parse.
    equal_runs_pass(&program, folder.path(), 1, &["1000"], &["1020"]);
}

/// Finds a program, or says that it is skipped.
fn installed(name: &str) -> Option<PathBuf> {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", name]).output().unwrap();
    let path = String::from_utf8(found.stdout).unwrap();
    if !found.status.success() {
        skipped("checks of a real program", &format!("{name} is not installed"));
        return None;
    }
    Some(PathBuf::from(path.trim()))
}

#[test]
fn equal_runs_of_perl_keep_a_budget_of_several_runs() {
    let folder = tempfile::tempdir().unwrap();
    let Some(perl) = installed("perl") else { return };
    // The order of a hash differs from run to run.
    let script = "my %h; $h{\"key$_\"} = [$_] for 1..$ARGV[0]; my $s = join ',', keys %h; print length $s";
    equal_runs_pass(&perl, folder.path(), 5, &["-e", script, "4000"], &["-e", script, "4046"]);
}

#[test]
fn equal_runs_of_jq_keep_a_budget_of_several_runs() {
    let folder = tempfile::tempdir().unwrap();
    let Some(jq) = installed("jq") else { return };
    let filter = |count: u32| format!("[range({count}) | {{a: tostring}}] | length");
    equal_runs_pass(&jq, folder.path(), 3, &["-n", &filter(2000)], &["-n", &filter(2036)]);
}

/// Writes a recording with sites at the addresses 0x1fff and 0x2fff that allocate so often.
fn synthetic(path: &Path, counts: [u64; 2]) -> PathBuf {
    write_trace_of(path, 1_000_000, |trace| {
        for (count, address) in counts.into_iter().zip([0x2000, 0x3000]) {
            let stack = trace.node(0, address, FrameKind::Return).unwrap();
            for time in 0..count {
                trace.allocate(At { time, stack, ..At::default() }, 100, 0, false).unwrap();
            }
        }
    });
    path.to_owned()
}

const BUDGET: &str = "version = 1\n[total]\nallocations = 150\n[[site]]\nfunction = \"0x1fff\"\nbytes = 10_000\n\
                      [[site]]\nsite = \"^0x2f\"\nlive_bytes = 5000\nallocations = 50\n";

#[test]
fn sites_are_limited_by_name_or_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (budget, kept, exceeded) = (path("b.toml"), path("kept.mpt"), path("exceeded.mpt"));
    fs::write(&budget, BUDGET).unwrap();
    let kept = synthetic(&kept, [100, 50]);
    let exceeded = synthetic(&exceeded, [99, 52]);
    let text = checked(std::slice::from_ref(&kept), &budget, 0);
    assert!(text.starts_with("sample --fast keeps to its budget: 4 limits\n"), "{text}");
    assert!(text.contains("time is not checked"), "{text}");
    let text = checked(std::slice::from_ref(&exceeded), &budget, 1);
    assert!(text.starts_with("sample --fast exceeds its budget: 3 of 4 limits\n"), "{text}");
    assert!(text.contains("site ^0x2f: allocations") && text.contains("EXCEEDED, 4.0 % above"), "{text}");
    // Some runs exceed it.
    let text = checked(&[kept, exceeded], &budget, 0);
    assert!(text.contains("some runs exceed 3 of 4 limits") && text.contains("kept by some runs"), "{text}");
}

#[test]
fn reports_for_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let names =
        ["b.toml", "report.xml", "report.sarif", "report.md"].map(|name| path(name).display().to_string());
    let [budget, junit, sarif, markdown] = names.each_ref().map(String::as_str);
    fs::write(budget, BUDGET.replace("^0x2f", "^0x2f|<&\\\">")).unwrap();
    fs::write(markdown, "before\n").unwrap();
    let trace = synthetic(&path("exceeded.mpt"), [99, 52]);
    let options = ["--budget", budget, "--junit", junit, "--sarif", sarif, "--markdown", markdown, "--json"];
    let output = check(&[trace], &options);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["is_kept"], &report["limits"][0]["outcome"]),
        (&Value::Bool(false), &"exceeded".into())
    );
    assert_eq!((&report["limits"][0]["least"], &report["limits"][0]["limit"]), (&151.into(), &150.into()));

    let xml = fs::read_to_string(junit).unwrap();
    assert!(xml.contains("<testsuite name=\"millpond check: sample\" tests=\"4\" failures=\"3\""), "{xml}");
    assert_eq!((xml.matches("<testcase ").count(), xml.matches("<failure ").count()), (4, 3));
    assert!(xml.contains("classname=\"site ^0x2f|&lt;&amp;&quot;&gt;\""), "{xml}");

    let sarif: Value = serde_json::from_str(&fs::read_to_string(sarif).unwrap()).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(
        (results.len(), &results[0]["ruleId"], &results[0]["level"]),
        (3, &"allocations".into(), &"error".into())
    );
    let text = fs::read_to_string(markdown).unwrap();
    assert!(text.starts_with("before\n### sample --fast exceeds its budget"), "{text}");
    assert!(text.contains("| site ^0x2f\\|&lt;&amp;\">: allocations | 52 | 50 | EXCEEDED"), "{text}");
}

#[test]
fn what_cannot_be_checked_has_an_exit_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let traces = [synthetic(&path("trace.mpt"), [1, 1])];
    let budget = path("b.toml");
    for (text, expected) in [
        ("version = 2\n[total]\nbytes = 1\n", "knows version 1"),
        ("version = 1\n", "no limits"),
        ("version = 1\n[total]\nseconds = 1\n", "unknown variant `seconds`"),
        ("version = 1\n[total]\nbytes = \"many\"\n", "invalid type"),
        ("version = 1\n[[site]]\nbytes = 1\n", "needs `function` or `site`"),
        ("version = 1\n[[site]]\nsite = \"(\"\nbytes = 1\n", "unclosed group"),
    ] {
        fs::write(&budget, text).unwrap();
        let complaint = refusal_with(2, check(&traces, &["--budget", budget.to_str().unwrap()]));
        assert!(complaint.contains(expected), "{complaint}");
    }
    let missing =
        refusal_with(2, check(&[path("none.mpt")], &["--write-budget", path("n").to_str().unwrap()]));
    assert!(missing.contains("none.mpt"), "{missing}");
    assert!(!path("n").exists());
    let there = refusal_with(2, check(&traces, &["--write-budget", budget.to_str().unwrap()]));
    assert!(there.contains("--force"), "{there}");
    for options in [&[][..], &["--budget"], &["--budget", "x", "--tolerance", "1"], &["--tolerance", "x"]] {
        assert_eq!(check(&traces, options).status.code(), Some(2), "{options:?}");
    }
}
