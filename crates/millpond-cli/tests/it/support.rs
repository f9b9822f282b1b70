//! Runs the program, and writes traces for tests.

use std::{
    fs::File,
    io::{BufWriter, Write, stderr},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use millpond_trace::{At, FrameKind, Mark, Module, Outcome, Sample, Start, Summary, Thread, Writer};

/// A trace being written.
pub(crate) type Trace = Writer<BufWriter<File>>;

/// Reports that something is not tested, even when the test passes: the harness captures what macros print.
pub(crate) fn skipped(what: &str, why: &str) {
    let said = writeln!(stderr(), "SKIPPED: {what}, because {why}");
    said.unwrap();
}

/// Returns whether tests are wanted that take long and rarely fail; if not, says that this one is skipped.
pub(crate) fn slow_tests_are_wanted(what: &str) -> bool {
    let wanted = std::env::var_os("MILLPOND_SLOW_TESTS").is_some();
    if !wanted {
        skipped(what, "it takes long: set MILLPOND_SLOW_TESTS");
    }
    wanted
}

/// Returns the program, without progress lines, which would appear on a busy machine.
pub(crate) fn millpond() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millpond"));
    command.env("MILLPOND_NO_PROGRESS", "1");
    command
}

/// Runs `millpond replay` on a trace.
pub(crate) fn replay(trace: &Path, options: &[&str]) -> Output {
    millpond().arg("replay").arg(trace).args(options).output().unwrap()
}

/// Returns the standard output of a run that succeeded without a message.
pub(crate) fn stdout(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let complaint: String = text.lines().filter(|line| !line.ends_with(" left")).collect();
    assert!(output.status.success() && complaint.is_empty(), "{}: {complaint}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the only line on standard error of a refused run, with exit code 125 and nothing on standard output.
pub(crate) fn refusal(output: Output) -> String {
    refusal_with(125, output)
}

/// The same with another exit code.
pub(crate) fn refusal_with(code: i32, output: Output) -> String {
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{complaint}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.starts_with("millpond: "), "{complaint}");
    complaint
}

/// Builds the library for C as an archive when it is first needed; `None`, with a message, where it cannot be built.
pub(crate) fn c_library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        let package = concat!(env!("CARGO_MANIFEST_DIR"), "/../millpond-c/Cargo.toml");
        if !Path::new(package).exists() {
            skipped("the library for C", "its folder is not beside this package");
            return None;
        }
        let target = concat!(env!("CARGO_TARGET_TMPDIR"), "/millpond-c");
        let built = Command::new(env!("CARGO"))
            .args([
                "rustc",
                "--offline",
                "--quiet",
                "--lib",
                "--crate-type",
                "staticlib",
                "--manifest-path",
                package,
            ])
            .args(["--target-dir", target])
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Some(Path::new(target).join("debug/libmillpond_c.a"))
    };
    LIBRARY.get_or_init(build).as_deref()
}

