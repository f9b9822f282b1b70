//! Every call is recorded once, with all its arguments.

use millpond_trace::{Call, Ending, Family, Op};

use super::{Workshop, told};

const fn made(slot: u32, size: u64, align: u32) -> Op {
    Op::Allocate { slot, size, align, zeroed: false }
}

#[test]
fn all_functions_are_recorded_with_their_arguments() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("family", &[]) else { return };
    let output = workshop.record(&program, &[]);
    assert_eq!(output.status.code(), Some(42), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = workshop.trace();
    let mut expected = vec![
        made(0, 100, 0),
        Op::Allocate { slot: 1, size: 21, align: 0, zeroed: true },
        Op::Resize { slot: 0, size: 200_000 },
        Op::Resize { slot: 0, size: 300 },
        made(2, 10, 64),
        made(3, 256, 128),
        made(4, 5, 4096),
        made(5, 9, 4096),
        made(6, 10, 4096),
        made(7, 11, 0),
        made(8, 12, 0),
        made(9, 0, 0),
        Op::Free { slot: 9 },
    ];
    expected.extend((0..9).map(|slot| Op::Free { slot }));
    assert_eq!(trace.of_module(&program), expected);
    assert_eq!(trace.summary.failed, 5);
    assert_eq!(trace.summary.ending, Ending::Exited);
    assert_eq!(trace.start.program, program.canonicalize().unwrap().to_string_lossy());
    assert_eq!(trace.start.arguments, [program.to_string_lossy()]);
    trace.assert_exact();
}

#[test]
fn operators_are_recorded_once_and_told_apart() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("operators", &["-std=c++17", "-fsized-deallocation"]) else {
        return;
    };
    let output = workshop.record(&program, &[]);
    let alone = std::process::Command::new(&program).output().unwrap();
    assert_eq!((&output.stdout, &alone.stdout[..]), (&alone.stdout, &b"1111\n"[..]));
    let trace = workshop.trace();
    let call = |family, flags: &str| Call {
        family,
        nothrow: flags.contains('n'),
        sized: flags.contains('s'),
        aligned: flags.contains('a'),
    };
    let forms = [("", ""), ("n", "n"), ("a", "a"), ("an", "an"), ("", "s"), ("a", "as")];
    let mut size = 1001;
    for (new, delete) in forms {
        for family in [Family::New, Family::NewArray] {
            let events: Vec<_> = trace.events.iter().collect();
            let made =
                events.iter().position(|event| matches!(event.op, Op::Allocate { size: s, .. } if s == size));
            let made = made.unwrap_or_else(|| panic!("no block of {size} bytes"));
            let Op::Allocate { slot, align, .. } = events[made].op else { panic!("{:?}", events[made]) };
            assert_eq!(trace.made(size), 1, "{size}");
            assert_eq!(align, if new.contains('a') { 64 } else { 0 });
            assert_eq!(events[made].call, call(family, new), "{size}");
            assert_eq!(events[made + 1].op, Op::Free { slot });
            assert_eq!(events[made + 1].call, call(family, delete), "{size}");
            size += 1;
        }
    }
    assert!(trace.made(0) >= 1);
    trace.assert_exact();
}

#[test]
fn replaced_operators_stay_replaced() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("replaced", &["-std=c++17", "-fsized-deallocation"]) else { return };
    assert_eq!(std::process::Command::new(&program).status().unwrap().code(), Some(6));
    let output = workshop.record(&program, &[]);
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((workshop.trace().made(1100), workshop.trace().made(40)), (100, 0));
}

#[test]
fn calls_before_and_after_main_are_recorded() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("early", &[]) else { return };
    told(&workshop.record(&program, &[]));
    let trace = workshop.trace();
    assert_eq!((trace.made(1111), trace.freed(1111), trace.made(2222)), (1, 1, 1));
    trace.assert_exact();
}

#[test]
fn libraries_loaded_later_are_recorded_and_named() {
    let workshop = Workshop::new();
    let Some(plugin) = workshop.compile("plugin", &["-shared", "-fPIC"]) else { return };
    let Some(host) = workshop.compile("host", &[]) else { return };
    told(&workshop.record(&host, &[&plugin.to_string_lossy()]));
    let trace = workshop.trace();
    assert_eq!((trace.made(1001), trace.freed(1002)), (5, 5));
    // The copy that is loaded last stays, so its address is known. Earlier copies may have been at the same address.
    let last = trace.of_module(&plugin);
    assert!(
        matches!(last[..], [.., Op::Allocate { size: 1001, .. }, Op::Resize { size: 1002, .. }]),
        "{last:?}"
    );
    trace.assert_exact();
}

#[test]
fn times_and_threads_are_plausible() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("early", &[]) else { return };
    told(&workshop.record(&program, &[]));
    let trace = workshop.trace();
    assert!(trace.events.is_sorted_by_key(|event| event.time));
    let last = trace.events.last().unwrap().time;
    assert!(last > 0 && last <= trace.summary.wall_ns, "{last} {}", trace.summary.wall_ns);
    assert!(trace.events.iter().all(|event| event.thread == 0 && event.stack != 0));
    assert!(trace.summary.served_by.contains("libc"), "{}", trace.summary.served_by);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    assert!(
        trace.start.unix_ns < now && trace.start.unix_ns > now - 600_000_000_000,
        "{}",
        trace.start.unix_ns
    );
}
