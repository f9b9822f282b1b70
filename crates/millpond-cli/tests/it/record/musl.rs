//! Programs that are linked dynamically with musl, whose dynamic linker loads the recorder as glibc's does.

use std::path::{Path, PathBuf};

use super::{Workshop, told};
use crate::support::refusal;

/// Compiles a program with musl; `None`, with a message, if that is impossible here.
fn compile(workshop: &Workshop, name: &str) -> Option<PathBuf> {
    // Where the headers of the kernel are; and musl lacks this function.
    let options = [
        "-idirafter",
        "/usr/include",
        "-idirafter",
        "/usr/include/x86_64-linux-gnu",
        "-Dexecveat(folder, path, arguments, variables, flags)=-1",
    ];
    workshop.compile_by("musl-gcc", name, &options)
}

#[test]
fn all_events_of_threads_are_recorded() {
    let workshop = Workshop::new();
    let Some(program) = compile(&workshop, "threads") else { return };
    let text = told(&workshop.record(&program, &["3"]));
    assert!(text.contains("not by glibc's allocator but by that of musl"), "{text}");
    let trace = workshop.trace();
    assert_eq!(trace.summary.threads, 3 * 8 + 1);
    for size in [330, 331, 332] {
        assert_eq!((trace.made(size), trace.freed(size)), (24, 24), "{size}");
    }
    trace.assert_exact();
}

#[test]
fn stacks_reach_the_start_of_the_program() {
    let workshop = Workshop::new();
    let Some(program) = compile(&workshop, "nested") else { return };
    told(&workshop.record(&program, &[]));
    let stack = workshop.trace().stack_of(701);
    let own = stack.iter().take_while(|(_, _, module)| Path::new(module) == program).count();
    assert!(own >= 3, "{stack:x?}");
}

#[test]
fn children_are_recorded() {
    let workshop = Workshop::new();
    let Some(program) = compile(&workshop, "starts") else { return };
    for way in ["execl", "execvpe", "fexecve", "posix_spawn", "posix_spawnp", "system", "popen"] {
        let output = workshop.record(&program, &[way]);
        assert_eq!(output.status.code(), Some(4), "{way}: {output:?}");
        let traces = workshop.others().into_iter().chain([workshop.trace()]);
        let children: Vec<_> = traces.map(|trace| trace.made(777)).filter(|&made| made > 0).collect();
        assert_eq!(children, [30], "{way}");
    }
}

#[test]
fn sandboxes_hide_nothing() {
    let workshop = Workshop::new();
    let Some(program) = compile(&workshop, "passes") else { return };
    let output = workshop.record(&program, &["user"]);
    let trace = workshop.trace();
    assert_eq!((output.status.code(), trace.made(607), trace.made(608)), (Some(3), 20_000, 0), "{output:?}");
    assert_eq!(trace.start.arguments[1], "work");
    trace.assert_exact();
    let Some(program) = compile(&workshop, "confined") else { return };
    let output = workshop.record(&program, &["kill"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let trace = workshop.trace();
    assert_eq!((trace.made(607), trace.freed(607)), (400_000, 400_000));
    trace.assert_exact();
}

#[test]
fn static_programs_are_refused() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile_by("musl-gcc", "nothing", &["-static"]) else { return };
    let text = refusal(workshop.record(&program, &[]));
    assert!(text.contains("is statically linked") && text.contains("leave out -static"), "{text}");
}