/// Compiles and links a program that uses the library for C; fails if the compiler does.
pub(crate) fn link(compiler: &str, options: &[&str], source: &Path, program: &Path, library: &Path) {
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../millpond-c/include");
    let built = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Werror", "-I", include, "-o"])
        .args([program, source])
        .args(options)
        .arg(library)
        .args(["-lgcc_s", "-lpthread", "-ldl", "-lm"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// Writes a trace of a program called `sample` that took 500 ms of CPU time.
pub(crate) fn write_trace(path: &Path, fill: impl FnOnce(&mut Trace)) -> Summary {
    write_trace_of(path, 0, fill)
}

/// Writes a trace of the same program, which was recorded for `wall_ns` nanoseconds.
pub(crate) fn write_trace_of(path: &Path, wall_ns: u64, fill: impl FnOnce(&mut Trace)) -> Summary {
    let start = Start {
        program: "/opt/sample".into(),
        arguments: vec!["sample".into(), "--fast".into()],
        ..Start::default()
    };
    let mut writer = Writer::new(BufWriter::new(File::create(path).unwrap()), &start).unwrap();
    fill(&mut writer);
    writer.finish(Outcome { cpu_ns: 500_000_000, wall_ns, ..Outcome::default() }).unwrap()
}

/// A trace with every kind of event, of two threads: 30,000 blocks of six sizes, a third of them freed early, some
/// resized, one large.
pub(crate) fn sample(folder: &Path) -> (PathBuf, Summary) {
    let path = folder.join("sample.mpt");
    let summary = write_trace(&path, |trace| {
        let at = |time, thread| At { time, thread, ..At::default() };
        let mut live = Vec::new();
        for index in 0..30_000_u64 {
            let thread = u32::from(index % 7 == 0);
            let size = [24, 32, 32, 48, 200, 1000][index as usize % 6];
            let slot = trace.allocate(at(index * 50, thread), size, 0, index % 10 == 0).unwrap();
            match index % 3 {
                0 => trace.free(at(index * 50 + 10, thread), slot).unwrap(),
                _ => live.push(slot),
            }
            if index % 300 == 1 {
                trace.resize(at(index * 50 + 20, thread), slot, size * 3).unwrap();
            }
        }
        live.push(trace.allocate(at(2_000_000, 0), 300_000, 0, true).unwrap());
        live.push(trace.allocate(at(2_000_000, 0), 100, 256, false).unwrap());
        trace.allocate(at(2_000_000, 0), 0, 0, false).unwrap();
        for slot in live {
            trace.free(at(2_000_001, 0), slot).unwrap();
        }
    });
    (path, summary)
}

/// A trace with something in every table: two call stacks of three frames each, which differ in the innermost one, and a
/// block of an unknown one. Its blocks have 100, 30 and 7 bytes; the one of 30 is resized to 60 and freed.
pub(crate) fn every_table(folder: &Path) -> PathBuf {
    let path = folder.join("tables.mpt");
    write_trace_of(&path, 9_000, |trace| {
        let module = Module { start: 0x1000, end: 0x2000, path: "[sample;x]".into(), ..Module::default() };
        trace.module(module).unwrap();
        let mut stack = |frames: [u64; 3]| {
            let node = |parent, &address: &u64| trace.node(parent, address, FrameKind::Return).unwrap();
            frames.iter().fold(0, node)
        };
        let (first, second) = (stack([0x1101, 0x1201, 0x1301]), stack([0x1101, 0x1201, 0x1401]));
        let at = |time, stack| At { time, thread: 0, stack, ..At::default() };
        trace.mark(&Mark { time: 500, name: "start".into() }).unwrap();
        trace.sample(Sample { time: 600, resident: 1 << 20, ..Sample::default() }).unwrap();
        trace.allocate(at(1_000, first), 100, 0, false).unwrap();
        let slot = trace.allocate(at(2_000, second), 30, 64, true).unwrap();
        trace.resize(at(3_000, first), slot, 60).unwrap();
        trace.allocate(At { thread: 1, ..at(4_000, 0) }, 7, 0, false).unwrap();
        trace.free(at(5_000, second), slot).unwrap();
        trace.thread(Thread { number: 1, name: "worker".into(), started: 3_500, ended: Some(8_000) });
    });
    path
}

/// Writes the events of eight call sites of two threads, one for each kind of advice that has code.
pub(crate) fn fill_sites(writer: &mut Trace) {
    let mut site = |number: u64| At {
        stack: writer.node(0, 0x1000 * number, FrameKind::Return).unwrap(),
        ..At::default()
    };
    let sites: [At; 8] = std::array::from_fn(|number| site(number as u64 + 1));
    let [one, classes, cached, remote, arena, frame, reuse, capacity] = sites;
    let mut rings: [Vec<u32>; 3] = Default::default();
    let mut tree = Vec::new();
    for turn in 0..3000_u64 {
        let varied = 16 + turn % 5 * 40;
        let thread = (turn % 2) as u32;
        for (at, size, ring) in [(one, 64, 0), (classes, varied, 1), (At { thread, ..cached }, varied, 2)] {
            rings[ring].push(writer.allocate(at, size, 0, false).unwrap());
            if rings[ring].len() > 100 {
                // The order of a ring of 100 with two threads frees blocks of the same thread.
                writer.free(at, rings[ring].remove(0)).unwrap();
            }
        }
        let message = writer.allocate(remote, 64, 0, false).unwrap();
        writer.free(At { thread: 1, ..remote }, message).unwrap();
        tree.push(writer.allocate(arena, 40, 0, false).unwrap());
        let buffer = writer.allocate(reuse, 100, 0, false).unwrap();
        writer.free(reuse, buffer).unwrap();
        let grown = writer.allocate(capacity, 16, 0, false).unwrap();
        for size in [32, 64, 128] {
            writer.resize(capacity, grown, size).unwrap();
        }
        writer.free(capacity, grown).unwrap();
    }
    tree.into_iter().for_each(|block| writer.free(arena, block).unwrap());
    for _ in 0..30 {
        let phase: Vec<_> =
            (0..100).map(|size| writer.allocate(frame, 10 + size, 0, false).unwrap()).collect();
        phase.into_iter().for_each(|block| writer.free(frame, block).unwrap());
    }
}
