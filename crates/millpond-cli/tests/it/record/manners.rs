//! A program behaves in the same way when it is recorded.

use std::{
    io::Write,
    os::unix::process::ExitStatusExt,
    process::{Command, Output, Stdio},
};

use millpond_trace::Ending;

use super::{Workshop, told};
use crate::support::skipped;

#[test]
fn input_output_and_exit_code_are_unchanged() {
    let workshop = Workshop::new();
    let script = "tr a-z A-Z; echo error >&2; echo done; exit 7";
    let run = |mut command: Command| {
        command.args(["sh", "-c", script]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"words\n").unwrap();
        child.wait_with_output().unwrap()
    };
    let plain = run(Command::new("env"));
    let mut command = workshop.recorder();
    command.arg("--");
    let recorded = run(command);
    assert_eq!((recorded.status, &recorded.stdout), (plain.status, &plain.stdout));
    assert_eq!(recorded.status.code(), Some(7));
    let text = String::from_utf8(recorded.stderr).unwrap();
    let (own, others): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("millpond: "));
    assert_eq!(others, ["error"]);
    assert!(own[0].contains("recorded") && own[0].contains(" events ("), "{own:?}");
}

#[test]
fn program_may_close_all_files() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("closes", &[]) else { return };
    told(&workshop.record(&program, &[]));
    let trace = workshop.trace();
    assert_eq!((trace.made(601), trace.freed(601)), (100_000, 100_000));
    trace.assert_exact();
}

#[test]
fn preloaded_library_still_works() {
    let workshop = Workshop::new();
    let Some(library) = workshop.compile("wrapper", &["-shared", "-fPIC"]) else { return };
    let Some(program) = workshop.compile("wrapped", &[]) else { return };
    let output = workshop.recorder().env("LD_PRELOAD", &library).arg("--").arg(&program).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).matches("wrapper here\n").count(),
        2,
        "in millpond and in it"
    );
    told(&output);
    let trace = workshop.trace();
    assert_eq!(trace.made(1234), 30);
    trace.assert_exact();
}

#[test]
fn recording_ends_at_the_size_limit() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("closes", &[]) else { return };
    let output = workshop.recorder().args(["--max-size", "640KiB", "--"]).arg(&program).output().unwrap();
    let text = told(&output);
    assert!(
        text.contains("not complete") && text.contains("640 KiB") && text.contains("--max-size"),
        "{text}"
    );
    let trace = workshop.trace();
    assert_eq!(trace.summary.ending, Ending::Full);
    // Ten units written out and one window, of at most 4,092 events each.
    let events = trace.summary.events;
    assert!((10 * 4000..=11 * 4092).contains(&events), "{events}");
    trace.assert_exact();
}

#[test]
fn file_size_limit_does_not_end_the_recording() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("limited", &[]) else { return };
    for count in [100, 100_000] {
        let text = told(&workshop.record(&program, &[&count.to_string()]));
        assert!(!text.contains("not complete"), "{text}");
        assert_eq!((workshop.trace().made(603), workshop.trace().summary.ending), (count, Ending::Exited));
        workshop.trace().assert_exact();
    }
}

/// Records `closes` with file systems of these sizes for shared memory and for temporary files; `None`, with a message, if
/// that cannot be done here.
fn record_in_small_file_systems(workshop: &Workshop, shared: &str, temporary: &str) -> Option<Output> {
    let program = workshop.compile("closes", &[])?;
    let recorder = workshop.recorder();
    let script = "mount -t tmpfs -o size=$0 tmpfs /dev/shm && mount -t tmpfs -o size=$1 tmpfs \"$TMPDIR\" || exit 99; \
                  shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, shared, temporary]);
    command.arg(recorder.get_program()).args(recorder.get_args()).arg("--").arg(&program);
    command.envs(recorder.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    if text.contains("millpond: ") {
        return Some(output);
    }
    skipped("full file systems", &format!("only root can put another in place of /dev/shm: {text}"));
    None
}

#[test]
fn full_shared_memory_is_replaced_by_the_disk() {
    let workshop = Workshop::new();
    for shared in ["4K", "64K"] {
        let Some(output) = record_in_small_file_systems(&workshop, shared, "64M") else { return };
        let text = told(&output);
        assert!(!text.contains("not complete"), "{text}");
        let trace = workshop.trace();
        assert_eq!((trace.made(601), trace.start.program.ends_with("/closes")), (100_000, true));
        trace.assert_exact();
    }
}

#[test]
fn full_disk_ends_the_recording_only() {
    let workshop = Workshop::new();
    let Some(output) = record_in_small_file_systems(&workshop, "64K", "2M") else { return };
    let text = told(&output);
    assert!(text.contains("No space left on device") || text.contains("--max-size"), "{text}");
    let trace = workshop.trace();
    assert_eq!(trace.summary.ending, Ending::Full);
    assert!((1000..100_000).contains(&trace.made(601)), "{}", trace.made(601));
    trace.assert_exact();
}

#[test]
fn no_room_for_any_file_leaves_the_program_alone() {
    let workshop = Workshop::new();
    let Some(output) = record_in_small_file_systems(&workshop, "4K", "64K") else { return };
    let text = crate::support::refusal(output);
    assert!(text.contains("no files could be made"), "{text}");
}

#[test]
fn signals_are_passed_on_and_the_trace_is_written() {
    let workshop = Workshop::new();
    let script = "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let mut command = workshop.recorder();
    command.args(["--", "sh", "-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    // SAFETY: the child has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"caught\n");
    assert_eq!(output.status.code(), Some(5));
    assert!(workshop.trace().summary.events > 0);
}

#[test]
fn exit_code_after_a_signal_is_that_of_a_shell() {
    let workshop = Workshop::new();
    let output = workshop.record("/bin/sh".as_ref(), &["-c", "kill -TERM $$"]);
    assert_eq!((output.status.code(), output.status.signal()), (Some(128 + libc::SIGTERM), None));
}
