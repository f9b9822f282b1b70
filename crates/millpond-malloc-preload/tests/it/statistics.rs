//! Statistics in each form, and the functions of `millpond_malloc.h`.

use std::path::PathBuf;

use crate::preload::{MODES, compile, library, preloaded, succeed};

/// Compiles a program that is linked to the library.
fn linked() -> PathBuf {
    let include = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include");
    compile("statistics", &[include, &library().display().to_string()])
}

fn stdout(program: &PathBuf, mode: &str, arguments: &[&str]) -> String {
    let output = succeed(preloaded(program, mode).args(arguments));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn each_form_can_be_read() {
    let program = linked();
    for mode in MODES {
        let json = stdout(&program, mode, &["write", "json"]);
        assert!(json.starts_with(&format!("{{\"mode\":\"{mode}\",\"mapped\":")), "{json}");
        assert!(json.ends_with("}]}\n") && json.contains("{\"size\":112,\"used\":16384,\"free\":"), "{json}");
        let metrics = stdout(&program, mode, &["write", "prometheus"]);
        assert!(metrics.contains("\nmillpond_malloc_class_used_bytes{size=\"112\"} 16384\n"), "{metrics}");
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            assert!(name.starts_with("millpond_malloc_") && value.parse::<u64>().is_ok(), "{line}");
        }
        assert!(stdout(&program, mode, &["write", "text"]).contains("     112         16384"));
        stdout(&program, mode, &["refused"]);
    }
}

#[test]
fn statistics_are_written_at_the_end() {
    let program = linked();
    let output =
        succeed(preloaded(&program, "fast").args(["write", "text"]).env("MILLPOND_MALLOC_STATS", "json"));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("{\"mode\":\"fast\""));
}

#[test]
fn unknown_settings_are_reported() {
    for (name, value) in [
        ("MILLPOND_MALLOC", "fastest"),
        ("MILLPOND_MALLOC_DECAY_MS", "soon"),
        ("MILLPOND_MALLOC_HUGE_PAGES", "1"),
        ("MILLPOND_MALLOC_STATS", "yaml"),
    ] {
        let output = succeed(preloaded("/bin/echo", "checked").env(name, value));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.starts_with(&format!("millpond-malloc: {name} must be ")), "{errors}");
        let fine = succeed(preloaded("/bin/echo", "checked").env(name, ""));
        assert!(fine.stderr.is_empty());
    }
}

#[test]
fn trim_reaches_threads_that_sleep() {
    let program = linked();
    for mode in MODES {
        let line = stdout(&program, mode, &["idle"]);
        let (before, after) = line.trim().split_once(' ').expect("two numbers");
        let [before, after] = [before, after].map(|number| number.parse::<u64>().expect("a number"));
        // The arrays in use of each thread stay. In the hardened modes their blocks are at random places, so more spans
        // keep some: without the spare arrays of other threads, 96 % or more would stay. In the mode `full` the quarantines
        // stay, too.
        let most = match mode {
            "full" => before - 1,
            "light" => before * 19 / 20,
            _ => before * 9 / 10,
        };
        assert!(after < most, "{mode}: {before} bytes were in use, {after} are");
    }
}
