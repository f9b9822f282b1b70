//! Call stacks in traces.

use std::{collections::BTreeSet, path::Path};

use millpond_trace::{FrameKind, Op};

use super::{Trace, Workshop, told};

impl Trace {
    /// Returns the frames of the first block of this size, from the innermost.
    pub(super) fn stack_of(&self, size: u64) -> Vec<(u64, FrameKind, String)> {
        let is_it = |op: &Op| matches!(op, Op::Allocate { size: other, .. } if *other == size);
        let event = self.events.iter().find(|event| is_it(&event.op)).unwrap();
        let module = |number: u32| self.tables.modules[number as usize].path.clone();
        let frames = self.tables.stacks.frames_of(event.stack);
        frames
            .map(|frame| (frame.address, frame.kind, frame.module.map(module).unwrap_or_default()))
            .collect()
    }
}

/// Returns the addresses that `nested` has printed for its functions, in order.
fn printed(output: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(output);
    let address = |line: &str| u64::from_str_radix(line.split_once(" 0x")?.1, 16).ok();
    text.lines().filter_map(address).collect()
}

#[test]
fn stacks_are_those_of_the_program() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("nested", &[]) else { return };
    let output = workshop.record(&program, &["child"]);
    told(&output);
    // Where main, middle (twice: in the child again) and inner continue, as they were called.
    let [in_main, in_middle, in_handler, in_child, in_middle_again] = printed(&output.stdout)[..] else {
        panic!("{output:?}");
    };
    let own = program.to_str().unwrap();
    let trace = workshop.trace();
    let first = trace.stack_of(701);
    let addresses: Vec<_> = first.iter().map(|(address, ..)| *address).collect();
    assert_eq!(addresses[1..3], [in_middle, in_main], "{first:x?}");
    assert!(
        first[..3].iter().all(|(_, kind, module)| *kind == FrameKind::Return && module == own),
        "{first:?}"
    );
    assert!(first.len() >= 5 && first.iter().all(|(_, kind, _)| *kind != FrameKind::Cut), "{first:?}");
    let in_signal = trace.stack_of(703);
    let interrupted: Vec<_> = in_signal.iter().filter(|(_, kind, _)| *kind == FrameKind::Exact).collect();
    assert_eq!((in_signal[1].0, interrupted.len()), (in_handler, 1), "{in_signal:x?}");
    assert_eq!(in_signal.last().unwrap(), first.last().unwrap());
    let child = workshop.others().into_iter().find(|trace| trace.made(704) == 1).unwrap();
    let addresses: Vec<_> = child.stack_of(704).iter().map(|(address, ..)| *address).collect();
    assert_eq!(addresses[1..3], [in_middle_again, in_child]);
}

#[test]
fn stacks_are_as_long_as_requested() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("nested", &[]) else { return };
    let kinds = |options: &[&str]| {
        told(&workshop.record_with(options, &program, &[]));
        let trace = workshop.trace();
        let stack = trace.stack_of(701).into_iter().map(|(_, kind, _)| kind).collect::<Vec<_>>();
        let free = trace.events.iter().rfind(|event| matches!(event.op, Op::Free { .. })).unwrap();
        (stack, trace.tables.stacks.frames_of(free.stack).count())
    };
    assert_eq!(kinds(&["--stacks", "caller"]), (vec![FrameKind::Return], 1));
    assert_eq!(kinds(&["--stacks", "2"]), (vec![FrameKind::Return, FrameKind::Return, FrameKind::Cut], 1));
    let (_, of_free) = kinds(&["--free-stacks"]);
    assert!(of_free >= 3, "{of_free}");
}

#[test]
fn stacks_survive_the_death_of_the_program() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("killed", &[]) else { return };
    workshop.record(&program, &["10000"]);
    let trace = workshop.trace();
    assert_eq!(trace.made(901), 10_000);
    let stack = trace.stack_of(901);
    assert!(stack.len() >= 3 && stack[0].2 == program.to_str().unwrap(), "{stack:x?}");
}

