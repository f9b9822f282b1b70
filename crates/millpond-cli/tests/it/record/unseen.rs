//! Programs that are hard to record, or cannot be recorded completely: they are not harmed, the report says what is
//! missing, and there is no verdict if anything is.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use millpond_trace::Ending;

use super::{Trace, Workshop, told};
use crate::support::{millpond, refusal, skipped};

/// Runs `millpond try` on a program.
fn tried(workshop: &Workshop, program: &Path, arguments: &[&str]) -> Output {
    let mut command = millpond();
    command.args(["try", "--rounds", "1", "--"]).arg(program).args(arguments);
    command.env("TMPDIR", workshop.path("tmp")).env("XDG_CACHE_HOME", workshop.path("cache"));
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Records a program that takes something away from itself, and then allocates `count` blocks in that state. It must
/// end as it does alone, and all of them must be in the trace.
fn records_all(workshop: &Workshop, program: &Path, arguments: &[&str], count: usize, ending: Ending) {
    let alone = Command::new(program).args(arguments).output().unwrap();
    if alone.status.code() != Some(3) {
        return skipped(&format!("{arguments:?}"), "the program may not do that here");
    }
    let recorded = workshop.record(program, arguments);
    let told = text(&recorded);
    assert_eq!((recorded.status.code(), &recorded.stdout), (Some(3), &alone.stdout), "{arguments:?}: {told}");
    assert!(!told.contains("not complete") && !told.contains("not be recorded"), "{told}");
    let trace = workshop.trace();
    assert_eq!((trace.made(1), trace.made(607), trace.freed(607)), (1, count, count), "{arguments:?}");
    assert_eq!((trace.summary.ending, trace.summary.stopped.as_str()), (ending, ""), "{arguments:?}");
    assert!(trace.events.is_sorted_by_key(|event| event.time));
    trace.assert_exact();
}

#[test]
fn sandboxes_do_not_kill_the_program_and_hide_nothing() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("confined", &[]) else { return };
    for (mode, count, ending) in [
        ("kill", 400_000, Ending::Exited),
        ("error", 200_000, Ending::Exited),
        ("syscall", 200_000, Ending::Exited),
        ("few", 20, Ending::Exited),
        ("refused", 200_000, Ending::Exited),
        ("clock", 200_000, Ending::Exited),
        ("strict", 200_000, Ending::Cut),
    ] {
        records_all(&workshop, &program, &[mode], count, ending);
    }
}

#[test]
fn changed_rights_or_root_hide_nothing() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("confined", &[]) else { return };
    let root = workshop.path("tmp");
    records_all(&workshop, &program, &["user"], 400_000, Ending::Exited);
    records_all(&workshop, &program, &["root", &root.to_string_lossy()], 400_000, Ending::Exited);
    let tried = tried(&workshop, &program, &["user"]);
    assert!(tried.status.code() == Some(3) && !text(&tried).contains("no verdict"), "{}", text(&tried));
}

#[test]
fn children_in_a_sandbox_are_recorded() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("confined", &[]) else { return };
    for (mode, count) in [("fork", 200_000), ("clock", 400_000)] {
        let output = workshop.record(&program, &[mode]);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        let others: Vec<_> = workshop.others();
        let made: usize = others.iter().map(|child| child.made(607)).sum();
        assert_eq!(made, count - workshop.trace().made(607), "{mode}: {}", text(&output));
        others.iter().for_each(Trace::assert_exact);
    }
}

/// Records `passes`, which must end as alone. Returns what was reported.
fn passed_on(workshop: &Workshop, program: &Path, arguments: &[&str]) -> Option<String> {
    let alone = Command::new(program).args(arguments).output().unwrap();
    if alone.status.code() != Some(3) {
        skipped(&format!("{arguments:?}"), "the program may not do that here");
        return None;
    }
    let output = workshop.record(program, arguments);
    let text = text(&output);
    assert_eq!((output.status.code(), &output.stdout), (Some(3), &alone.stdout), "{arguments:?}: {text}");
    assert!(text.lines().all(|line| line.starts_with("millpond: ")), "{arguments:?}: {text}");
    Some(text)
}

#[test]
fn programs_started_in_a_sandbox_or_without_rights_are_recorded() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("passes", &[]) else { return };
    for mode in ["filter", "child", "user", "both"] {
        let Some(text) = passed_on(&workshop, &program, &[mode]) else { continue };
        assert!(!text.contains("not be recorded") && !text.contains("not recorded"), "{mode}: {text}");
        let traces = workshop.traces();
        for size in [607, 608] {
            let trace = traces.iter().find(|trace| trace.made(size) > 0);
            let trace = trace.unwrap_or_else(|| panic!("{mode}: {text}"));
            assert_eq!((trace.made(size), trace.freed(size)), (20_000, 20_000), "{mode}");
            assert_eq!(trace.start.arguments[1], "work", "{mode}");
            let served_by = &trace.summary.served_by;
            assert!(served_by.contains("libc.so"), "{mode}: {served_by}");
            let stack = trace.stack_of(size);
            // The name of a program that a process in a sandbox became by its descriptor is not known.
            let module = if mode == "both" { "" } else { program.to_str().unwrap() };
            assert!(stack.len() > 3 && stack[1].2 == module, "{mode}: {stack:x?}");
            trace.assert_exact();
        }
    }
}

