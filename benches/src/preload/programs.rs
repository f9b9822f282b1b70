//! Real programs and their work.

use std::{
    fs,
    path::Path,
    process::{Command as Process, Stdio},
};

use super::run::Command;

/// A script for each program, and the words to call it: `{folder}` is the folder of its files.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("jq", &["jq", "group_by(.b) | map({b: .[0].b, n: length, s: (map(.a) | add)})", "{folder}/rows.json"]),
    (
        "perl",
        &[
            "perl",
            "-e",
            "for (1..12) { my %h; for my $i (1..60000) { push @{$h{$i % 5000}}, { n => $i, s => \"s$i\" } } \
             my $n = 0; $n += @{$h{$_}} for keys %h; }",
        ],
    ),
    (
        "python3",
        &[
            "python3",
            "-c",
            "import json\nd = [{'a': i, 'b': str(i), 'c': [i, i + 1]} for i in range(60000)]\nfor _ in range(4): d = \
             json.loads(json.dumps(d))",
        ],
    ),
    (
        "sqlite3",
        &[
            "sqlite3",
            ":memory:",
            "create table t(a integer, b text); with recursive n(i) as (select 1 union all select i + 1 from n where i < \
             300000) insert into t select i, 'text ' || (i * 7919 % 10007) from n; create index x on t(b); select count(*), \
             sum(length(b)) from (select b, group_concat(a) as g from t group by b);",
        ],
    ),
    (
        "lua",
        &[
            "lua5.4",
            "-e",
            "for r = 1, 10 do local t = {} for i = 1, 100000 do t[i] = {i, tostring(i)} end local n = 0 for _, v in \
             ipairs(t) do n = n + #v[2] end end",
        ],
    ),
    (
        "gawk",
        &[
            "gawk",
            "BEGIN { for (r = 0; r < 4; r++) { for (i = 0; i < 150000; i++) a[i \"x\"] = i \" \" r; n = 0; for (k in a) n += \
             length(a[k]); delete a } }",
        ],
    ),
    ("git", &["git", "-C", "{folder}/repository", "log", "--stat", "--format=%H %s"]),
    ("cc1plus", &["{cc1plus}", "-quiet", "-O1", "{folder}/program.cc", "-o", "/dev/null"]),
];

const PROGRAM: &str = "#include <map>\n#include <regex>\n#include <string>\n#include <vector>\nint main() { \
                       std::map<std::string, std::vector<int>> m; m[\"a\"].push_back(1); return \
                       std::regex_match(\"a\", std::regex(\"[a-z]+\")) ? 0 : 1; }\n";

/// Returns the commands whose programs are installed, after their files are made.
pub fn programs(folder: &Path) -> Vec<Command> {
    let rows: Vec<String> =
        (0..150_000).map(|i| format!("{{\"a\":{i},\"b\":\"key {}\"}}", i * 7919 % 1009)).collect();
    let written = fs::write(folder.join("rows.json"), format!("[{}]", rows.join(",")))
        .and_then(|()| fs::write(folder.join("program.cc"), PROGRAM));
    if let Err(error) = written {
        eprintln!("skipped: the programs, because {} cannot be written to: {error}", folder.display());
        return Vec::new();
    }
    make_repository(&folder.join("repository"));
    let cc1plus = output("g++", &["-print-prog-name=cc1plus"]);
    let command = |(title, words): &(&str, &[&str])| {
        let place = |word: &&str| {
            word.replace("{folder}", &folder.display().to_string()).replace("{cc1plus}", cc1plus.trim())
        };
        let words: Vec<String> = words.iter().map(place).collect();
        let is_there = Process::new(&words[0]).arg("--version").stdin(Stdio::null()).output().is_ok();
        if !is_there {
            eprintln!("skipped: {title}, which is not installed");
        }
        is_there.then(|| Command::new(*title, words))
    };
    PROGRAMS.iter().filter_map(command).collect()
}

/// Makes a repository with some history. Without git, nothing is made, and git is not measured.
fn make_repository(folder: &Path) {
    let script = "git init -q . && for i in $(seq 150); do for f in a b c d; do seq $i $((i * 3)) > $f$((i % 9)); done; git add . \
                  && git -c user.name=x -c user.email=x@x commit -qm \"change $i\"; done";
    if fs::create_dir_all(folder).is_ok() {
        let made = Process::new("sh").args(["-c", script]).current_dir(folder).stderr(Stdio::null()).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("the repository for git could not be made");
        }
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Process::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
