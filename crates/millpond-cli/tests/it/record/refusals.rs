//! A program that cannot be recorded is reported in one line, with the reason and what to do.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::Workshop;
use crate::support::{refusal, refusal_with, skipped};

/// Returns the message about a command that cannot be recorded.
fn refused(workshop: &Workshop, program: impl AsRef<Path>) -> String {
    refused_with(125, workshop, program)
}

/// The same, with the exit code of a program that was not found or cannot be run.
fn refused_with(code: i32, workshop: &Workshop, program: impl AsRef<Path>) -> String {
    let text = refusal_with(code, workshop.record(program.as_ref(), &[]));
    assert!(!workshop.path("out.mpt").exists(), "{text}");
    text
}

#[test]
fn programs_that_cannot_be_run() {
    let workshop = Workshop::new();
    assert!(
        refused_with(127, &workshop, "surely-no-such-program")
            .contains("no program surely-no-such-program in PATH")
    );
    assert!(refused_with(127, &workshop, "./nowhere").contains("cannot run ./nowhere: No such file"));
    assert!(refused_with(126, &workshop, "/").contains("cannot run /: it is a directory"));
    let data = workshop.path("data");
    fs::write(&data, "x").unwrap();
    assert!(refused_with(126, &workshop, &data).contains("not executable; allow it with chmod +x"));
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(refused(&workshop, &data).contains("not a program for this machine"));
    fs::write(&data, "#!/nowhere/interpreter\n").unwrap();
    assert!(refused_with(127, &workshop, &data).contains("/nowhere/interpreter"));
}

#[test]
fn programs_that_cannot_be_preloaded() {
    let workshop = Workshop::new();
    if let Some(program) = workshop.compile("nothing", &["-static"]) {
        let text = refused(&workshop, &program);
        assert!(
            text.contains("nothing is statically linked") && text.contains("Link it dynamically"),
            "{text}"
        );
        let script = workshop.path("script");
        fs::write(&script, format!("#!{}\n", program.display())).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(refused(&workshop, &script).contains("nothing is statically linked"));
    }
    if let Some(program) = workshop.compile("nothing", &["-Wl,--dynamic-linker=/lib/ld64-uClibc.so.1"]) {
        let text = refused(&workshop, &program);
        assert!(text.contains("another C library") && text.contains("ld64-uClibc.so.1"), "{text}");
    }
    if let Some(program) = workshop.compile("nothing", &[]) {
        if std::os::unix::fs::chown(&program, Some(1), Some(1)).is_err() {
            return skipped("a program of another user", "only root can make one");
        }
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
        assert!(refused(&workshop, &program).contains("more rights than its user"));
    }
}

#[test]
fn programs_that_yield_no_events() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("nothing", &[]) else { return };
    let text = super::told(&workshop.record(&program, &[]));
    assert!(text.contains("recorded 0 events (0 allocations) of nothing, "), "{text}");
    assert_eq!(workshop.trace().summary.events, 0);
    std::fs::remove_file(workshop.path("out.mpt")).unwrap();
    let Some(program) = workshop.compile("own", &[]) else { return };
    let text = refused(&workshop, &program);
    assert!(text.contains("brings its own allocator") && text.contains("build it without"), "{text}");
}

#[test]
fn outputs_that_cannot_be_written() {
    let workshop = Workshop::new();
    let marker = workshop.path("marker");
    let record = |output: &Path| {
        let mut command = crate::support::millpond();
        command.arg("record").arg("-o").arg(output).args(["--", "touch"]).arg(&marker);
        refusal(command.output().unwrap())
    };
    assert!(record(&workshop.path("no/where.mpt")).contains("there is no directory"));
    assert!(record(&workshop.path("")).contains("is a directory"));
    assert!(record(Path::new("/proc/out.mpt")).contains("cannot write /proc/out.mpt"));
    assert!(!marker.exists(), "the program was not run in vain");
}

#[test]
fn unusable_temporary_directories() {
    let workshop = Workshop::new();
    let mut command = workshop.recorder();
    let text =
        refusal(command.env("TMPDIR", workshop.path("nowhere")).args(["--", "true"]).output().unwrap());
    assert!(text.contains("set TMPDIR"), "{text}");
}

#[test]
fn invalid_sizes() {
    let workshop = Workshop::new();
    let output = workshop.recorder().args(["--max-size", "much", "--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).contains("such as 500M"));
}
