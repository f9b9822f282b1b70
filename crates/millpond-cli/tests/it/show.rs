//! `millpond show`.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use millpond_trace::{At, Ending, FrameKind, Mark, Module, Outcome, Reader, Start, Thread, Writer};
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _};
use serde_json::Value;

use crate::support::{millpond, refusal, sample, skipped, stdout, write_trace, write_trace_of};

/// Where the program's code is mapped in the traces of these tests.
const BASE: u64 = 0x5500_0000_0000;

/// Runs `millpond show` on a trace.
fn show(trace: &Path, options: &[&str]) -> String {
    let mut command = millpond();
    command.arg("show").arg(trace).args(options).env("XDG_CACHE_HOME", trace.parent().unwrap());
    stdout(command.output().unwrap())
}

fn json(trace: &Path, options: &[&str]) -> Value {
    serde_json::from_str(&show(trace, &[&["--json"], options].concat())).unwrap()
}

/// Returns the names of the functions in a list of frames.
fn functions(frames: &Value) -> Vec<&str> {
    frames.as_array().unwrap().iter().map(|frame| frame["function"].as_str().unwrap()).collect()
}

/// The program `sites`, the mapping of its code, and an address in each of its functions.
struct Program {
    path: PathBuf,
    module: Module,
    addresses: HashMap<String, u64>,
}

/// Compiles `sites` with debug information; `None`, with a message, if that is impossible here.
fn program(folder: &Path) -> Option<Program> {
    let path = folder.join("sites");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/sites.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-O0", "-g", "-Wl,--build-id", "-o"]).arg(&path).arg(source);
    match compiler.output() {
        Ok(output) if output.status.success() => {}
        failed => {
            skipped("names of call sites", &format!("cc cannot make a program: {failed:?}"));
            return None;
        }
    }
    let bytes = fs::read(&path).unwrap();
    let object = object::File::parse(&*bytes).unwrap();
    let code = object.segments().find(|segment| segment.permissions().executable()).unwrap();
    let (offset, length) = code.file_range();
    let addresses = object.symbols().map(|symbol| {
        let inside = symbol.address().wrapping_sub(code.address()).wrapping_add(BASE + 5);
        (symbol.name().unwrap().to_owned(), inside)
    });
    let addresses = addresses.collect();
    let module = Module {
        start: BASE,
        end: BASE + length,
        offset,
        path: path.to_str().unwrap().into(),
        build_id: object.build_id().unwrap().unwrap().to_vec(),
        ..Module::default()
    };
    Some(Program { path, module, addresses })
}

/// Writes a trace as the program would leave it, with full stacks, two threads and marks.
fn write(program: &Program, trace: &Path) {
    write_trace_of(trace, 3_500_000, |writer| {
        writer.module(program.module.clone()).unwrap();
        let mut stack = |functions: [&str; 4]| {
            let node =
                |parent, name: &str| writer.node(parent, program.addresses[name], FrameKind::Return).unwrap();
            functions.into_iter().fold(0, node)
        };
        let [lists, texts, trees] =
            ["lists", "texts", "trees"].map(|function| stack(["main", function, "item", "take"]));
        let at = |time, stack| At { time, thread: 0, stack, ..At::default() };
        writer.mark(&Mark { time: 0, name: "lists".into() }).unwrap();
        for time in 0..1000 {
            writer.allocate(at(time, lists), 100, 0, false).unwrap();
        }
        writer.mark(&Mark { time: 1000, name: "others\x1b".into() }).unwrap();
        for time in 1000..3000 {
            let slot = writer.allocate(at(time, texts), 30, 0, false).unwrap();
            writer.free(at(time, 0), slot).unwrap();
        }
        for time in 3000..3500 {
            let slot = writer.allocate(at(time, trees), 10, 0, false).unwrap();
            writer.free(At { thread: 1, ..at(time, 0) }, slot).unwrap();
        }
        writer.thread(Thread { number: 1, name: "reaper".into(), started: 2900, ended: None });
    });
}

