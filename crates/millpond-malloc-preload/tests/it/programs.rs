//! Real programs, those of them that are installed.

use std::process::Command;

use crate::preload::{MODES, preloaded, succeed};

/// Programs and arguments whose output does not depend on the allocator.
const PROGRAMS: [(&str, &[&str]); 11] = [
    ("bash", &["-c", "for i in $(seq 2000); do x=$x$i; done; echo ${#x}"]),
    (
        "perl",
        &[
            "-e",
            "my %h; $h{$_ % 5000} .= $_ for 1..100000; print length join '', map { $h{$_} } sort keys %h",
        ],
    ),
    ("python3", &["-c", "import json; print(len(json.dumps({str(i): [i] * 10 for i in range(20000)})))"]),
    ("git", &["--no-pager", "log", "--oneline", "-20"]),
    ("gcc", &["-x", "c", "-fsyntax-only", "/dev/null"]),
    ("g++", &["-x", "c++", "-include", "map", "-fsyntax-only", "/dev/null"]),
    ("node", &["-e", "console.log([...Array(100000).keys()].map(String).join('').length)"]),
    ("jq", &["-n", "[range(50000) | {a: ., b: tostring}] | length"]),
    (
        "sqlite3",
        &[
            ":memory:",
            "create table t(a); with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) insert into t select i from n; select sum(a) from t",
        ],
    ),
    ("lua5.4", &["-e", "local t = {} for i = 1, 100000 do t[i] = {i} end print(#t)"]),
    ("gawk", &["BEGIN { for (i = 0; i < 100000; i++) a[i] = i \"\"; print length(a) }"]),
];

#[test]
fn real_programs_do_the_same() {
    let mut missing = Vec::new();
    for (program, arguments) in PROGRAMS {
        let Ok(expected) = Command::new(program).args(arguments).output() else {
            missing.push(program);
            continue;
        };
        for mode in MODES {
            let output = succeed(preloaded(program, mode).env("PYTHONMALLOC", "malloc").args(arguments));
            assert_eq!(output.stdout, expected.stdout, "{program}");
            assert!(output.stderr.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    if !missing.is_empty() {
        eprintln!("not installed, so not tried: {missing:?}");
    }
}
