//! `millpond try --live`: the program itself runs under several allocators.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{millpond, refusal, stdout};

/// Compiles one of the programs of the tests.
fn compile(folder: &Path, name: &str, options: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name);
    let program = folder.join(name).with_extension("bin");
    let compiled = Command::new("cc")
        .args(["-O1", "-fno-builtin", "-Wall", "-Wextra", "-Werror"])
        .args(options)
        .arg("-o")
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(compiled.success(), "{name}");
    program
}

/// Returns `millpond try --live` with all temporary files below a folder.
fn live(folder: &Path) -> Command {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = millpond();
    command.args(["try", "--live"]).env("TMPDIR", temporary).env("XDG_CACHE_HOME", folder.join("cache"));
    command
}

/// Compiles the library, and returns the argument that names it.
fn preload(folder: &Path) -> String {
    let library = compile(folder, "preloaded.c", &["-shared", "-fPIC"]);
    format!("--preload=ours={}", library.display())
}

fn json(output: Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn row<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    report["live"]["timed"].as_array().unwrap().iter().find(|row| row["allocator"] == name)
}

/// Returns a report with every field that there can be.
pub(crate) fn every_field(folder: &Path) -> Value {
    let (program, library) = (compile(folder, "allocates.c", &[]), preload(folder));
    let mut command = live(folder);
    command.args(["--json", "--rounds", "1", &library, "--"]).arg(&program);
    let report = json(command.env("PRELOADED_ABORTS", "1").output().unwrap());
    assert!(row(&report, "ours").is_none(), "{report}");
    let absent = report["live"]["absent"].as_array().unwrap();
    let ours = absent.iter().find(|absent| absent["allocator"] == "ours").unwrap();
    let expected = "allocates.bin was ended by signal 6 under it in round 0; as it is, it exited with 0";
    assert_eq!(ours["why"], expected);
    report
}

#[test]
fn a_preloaded_library_serves_the_program_in_every_round() {
    let folder = tempfile::tempdir().unwrap();
    let (program, library) = (compile(folder.path(), "allocates.c", &[]), preload(folder.path()));
    let log = folder.path().join("log");
    let output = live(folder.path())
        .args(["--json", "--rounds", "5", &library, "--"])
        .arg(program)
        .env("PRELOADED_LOG", &log)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"2494320\n", "only the first run has output");
    let report = json(output);
    assert_eq!(fs::read_to_string(log).unwrap(), "1\n".repeat(6), "five rounds and one that does not count");
    let [own, ours] = ["glibc", "ours"].map(|name| row(&report, name).unwrap());
    assert_eq!((own["runs"].as_array().unwrap().len(), ours["runs"].as_array().unwrap().len()), (10, 5));
    assert!(own["cpu_change"].is_null() && ours["cpu_change"].is_object());
    assert_eq!(ours["peak_change"]["verdict"], "more");
    let more = |row: &Value| row["peak_bytes"]["median"].as_f64().unwrap();
    assert!(more(ours) - more(own) > f64::from(31 << 20), "{report}");
    // A program of this size takes less than the process that runs it would if that were all of millpond.
    assert!(more(own) < f64::from(4 << 20), "{own}");
    assert!(ours["predicted_change"].is_object() != ours["no_prediction"].is_string(), "{ours}");
    assert!(report["replay"]["bound"]["recording_measured"].as_bool().unwrap(), "{report}");
    assert!(fs::read_dir(folder.path().join("tmp")).unwrap().next().is_none());
}

#[test]
fn the_table_follows_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let (program, library) = (compile(folder.path(), "allocates.c", &[]), preload(folder.path()));
    let output = live(folder.path()).args(["--rounds", "1", &library, "--"]).arg(program).output().unwrap();
    assert_eq!(output.stdout, b"2494320\n");
    let text = String::from_utf8(output.stderr).unwrap();
    for expected in [
        "\nallocates.bin itself, timed in 1 round after one that does not count\n",
        " replay predicted ",
        "\n ours ",
        "cannot tell: ",
        "\nNo prediction for ",
        "ours is /",
        "\n5 rounds or more are needed to tell which differences are no chance.\n",
    ] {
        assert!(text.contains(expected), "{expected:?}: {text}");
    }
}