#[test]
fn call_sites_are_where_memory_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = program(folder.path()) else { return };
    let trace = folder.path().join("sites.mpt");
    write(&program, &trace);
    let report = json(&trace, &[]);
    let sites = report["by_site"].as_array().unwrap();
    let found: Vec<_> = sites
        .iter()
        .map(|site| {
            (functions(&site["frames"]), site["bytes"].as_u64().unwrap(), site["lifetime"].as_str().unwrap())
        })
        .collect();
    let expected = [
        (vec!["lists", "main"], 100_000, "kept"),
        (vec!["texts", "main"], 60_000, "temporary"),
        (vec!["trees", "main"], 5_000, "short"),
    ];
    assert_eq!(found, expected);
    for site in sites {
        // Neither has a name that says so: nearly all allocations come through them, from several functions.
        assert_eq!(functions(&site["through"]), ["take", "item"]);
        assert!(site["frames"][0]["file"].as_str().unwrap().ends_with("tests/programs/sites.c"));
        assert!(site["frames"][0]["line"].as_u64().unwrap() > 10);
    }
    assert_eq!((&sites[0]["live_blocks"], &sites[0]["live_bytes"]), (&1000.into(), &100_000.into()));
    assert_eq!((&sites[1]["temporaries"], &sites[1]["stacks"]), (&2000.into(), &1.into()));
    assert_eq!(report["notes"], Value::Array(Vec::new()));
}

#[test]
fn sizes_threads_and_phases() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = program(folder.path()) else { return };
    let trace = folder.path().join("sites.mpt");
    write(&program, &trace);
    let report = json(&trace, &[]);
    let column = |list: &str, field: &str| -> Vec<Value> {
        report[list].as_array().unwrap().iter().map(|row| row[field].clone()).collect()
    };
    assert_eq!(column("by_size", "size_bytes"), [30, 100, 10]);
    assert_eq!(column("by_size", "allocations"), [2000, 1000, 500]);
    assert_eq!(column("by_thread", "name"), [Value::Null, "reaper".into()]);
    assert_eq!(column("by_thread", "foreign_calls"), [0, 500]);
    assert_eq!(column("by_phase", "name"), ["lists", "others\u{1b}"]);
    assert_eq!(column("by_phase", "bytes"), [100_000, 65_000]);
    assert_eq!(column("by_phase", "live_bytes"), [100_000, 100_000]);
    assert_eq!(column("by_phase", "peak_bytes"), [100_000, 100_030]);
    assert_eq!(
        (&report["trace"]["program"], &report["trace"]["events"]),
        (&"/opt/sample".into(), &6000.into())
    );
}

#[test]
fn the_text_has_ten_of_everything() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = program(folder.path()) else { return };
    let trace = folder.path().join("sites.mpt");
    write(&program, &trace);
    let text = show(&trace, &[]);
    for expected in [
        "sample --fast\n",
        "Threads, by bytes\n",
        "\n 1 reaper ",
        "Sizes, by allocations\n",
        "Call sites, by bytes\n   1  97.7 KiB (61 %) in 1,000 allocations, 0 % temporary, 1,000 blocks (97.7 KiB) left at the \
         end: kept\n      lists (sites.c:16) < main (sites.c:32), through item\n   2 ",
        "Phases, from mark to mark\n",
        "others?",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(
        text.lines().any(|line| line.contains(") < main (sites.c:") && line.ends_with(", through item")),
        "{text}"
    );
    write_trace(&trace, |writer| {
        for size in 1..=30 {
            writer.allocate(At { thread: size, ..At::default() }, u64::from(size), 0, false).unwrap();
        }
    });
    let text = show(&trace, &[]);
    let lines =
        |title: &str| text.split("\n\n").find(|part| part.starts_with(title)).unwrap().lines().count();
    assert_eq!((lines("Threads, by bytes (10 of 30)"), lines("Sizes, by allocations (10 of 30)")), (12, 12));
    assert_eq!(lines("Phases, tenths of the recording"), 12);
    assert!(text.contains("      unknown callers\n"), "{text}");
}

