//! Recordings that `millpond` could not complete.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Output, Stdio},
};

use millpond_trace::Ending;

use super::{Workshop, told};
use crate::support::{millpond, refusal};

/// Runs `millpond recover` on a directory.
fn recover(workshop: &Workshop, directory: &str, options: &[&str]) -> Output {
    let mut command = millpond();
    command.arg("recover").arg(directory).arg("-o").arg(workshop.path("out.mpt")).args(options);
    command.output().unwrap()
}

/// The directory of the only recording.
fn directory(workshop: &Workshop) -> PathBuf {
    let files: Vec<_> =
        fs::read_dir(workshop.path("tmp")).unwrap().map(|file| file.unwrap().path()).collect();
    let [directory] = &files[..] else { panic!("{files:?}") };
    directory.clone()
}

#[test]
fn killed_millpond_loses_nothing() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("churn", &[]) else { return };
    let script = "\"$0\" 30000; \"$0\" 20; echo $$; read nothing";
    let mut command = workshop.recorder();
    command.args(["--", "sh", "-c", script]).arg(&program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let shell: u32 = line.trim().parse().unwrap();
    let directory = directory(&workshop);
    let live = fs::read_link(directory.join("live")).unwrap();
    let private = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0;
    for file in fs::read_dir(&directory).unwrap().chain(fs::read_dir(&live).unwrap()) {
        let path = file.unwrap().path();
        assert!(path.ends_with("live") || private(&path), "{}", path.display());
    }
    let name = directory.to_string_lossy();
    assert!(refusal(recover(&workshop, &name, &[])).contains("is being recorded"));
    child.kill().unwrap();
    child.wait().unwrap();

    let output = recover(&workshop, &name, &[]);
    let text = told(&output);
    assert!(text.contains(" of churn, process ") && text.contains("2 other processes with "), "{text}");
    let trace = workshop.trace();
    assert_eq!((trace.start.process, trace.summary.ending), (shell, Ending::Cut));
    let mut others: Vec<_> = workshop.others().iter().map(|other| other.summary.allocations).collect();
    others.sort_unstable();
    assert_eq!(others, [20, 30_000]);
    assert!(workshop.others().iter().all(|other| other.summary.ending == Ending::Exited));
    assert!(!directory.exists() && !live.exists());
    assert!(refusal(recover(&workshop, &name, &["--force"])).contains("No such file"));
}

#[test]
fn full_disk_keeps_the_recording_and_says_where() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("churn", &[]) else { return };
    let mut command = millpond();
    command.env("TMPDIR", workshop.path("tmp")).env("XDG_CACHE_HOME", workshop.path("cache"));
    command.args(["record", "-o", "/dev/full", "--"]).arg(&program).arg("5000");
    let text = refusal(command.output().unwrap());
    assert!(text.contains("/dev/full") && text.contains("No space left"), "{text}");
    let directory = directory(&workshop);
    let advice = format!("`millpond recover {} -o FILE`", directory.display());
    assert!(text.contains(&advice), "{text}");
    told(&recover(&workshop, &directory.to_string_lossy(), &[]));
    let trace = workshop.trace();
    assert_eq!((trace.summary.allocations, trace.summary.ending), (5000, Ending::Exited));
    trace.assert_exact();
    assert!(!directory.exists());
}
