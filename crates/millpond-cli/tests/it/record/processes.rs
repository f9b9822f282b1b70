//! Several processes: fork, vfork, posix_spawn, exec, and all ways to end.

use millpond_trace::Ending;

use super::{Trace, Workshop, told};

/// Returns how many blocks of each size a trace has.
fn made<const N: usize>(trace: &Trace, sizes: [u64; N]) -> [usize; N] {
    sizes.map(|size| trace.made(size))
}

#[test]
fn fork_gets_its_own_trace() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("forks", &[]) else { return };
    told(&workshop.record(&program, &[]));
    let sizes = [501, 502, 503, 504];
    let trace = workshop.trace();
    assert_eq!((made(&trace, sizes), trace.freed(501)), ([1000, 0, 0, 7], 1000));
    trace.assert_exact();
    let others = workshop.others();
    let [child, grandchild] = &others[..] else { panic!("{} traces", others.len()) };
    assert_eq!(made(child, sizes), [0, 200, 0, 0]);
    assert_eq!(child.summary.unknown_frees, 10, "blocks that it has from its parent");
    assert_eq!(made(grandchild, sizes), [0, 0, 20, 0]);
    assert_eq!(
        [&trace, child, grandchild].map(|trace| trace.summary.ending),
        [Ending::Exited, Ending::Cut, Ending::Exited]
    );
    assert_eq!(child.start.parent, trace.start.process);
    assert_eq!(grandchild.start.parent, child.start.process);
    assert_eq!(child.start.arguments, trace.start.arguments);
    assert!(!child.of_module(&program).is_empty());
}

#[test]
fn vfork_and_posix_spawn_get_their_own_traces() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("spawns", &[]) else { return };
    told(&workshop.record(&program, &[]));
    let sizes = [701, 702, 703, 704];
    let trace = workshop.trace();
    assert_eq!(
        made(&trace, sizes),
        [0, 0, 2500, 7],
        "a child of vfork is its parent until it is another program"
    );
    trace.assert_exact();
    let others = workshop.others();
    let [first, second] = &others[..] else { panic!("{} traces", others.len()) };
    assert_eq!(made(first, sizes), [70, 0, 0, 0]);
    assert_eq!(made(second, sizes), [0, 70, 0, 0]);
    assert_eq!((first.start.arguments[1].as_str(), second.start.arguments[1].as_str()), ("vfork", "spawn"));
}

#[test]
fn last_program_of_a_process_is_recorded() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("becomes", &[]) else { return };
    let output = workshop.record(&program, &[]);
    assert_eq!(output.status.code(), Some(9));
    let sizes = [801, 802, 803];
    let trace = workshop.trace();
    assert_eq!((made(&trace, sizes), trace.summary.ending), ([0, 0, 30], Ending::Exited));
    assert_eq!(trace.start.arguments.len(), 3);
    let others = workshop.others();
    let [first, second] = &others[..] else { panic!("{} traces", others.len()) };
    assert_eq!((made(first, sizes), first.summary.ending), ([10, 0, 0], Ending::Cut));
    assert_eq!((made(second, sizes), second.summary.ending), ([0, 20, 0], Ending::Cut));
    assert_eq!(first.start.process, trace.start.process);
}

#[test]
fn killed_program_loses_nothing() {
    for count in [0, 1, 100, 3000, 4091, 4092, 4093, 100_000] {
        let workshop = Workshop::new();
        let Some(program) = workshop.compile("killed", &[]) else { return };
        let output = workshop.record(&program, &[&count.to_string()]);
        assert_eq!(output.status.code(), Some(128 + libc::SIGKILL));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("signal 9 (SIGKILL) ended "), "{text}");
        let trace = workshop.trace();
        assert_eq!((trace.made(901), trace.summary.ending), (count, Ending::Cut));
        trace.assert_exact();
    }
}

#[test]
fn program_can_be_killed_at_any_moment() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("ambushed", &[]) else { return };
    for _ in 0..5 {
        let output = workshop.record(&program, &[]);
        assert_eq!(output.status.code(), Some(128 + libc::SIGKILL));
        let trace = workshop.trace();
        let (made, freed) = (trace.made(902), trace.freed(902));
        assert!(made > 0 && (made == freed || made == freed + 1), "{made} {freed}");
        trace.assert_exact();
    }
}

#[test]
fn surviving_child_is_recorded_until_the_end() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("outlives", &[]) else { return };
    let folder = workshop.path("");
    let text = told(&workshop.record(&program, &[&folder.to_string_lossy()]));
    assert_eq!(workshop.trace().made(604), 100);
    for child in workshop.others() {
        assert!(child.made(605) > 0, "{text}");
    }
    std::fs::write(workshop.path("stop"), "").unwrap();
    for _ in 0..600 {
        if workshop.path("stopped").exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the child did not end");
}