/// In a program at a fixed address that takes the address of `malloc`, others are bound to that address.
#[test]
fn a_program_that_only_takes_the_address_of_malloc_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let cc = |options: &[&str], output: &str, sources: &[&str]| {
        let mut compile = Command::new("cc");
        compile.args(["-O1", "-fno-builtin"]).args(options).arg("-o").arg(path(output));
        assert!(compile.args(sources.iter().map(|name| path(name))).status().unwrap().success());
    };
    let library = "#include <stdlib.h>\nvoid *(*taken(void))(size_t) { return malloc; }\n";
    let program = "#include <stdlib.h>\nvoid *(*taken(void))(size_t);\nint main(void) {\n\
                   void *(*volatile own)(size_t) = malloc;\nfree(own(10));\nreturn own != taken();\n}\n";
    fs::write(path("taken.c"), library).unwrap();
    fs::write(path("main.c"), program).unwrap();
    cc(&["-shared", "-fPIC"], "libtaken.so", &["taken.c"]);
    let place = format!("-Wl,-rpath,{}", folder.path().display());
    cc(&["-no-pie", "-fno-pic", &place], "main", &["main.c", "libtaken.so"]);
    let output =
        live(folder.path()).args(["--json", "--rounds", "1", "--"]).arg(path("main")).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let report = json(output);
    assert!(row(&report, "glibc").is_some(), "{report}");
}

#[test]
fn every_run_reads_the_same_input() {
    let folder = tempfile::tempdir().unwrap();
    // Exits with 7 if the input is complete, with 8 otherwise.
    let script = "if [ \"$(cat | wc -c)\" = 100000 ]; then exit 7; else exit 8; fi";
    let mut process = live(folder.path())
        .args(["--json", "--rounds", "1", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(&[b'x'; 100_000]).unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("standard input is saved in a temporary file first"), "{said}");
    let report = json(output);
    assert_eq!(row(&report, "glibc").unwrap()["runs"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(report["live"]["had_input"], true);
}

#[test]
fn a_program_that_does_not_do_the_same_again_is_not_timed() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("mkdir {}/made", folder.path().display());
    let output = live(folder.path()).args(["--rounds", "1", "--", "sh", "-c", &script]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let expected =
        "millpond: not timed: sh exited with 1 when it ran again, and exited with 0 the first time: ";
    assert!(output.status.success() && text.contains(expected), "{text}");
    let killed =
        live(folder.path()).args(["--rounds", "1", "--", "sh", "-c", "kill -9 $$"]).output().unwrap();
    assert_eq!(killed.status.code(), Some(128 + 9));
    let text = String::from_utf8(killed.stderr).unwrap();
    assert!(text.contains("not timed: sh was ended by signal 9\n"), "{text}");
}

#[test]
fn what_cannot_be_preloaded_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "allocates.c", &[]);
    let tried = |arguments: &[&str]| {
        refusal(live(folder.path()).args(arguments).arg("--").arg(&program).output().unwrap())
    };
    assert!(tried(&["--preload", "x=/etc/passwd"]).contains("x=/etc/passwd: it is not a library"));
    assert!(tried(&["--preload", "x=/nowhere/x.so"]).contains("No such file"));
    let none = compile(folder.path(), "plugin.c", &["-shared", "-fPIC"]);
    assert!(tried(&["--preload", &format!("x={}", none.display())]).contains("it has no function malloc"));
    let fixed = compile(folder.path(), "allocates.c", &["-static"]);
    let fixed = refusal(live(folder.path()).arg("--").arg(fixed).output().unwrap());
    assert!(fixed.contains("allocates.bin is statically linked"), "{fixed}");
    let both = live(folder.path()).args(["--runs", "2", "--", "true"]).output().unwrap();
    assert_eq!(both.status.code(), Some(125));
    let help = stdout(millpond().args(["try", "--help"]).output().unwrap());
    assert!(help.contains("millpond try --live -- ./app data"), "{help}");
}

#[test]
fn nothing_is_left_behind_by_an_interrupted_command() {
    let folder = tempfile::tempdir().unwrap();
    let [first, number] = ["first", "number"].map(|name| folder.path().join(name));
    let (first, number_of) = (first.display(), number.display());
    let script = format!("test -e {first} && echo $$ > {number_of} && exec sleep 1000; touch {first}");
    let mut process = live(folder.path())
        .args(["--rounds", "1", "--", "sh", "-c", &script])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let wait = |condition: &dyn Fn() -> bool, what: &str| {
        let begin = Instant::now();
        while !condition() {
            assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
            sleep(Duration::from_millis(10));
        }
    };
    wait(&|| fs::read_to_string(&number).is_ok_and(|text| text.ends_with('\n')), "the program runs again");
    let running = fs::read_to_string(&number).unwrap();
    let killed = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    assert!(killed.success() && !process.wait().unwrap().success());
    wait(&|| !Path::new("/proc").join(running.trim()).exists(), "the program has ended");
    assert!(fs::read_dir(folder.path().join("tmp")).unwrap().next().is_none());
}
