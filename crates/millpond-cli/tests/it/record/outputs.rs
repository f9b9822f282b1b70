//! Where traces go, which of them are kept, and what happens while they are written.

use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    time::Duration,
};

use millpond_trace::{Archive, Ending, Reader};

use super::{Trace, Workshop, told};
use crate::support::{millpond, refusal};

#[test]
fn existing_file_is_overwritten_with_force_only() {
    let workshop = Workshop::new();
    let path = workshop.path("out.mpt");
    for command in ["record", "try"] {
        fs::write(&path, "precious").unwrap();
        let run = |options: &[&str]| {
            let mut command = millpond_in(&workshop, command);
            command.args(options).arg("-o").arg(&path).args(["--", "sort", "/dev/null"]).output().unwrap()
        };
        let refused = refusal(run(&[]));
        assert!(refused.contains("is there already; --force overwrites it"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert!(run(&["--force"]).status.success());
        assert!(workshop.trace().summary.events > 0);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "for its owner alone");
    }
}

fn millpond_in(workshop: &Workshop, command: &str) -> Command {
    let mut millpond = millpond();
    millpond.arg(command).env("TMPDIR", workshop.path("tmp")).env("XDG_CACHE_HOME", workshop.path("cache"));
    millpond
}

#[test]
fn trace_on_standard_output_redirects_the_program() {
    let workshop = Workshop::new();
    let mut command = millpond_in(&workshop, "record");
    let output = command.args(["-o", "-", "--", "sh", "-c", "echo words; exit 4"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let reader = Reader::from_bytes(output.stdout).unwrap();
    assert!(reader.summary().events > 0);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("words\n") && text.contains(" sh, process "), "{text}");
    let mut command = millpond_in(&workshop, "record");
    let output = command.args(["-o", "-", "--", "sh", "-c", "sort /dev/null; true"]).output().unwrap();
    assert_eq!(Archive::from_bytes(output.stdout).unwrap().count(), 2);
    let mut command = millpond_in(&workshop, "try");
    let refused = refusal(command.args(["-o", "-", "--", "true"]).output().unwrap());
    assert!(refused.contains("record -o -"), "{refused}");
}

#[test]
fn many_children_leave_one_file_and_one_summary() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("crowd", &[]) else { return };
    let text = told(&workshop.record(&program, &["2000"]));
    assert_eq!(workshop.others().iter().map(|child| child.made(50)).collect::<Vec<_>>(), [100; 2000]);
    assert!(text.contains("2,000 other processes with ") && text.contains(" also in "), "{text}");
    assert!(text.contains("crowd (2,000 processes, "), "{text}");
    assert!(text.lines().count() <= 3, "{text}");
}

#[test]
fn process_is_selected_by_its_own_name() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("churn", &[]) else { return };
    let link = workshop.path("alias");
    std::os::unix::fs::symlink(&program, &link).unwrap();
    let script = format!("{} 10; {} 3000; {} 20; true", link.display(), link.display(), link.display());
    let text = told(&workshop.record_with(&["--process", "alias"], "/bin/sh".as_ref(), &["-c", &script]));
    let largest = Reader::open(workshop.path("out.mpt")).unwrap();
    assert_eq!(largest.summary().allocations, 3000, "the one with the most events");
    let mut made: Vec<_> = workshop.traces().iter().map(|trace| trace.summary.allocations).collect();
    made.sort_unstable();
    assert_eq!(made, [10, 20, 3000], "but all of this name");
    assert!(text.contains(" of alias, process ") && text.contains("alias (2 processes, "), "{text}");
    assert!(text.contains("1 other process with ") && text.contains(" not kept: sh (process "), "{text}");
    assert!(text.contains(&largest.start().process.to_string()));
    let script = "echo $$; exec \"$0\" 50";
    let mut recorder = workshop.recorder();
    let output = recorder.args(["--", "sh", "-c", script]).arg(&link).output().unwrap();
    assert_eq!((output.status.code(), workshop.trace().summary.allocations), (Some(5), 50));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), workshop.trace().start.process.to_string());

    let output =
        workshop.record_with(&["--process", "tac"], "/bin/sh".as_ref(), &["-c", "sort /dev/null; true"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("tac is not a process of this recording; its processes are sh, sort\n"), "{text}");
    assert_eq!((output.status.code(), workshop.others().len()), (Some(125), 1), "nothing is lost");
}

#[test]
fn signal_during_conversion_keeps_the_rest() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("churn", &[]) else { return };
    // More events than can be converted before the signal comes, except on very fast machines.
    let mut command = workshop.recorder();
    let script = "\"$0\" 1500000; echo";
    command.args(["--process", "churn", "--", "sh", "-c", script]).arg(&program);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut end_of_program = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut end_of_program).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    // SAFETY: the child has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(128 + libc::SIGINT), "{text}");
    let Trace { summary, events, .. } = workshop.trace();
    assert_eq!((summary.ending, events.len() as u64), (Ending::Stopped, summary.events));
    assert_eq!(
        events.last().map(|event| event.time),
        Some(summary.wall_ns),
        "what follows is not in the trace"
    );
    assert!(summary.events > 60_000 && summary.allocations < 1_500_000, "{}", summary.events);
    assert!(text.contains("is not complete: recording stopped because a signal (Ctrl-C)"), "{text}");
}

#[test]
fn interrupted_program_gets_its_signal_and_is_recorded() {
    let workshop = Workshop::new();
    let mut command = workshop.recorder();
    command.args(["--", "sh", "-c", "echo ready; while :; do sleep 0.01; done"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    // SAFETY: the child has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(128 + libc::SIGINT), "{text}");
    assert!(text.contains("signal 2 (SIGINT) ended sh; what it did until then is recorded"), "{text}");
    assert!(workshop.trace().summary.events > 0);
}