#[test]
fn programs_of_other_users_are_recorded_whatever_starts_them() {
    let workshop = Workshop::new();
    for starter in [
        &["setpriv", "--reuid=65534", "--clear-groups"][..],
        &["chroot", "--userspec=65534:65534", "/"],
        &["runuser", "-u", "nobody", "--"],
    ] {
        let alone = Command::new(starter[0]).args(&starter[1..]).args(["/bin/ls", "/"]).output();
        let Some(alone) = alone.ok().filter(|output| output.status.success()) else {
            skipped(starter[0], "it may not start a program as another user here");
            continue;
        };
        let output = workshop.record(starter[0].as_ref(), &[&starter[1..], &["/bin/ls", "/"]].concat());
        assert_eq!((told(&output).contains("not recorded"), &output.stdout), (false, &alone.stdout));
        let found = workshop.traces().iter().any(|trace| trace.start.program.ends_with("/ls"));
        assert!(found, "{starter:?}: {}", text(&output));
    }
}

#[test]
fn programs_that_inherit_nothing_are_counted() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("passes", &[]) else { return };
    let reason = "which was started in a sandbox (seccomp), without its former rights or in another";
    if let Some(text) = passed_on(&workshop, &program, &["lost"]) {
        assert!(text.contains("not recorded: ") && text.contains(reason), "{text}");
    }
    // In a root directory without /proc, the recorder cannot be loaded, and the dynamic linker does not complain.
    let root = workshop.path("root");
    for file in needed_by(&program).iter().chain([&program]) {
        let copy = root.join(file.strip_prefix("/").unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
    if let Some(text) = passed_on(&workshop, &program, &["root", &root.to_string_lossy()]) {
        assert!(text.contains("not recorded: ") && text.contains(reason), "{text}");
    }
}

/// Returns the dynamic linker and the libraries that a program needs.
fn needed_by(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

#[test]
fn cleared_environment_does_not_end_the_recording() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("churn", &[]) else { return };
    let program = program.to_string_lossy();
    for prefix in [
        &["env", "-i"][..],
        &["env", "-u", "LD_PRELOAD"],
        &["sh", "-c", "unset LD_PRELOAD; exec \"$@\"", "sh"],
    ] {
        let output = workshop.record(prefix[0].as_ref(), &[&prefix[1..], &[&program, "3000"]].concat());
        assert_eq!(output.status.code(), Some(5), "{}", text(&output));
        assert_eq!(workshop.trace().start.program, program, "{prefix:?}");
        assert_eq!(workshop.trace().summary.allocations, 3000, "{prefix:?}");
    }
    let script = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:], env={}).returncode)";
    let python = Path::new("/usr/bin/python3");
    if !python.exists() {
        return skipped("a child of python3 without environment", "there is no /usr/bin/python3");
    }
    let output =
        workshop.record_with(&["--process", "churn"], python, &["-S", "-c", script, &program, "3000"]);
    assert_eq!(
        (output.status.code(), workshop.trace().summary.allocations),
        (Some(5), 3000),
        "{}",
        text(&output)
    );
}

#[test]
fn children_are_recorded_with_every_start_function() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("starts", &[]) else { return };
    for way in [
        "execl",
        "execlp",
        "execle",
        "execv",
        "execve",
        "execvp",
        "execvpe",
        "fexecve",
        "execveat",
        "posix_spawn",
        "posix_spawnp",
        "system",
        "popen",
    ] {
        let alone = Command::new(&program).arg(way).output().unwrap();
        assert_eq!(alone.status.code(), Some(4), "{way}");
        let output = workshop.record(&program, &[way]);
        assert_eq!(output.status.code(), Some(4), "{way}: {}", text(&output));
        let traces = workshop.others().into_iter().chain([workshop.trace()]);
        let children: Vec<_> = traces.filter(|trace| trace.made(777) > 0).collect();
        assert_eq!(children.iter().map(|child| child.made(777)).collect::<Vec<_>>(), [30], "{way}");
        assert_eq!(children[0].start.arguments.len(), 11, "{way}");
        assert!(!text(&output).contains("not recorded"), "{way}: {}", text(&output));
    }
}

#[test]
fn shells_with_another_environment_are_reported() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("starts", &[]) else { return };
    for way in ["system", "popen"] {
        let output = workshop.record(&program, &[way, "other"]);
        assert_eq!(output.status.code(), Some(4), "{way}: {}", text(&output));
        let told = text(&output);
        assert!(
            told.contains("not recorded: /bin/sh (a child), which did not load the recorder"),
            "{way}: {told}"
        );
    }
}