#[test]
fn what_was_not_recorded_is_not_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("part.mpt");
    let mut writer = Writer::new(File::create(&trace).unwrap(), &Start::default()).unwrap();
    let mut at = |address| {
        let stack = writer.node(0, address, FrameKind::Return).unwrap();
        At { stack, ..At::default() }
    };
    let (allocates, resizes) = (at(0x1000), at(0x2000));
    let slot = writer.allocate(allocates, 10, 0, false).unwrap();
    writer.resize(resizes, slot, 1000).unwrap();
    writer.finish(Outcome { wall_ns: 100, ending: Ending::Full, ..Outcome::default() }).unwrap();
    let text = show(&trace, &[]);
    for expected in [
        "recording stopped before the program did: the rest is missing\n",
        " not yet freed\n",
        " in 1 resize of blocks of other sites\n",
        "1 allocation, 0 % temporary, 1 block (1000 B) left when recording stopped: kept\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let report = json(&trace, &[]);
    let lifetimes = [0, 1].map(|site| &report["by_site"][site]["lifetime"]);
    assert_eq!(lifetimes, [&Value::Null, &"kept".into()]);
    assert_eq!(report["trace"]["process"], Value::Null);
}

#[test]
fn names_come_from_other_files_and_other_builds_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = program(folder.path()) else { return };
    let trace = folder.path().join("sites.mpt");
    write(&program, &trace);
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(&program.path, elsewhere.join("sites")).unwrap();
    let report = json(&trace, &["--debug-dir", elsewhere.to_str().unwrap()]);
    assert_eq!(functions(&report["by_site"][0]["frames"]), ["lists", "main"]);

    fs::copy("/proc/self/exe", &program.path).unwrap();
    let report = json(&trace, &[]);
    let first = functions(&report["by_site"][0]["frames"])[0].to_owned();
    assert!(first.starts_with("sites+0x"), "{first}");
    assert!(report["notes"][0].as_str().unwrap().contains("is another build"), "{report}");
    assert!(show(&trace, &[]).contains("Names that are missing\n"));
}

#[test]
fn a_server_is_named_or_none_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let mut command = millpond();
    command.arg("show").arg(&trace).arg("--debuginfod").env_remove("DEBUGINFOD_URLS");
    assert!(refusal(command.output().unwrap()).contains("DEBUGINFOD_URLS"));
    assert!(refusal(millpond().args(["show", "missing.mpt"]).output().unwrap()).contains("No such file"));
}

#[test]
fn a_recording_has_build_ids_and_its_callers_have_names() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = program(folder.path()) else { return };
    let trace = folder.path().join("recorded.mpt");
    let mut command = millpond();
    command.args(["record", "-o"]).arg(&trace).arg("--").arg(&program.path);
    let output = command.env("TMPDIR", folder.path()).env("XDG_CACHE_HOME", folder.path()).output().unwrap();
    if !output.status.success() {
        return skipped("a recording with names", &String::from_utf8_lossy(&output.stderr));
    }
    let mut reader = Reader::open(&trace).unwrap();
    while reader.read(&mut Vec::new()).unwrap() {}
    let own = |module: &&Module| Path::new(&module.path) == program.path.canonicalize().unwrap();
    assert_eq!(reader.tables().modules.iter().find(own).unwrap().build_id, program.module.build_id);
    let report = json(&trace, &[]);
    let has = |name: &str| {
        let sites = report["by_site"].as_array().unwrap();
        sites.iter().any(|site| {
            [&site["through"], &site["frames"]].iter().any(|list| functions(list).contains(&name))
        })
    };
    assert!(has("take"), "{report}");
}
