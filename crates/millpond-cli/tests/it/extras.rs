//! Completions, man pages and benchmarks.

use std::{fs, process::Command};

use crate::support::{millpond, refusal, skipped, stdout};

#[test]
fn completions_know_commands_and_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(millpond().args(["completions", shell]).output().unwrap());
        for word in ["anonymize", "free-stacks", "write-budget"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("millpond");
    fs::write(&script, stdout(millpond().args(["completions", "bash"]).output().unwrap())).unwrap();
    let asked = "source \"$1\"; COMP_WORDS=(millpond rec); COMP_CWORD=1; _millpond millpond rec millpond; \
                 echo \"${COMPREPLY[@]}\"";
    match Command::new("bash").args(["-c", asked, "bash"]).arg(&script).output() {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "record recover"),
        Err(_) => skipped("completions in bash", "bash is not there"),
    }
}

#[test]
fn each_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    let write = || millpond().arg("man").arg(&pages).output().unwrap();
    stdout(write());
    assert!(refusal(write()).contains("the file is there already"));
    let help = stdout(millpond().arg("--help").output().unwrap());
    let list =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Descriptions continue on lines that are indented more.
    let names =
        list.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let mut count = 0;
    for command in names.filter(|name| *name != "help") {
        let page = fs::read_to_string(pages.join(format!("millpond-{command}.1"))).unwrap();
        assert!(
            page.contains(&format!(".TH millpond-{command} 1")) && page.contains(".SH OPTIONS"),
            "{page}"
        );
        count += 1;
    }
    assert!(count > 10, "{help}");
    assert!(fs::read_to_string(pages.join("millpond.1")).unwrap().contains("millpond\\-record(1)"));
}

#[test]
fn benchmarks_need_the_sources() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        millpond().current_dir(&folder).env("CARGO", "false").arg("bench").args(arguments).output().unwrap()
    };
    assert!(refusal(run(&[])).contains("in a checkout of them"));
    assert!(refusal(run(&["--sources", "/"])).contains("is not a checkout"));
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    assert!(refusal(run(&["--sources", sources, "blocks"])).contains("the benchmarks failed"));
    let output =
        millpond().current_dir(sources).env("CARGO", "echo").args(["bench", "blocks"]).output().unwrap();
    assert_eq!(stdout(output), "xtask bench blocks\n");
}