/// Fails unless all blocks of this size were allocated, by 8,192 stacks that all reach the start of the thread.
fn assert_full(trace: &Trace, size: u64) {
    let is_it = |op: &Op| matches!(op, Op::Allocate { size: other, .. } if *other == size);
    let events: Vec<_> = trace.events.iter().filter(|event| is_it(&event.op)).collect();
    let stacks: BTreeSet<_> = events.iter().map(|event| event.stack).collect();
    assert_eq!((events.len(), stacks.len()), (8192, 8192), "{size}");
    let frames = |stack: u32| trace.tables.stacks.frames_of(stack);
    assert!(stacks.iter().all(|&stack| frames(stack).all(|frame| frame.kind == FrameKind::Return)));
    assert!(stacks.iter().all(|&stack| frames(stack).count() > 14));
}

#[test]
fn stacks_go_on_where_no_file_can_be_opened() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("starved", &[]) else { return };
    for (arguments, more) in [(&[][..], None), (&["sandbox"], Some(714))] {
        let text = told(&workshop.record(&program, arguments));
        assert!(!text.contains("not complete"), "{text}");
        let trace = workshop.trace();
        assert!(trace.stack_of(711).len() > 4, "{arguments:?}");
        for size in [712].into_iter().chain(more) {
            assert_full(&trace, size);
        }
        let child = workshop.others().into_iter().find(|trace| trace.made(713) == 1).unwrap();
        let stack = child.stack_of(713);
        assert!(stack.len() > 4 && stack[0].2 == program.to_str().unwrap(), "{arguments:?}: {stack:x?}");
    }
}

#[test]
fn libraries_that_were_unloaded_are_named() {
    let workshop = Workshop::new();
    let Some(host) = workshop.compile("host", &[]) else { return };
    let Some(plugin) = workshop.compile("plugin", &["-shared", "-fPIC"]) else { return };
    told(&workshop.record(&host, &[plugin.to_str().unwrap()]));
    let trace = workshop.trace();
    let is_plugin = |path: &str| Path::new(path) == plugin;
    let loads: Vec<_> = trace.tables.modules.iter().filter(|module| is_plugin(&module.path)).collect();
    assert_eq!(loads.len(), 5, "{loads:?}");
    assert_eq!(loads.iter().filter(|module| module.unloaded.is_none()).count(), 1);
    // Each of the five blocks was allocated by the plugin, in the time in which that one was loaded.
    for event in &trace.events {
        if matches!(event.op, Op::Allocate { size: 1001, .. }) {
            let frame = trace.tables.stacks.frames_of(event.stack).next().unwrap();
            let module = &trace.tables.modules[frame.module.unwrap() as usize];
            assert!(is_plugin(&module.path), "{module:?}");
            assert!(module.loaded <= event.time && module.unloaded.is_none_or(|end| event.time <= end));
        }
    }
}

#[test]
fn stacks_agree_with_the_compilers_library() {
    let workshop = Workshop::new();
    let commands: [(&str, &[&str]); 3] = [
        (
            "perl",
            &[
                "-e",
                "my %h; for my $i (1..3000) { push @{$h{$i % 50}}, [split //, \"abc$i\"] } print scalar keys %h",
            ],
        ),
        (
            "python3",
            &[
                "-c",
                "import json, re; print(len(json.dumps([re.sub('a', str(i), 'banana') for i in range(3000)])))",
            ],
        ),
        (
            "sqlite3",
            &[
                ":memory:",
                "create table t(a); insert into t values(1),(2),(3); select count(*) from t a, t b, t c;",
            ],
        ),
    ];
    let mut compared = 0;
    for (program, arguments) in commands {
        if std::process::Command::new(program).arg("--version").output().is_err() {
            crate::support::skipped(program, "it is not installed");
            continue;
        }
        let output = workshop.record_with(&["--check-stacks", "1"], Path::new(program), arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.contains(" compared, ")).unwrap_or_else(|| panic!("{text}"));
        assert!(line.ends_with(" 0 of them different"), "{line}");
        compared += 1;
    }
    assert!(compared > 0, "no program could be run");
}