#[test]
fn programs_that_escape_are_reported() {
    let workshop = Workshop::new();
    let Some(escapee) = workshop.compile("nothing", &["-static"]) else { return };
    let escapee = escapee.to_string_lossy();
    let run = |script: &str| workshop.record("/bin/sh".as_ref(), &["-c", script, &escapee]);

    let output = run("exec \"$0\"");
    let told_of = refusal(output);
    assert!(told_of.contains(&format!("sh became {escapee}, which is statically linked")), "{told_of}");
    fs::remove_file(workshop.path("out.mpt")).unwrap_err();
    let output = tried(&workshop, "/bin/sh".as_ref(), &["-c", "exec \"$0\"", &escapee]);
    assert!(refusal(output).contains("statically linked"), "the shell is not judged in its place");

    let told_of = told(&run("\"$0\"; true"));
    assert!(told_of.contains(&format!("not recorded: {escapee} (process ")), "{told_of}");
    let told_of = told(&run("LD_PRELOAD= sort /dev/null; true"));
    assert!(told_of.contains("sort (process ") && told_of.contains("did not load the recorder"), "{told_of}");
    let told_of = told(&run("/nowhere/program 2> /dev/null; true"));
    assert!(!told_of.contains("not recorded"), "{told_of}");

    fs::set_permissions(&*escapee, fs::Permissions::from_mode(0o4755)).unwrap();
    if std::os::unix::fs::chown(&*escapee, Some(1), Some(1)).is_err() {
        return skipped("a child with other rights", "only root can make one");
    }
    fs::set_permissions(&*escapee, fs::Permissions::from_mode(0o4755)).unwrap();
    let told_of = told(&run("\"$0\"; true"));
    assert!(
        told_of.contains(&format!("not recorded: {escapee} ")) && told_of.contains("more rights"),
        "{told_of}"
    );
}

#[test]
fn limits_and_signals_are_reported() {
    let workshop = Workshop::new();
    let output = workshop.record("/bin/sh".as_ref(), &["-c", "kill -XFSZ $$"]);
    assert_eq!(output.status.code(), Some(128 + libc::SIGXFSZ));
    let told = text(&output);
    assert!(told.contains("signal 25 (SIGXFSZ) ended ") && told.contains("ulimit -f"), "{told}");
    // With this limit, the recorder can create no files for the program that the shell becomes, but it has the reserve.
    let script = "ulimit -f 1; exec head -c 5000 /dev/zero > \"$0\"";
    let output =
        workshop.record("/bin/sh".as_ref(), &["-c", script, &workshop.path("file").to_string_lossy()]);
    assert_eq!(output.status.code(), Some(128 + libc::SIGXFSZ));
    let told = text(&output);
    assert!(told.contains(" of head, ") && told.contains("signal 25 (SIGXFSZ) ended"), "{told}");
    assert!(!told.contains("not recorded") && !told.contains("not complete"), "{told}");
}

/// Compiles `news.cc`; `None`, with a message, if that is impossible here.
fn compile_news(workshop: &Workshop, name: &str, options: &[&str]) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/news.cc");
    let program = workshop.path(name);
    let output = Command::new("c++").args(["-O0", "-o"]).arg(&program).arg(source).args(options).output();
    match output {
        Ok(output) if output.status.success() => Some(program),
        _ => {
            skipped(name, &format!("c++ cannot make it with {options:?}"));
            None
        }
    }
}

#[test]
fn other_allocators_are_recognised() {
    let workshop = Workshop::new();
    let Some(plain) = compile_news(&workshop, "plain", &[]) else { return };
    let report = text(&tried(&workshop, &plain, &[]));
    assert!(report.contains("\n glibc ") && !report.contains("does not use glibc's allocator"), "{report}");
    assert!(workshop.record(&plain, &[]).status.success() && workshop.trace().summary.allocator.is_empty());
    for library in ["jemalloc", "tcmalloc_minimal", "mimalloc"] {
        let option = format!("-l{library}");
        let options = ["-Wl,--no-as-needed", &option];
        let Some(program) = compile_news(&workshop, library, &options) else { continue };
        let output = workshop.record(&program, &[]);
        let found = workshop.trace().summary.allocator;
        assert!(told(&output).contains(&format!("not by glibc's allocator but by {found}")));
        assert!(found.starts_with(&format!("that of lib{library}.so")), "{found}");
        let report = text(&tried(&workshop, &program, &[]));
        assert!(report.contains(&format!("\n lib{library}.so")) && !report.contains("\n glibc "), "{report}");
        // The same library, for a program that is not linked with it.
        let file = fs::read_dir("/usr/lib/x86_64-linux-gnu").into_iter().flatten().flatten();
        let file = file
            .map(|file| file.path())
            .find(|path| path.to_string_lossy().contains(&format!("lib{library}.so.")));
        let Some(file) = file else { continue };
        let output = workshop.recorder().env("LD_PRELOAD", file).arg("--").arg(&plain).output().unwrap();
        assert!(output.status.success());
        let found = workshop.trace().summary.allocator;
        assert!(found.starts_with(&format!("that of lib{library}.so")), "{found}");
    }
    let whole = ["-Wl,--whole-archive,-l:libjemalloc.a,--no-whole-archive", "-pthread", "-ldl"];
    let Some(program) = compile_news(&workshop, "static", &whole) else { return };
    let refused = refusal(workshop.record(&program, &[]));
    assert!(refused.contains("brings its own allocator (jemalloc"), "{refused}");
}
