//! Files with several processes.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Output,
};

use millpond_trace::{
    Archive, ArchiveWriter, At, Ending, FrameKind, Module, Outcome, Resources, Start, Writer,
};
use serde_json::Value;

use crate::support::{millpond, refusal, replay, stdout};

/// Where the code of the program is mapped in the process with this number: at another address in each.
fn base(process: u32) -> u64 {
    0x5500_0000_0000 + u64::from(process) * 0x10_0000
}

/// Writes a process that allocates `blocks` blocks of 32 bytes in one function, and one of ten times its number in another.
fn write_process(archive: &mut ArchiveWriter<File>, name: &str, process: u32, blocks: u64) {
    let start = Start {
        program: format!("/opt/{name}"),
        arguments: vec![name.into(), format!("{process}.c")],
        process,
        parent: 7,
        unix_ns: u64::from(process) * 1000,
    };
    let mut writer = Writer::new(archive.begin(), &start).unwrap();
    let module = Module {
        start: base(process),
        end: base(process) + 0x1000,
        path: format!("/opt/{name}"),
        build_id: name.bytes().cycle().take(20).collect(),
        ..Module::default()
    };
    writer.module(module).unwrap();
    let main = writer.node(0, base(process) + 0x10, FrameKind::Return).unwrap();
    let often = writer.node(main, base(process) + 0x20, FrameKind::Return).unwrap();
    let once = writer.node(main, base(process) + 0x30, FrameKind::Return).unwrap();
    for time in 0..blocks {
        let slot = writer.allocate(At { time, stack: often, ..At::default() }, 32, 0, false).unwrap();
        writer.free(At { time, stack: often, ..At::default() }, slot).unwrap();
    }
    writer
        .allocate(At { time: blocks, stack: once, ..At::default() }, 10 * u64::from(process), 0, false)
        .unwrap();
    let outcome = Outcome {
        cpu_ns: 1_000_000 * u64::from(process),
        wall_ns: blocks,
        ending: if process == 7 { Ending::Cut } else { Ending::Exited },
        resources: Resources { exit_status: (process == 7).then_some(9), ..Resources::default() },
        ..Outcome::default()
    };
    writer.finish(outcome).unwrap();
}

/// Writes a file with a `make` that has started three times `cc1` and one `as`; the largest is number 20.
pub(crate) fn write(folder: &Path) -> PathBuf {
    let path = folder.join("make.mpt");
    let mut archive = ArchiveWriter::new(File::create(&path).unwrap());
    write_process(&mut archive, "make", 7, 10);
    write_process(&mut archive, "cc1", 10, 100);
    write_process(&mut archive, "cc1", 20, 1000);
    write_process(&mut archive, "cc1", 30, 200);
    write_process(&mut archive, "as", 11, 50);
    archive.finish().unwrap();
    path
}

fn show(file: &Path, options: &[&str]) -> Output {
    let mut command = millpond();
    command.arg("show").arg(file).args(options).env("XDG_CACHE_HOME", file.parent().unwrap());
    command.output().unwrap()
}

fn json(file: &Path, options: &[&str]) -> Value {
    serde_json::from_str(&stdout(show(file, &[&["--json"], options].concat()))).unwrap()
}

#[test]
fn largest_process_is_shown_and_all_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path());
    let text = stdout(show(&file, &[]));
    assert!(text.starts_with("cc1 20.c\n2,001 events, "), "{text}");
    assert!(
        text.contains("process 20, child of 7; recorded for 1.00 us; 5 processes in the file\n"),
        "{text}"
    );
    let (_, list) = text.split_once("Processes, by events\n").unwrap();
    let list: Vec<_> =
        list.lines().skip(1).take(6).map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    let rows = list.iter().filter(|row| row.first().is_some_and(|first| first.starts_with('@')));
    let rows: Vec<_> = rows.map(|row| row.join(" ")).collect();
    assert_eq!(
        rows,
        [
            "@1 cc1 20.c 20 2,001 200 B 20.0 ms exited",
            "@2 cc1 30.c 30 401 300 B 30.0 ms exited",
            "@3 cc1 10.c 10 201 100 B 10.0 ms exited",
            "@4 as 11.c 11 101 110 B 11.0 ms exited",
            "@5 make 7.c 7 21 70 B 7.00 ms signal 9",
        ]
    );
    let report = json(&file, &[]);
    let processes = report["processes"].as_array().unwrap();
    let column = |field: &str| processes.iter().map(|process| process[field].clone()).collect::<Vec<_>>();
    assert_eq!(column("process"), [20, 30, 10, 11, 7]);
    assert_eq!(column("shown"), [true, false, false, false, false]);
    assert_eq!(column("command_line")[4], "make 7.c");
    assert_eq!(column("exit_status")[3..], [Value::Null, 9.into()]);
}

#[test]
fn each_process_can_be_selected() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path());
    for (selected, program) in [("30", 30), ("@2", 30), ("as", 11), ("make", 7), ("@5", 7)] {
        let report = json(&file, &["--process", selected]);
        assert_eq!(report["trace"]["process"], program, "{selected}");
    }
    let text = refusal(show(&file, &["--process", "cc1"]));
    assert!(
        text.contains("cc1 stands for 3 processes: @1 cc1 (process 20, 2,001 events), @2 cc1 ("),
        "{text}"
    );
    let text = refusal(show(&file, &["--process", "ld"]));
    assert!(
        text.contains("ld is not a process of ") && text.ends_with("; its processes are as, cc1, make\n"),
        "{text}"
    );
    for none in ["@0", "@6", "@", "12"] {
        assert!(refusal(show(&file, &["--process", none])).contains("is not a process of "));
    }
    let output = replay(&file, &["--rounds", "1", "--process", "@2"]);
    let (text, note) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && text.starts_with("cc1 30.c\n"), "{text}");
    assert!(note.contains("this is about @2 cc1 (process 30, 401 events), one of 5 processes in "), "{note}");
}

#[test]
fn processes_of_one_program_are_taken_together() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path());
    for options in
        [&["--together"][..], &["--together", "--process", "cc1"], &["--together", "--process", "10"]]
    {
        let report = json(&file, options);
        let trace = &report["trace"];
        assert_eq!((&trace["events"], &trace["allocations"]), (&2603.into(), &1303.into()), "{options:?}");
        assert_eq!((&trace["cpu_ns"], &trace["peak_bytes"]), (&60_000_000.into(), &300.into()));
        // The functions are at other addresses in each process.
        let sites = report["by_site"].as_array().unwrap();
        let of = |site: &Value| {
            (site["frames"][0]["function"].clone(), site["allocations"].clone(), site["live_bytes"].clone())
        };
        assert_eq!(
            sites.iter().map(of).collect::<Vec<_>>(),
            [("cc1+0x1f".into(), 1300.into(), 0.into()), ("cc1+0x2f".into(), 3.into(), 600.into()),]
        );
        assert_eq!(sites.iter().map(|site| site["stacks"].clone()).collect::<Vec<_>>(), [1, 1]);
        let sizes = report["by_size"].as_array().unwrap();
        assert_eq!(
            (&sizes[0]["size_bytes"], &sizes[0]["allocations"], sizes.len()),
            (&32.into(), &1300.into(), 4)
        );
        assert_eq!(report["by_thread"], Value::Array(Vec::new()));
        let shown = report["processes"].as_array().unwrap().iter().filter(|process| process["shown"] == true);
        assert_eq!(shown.count(), 3);
    }
    let text = stdout(show(&file, &["--together"]));
    assert!(text.starts_with("cc1, 3 processes together\n2,603 events, "), "{text}");
    assert!(text.contains("the peak is that of one process; 5 processes in the file\n"), "{text}");
    assert!(!text.contains("Threads") && !text.contains("Phases"), "{text}");
    let alone = json(&file, &["--together", "--process", "as"]);
    assert_eq!(alone["by_thread"].as_array().unwrap().len(), 1, "nothing is left out of a single process");
}

#[test]
fn complete_processes_of_a_file_that_was_cut_off_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path());
    let bytes = fs::read(&file).unwrap();
    let last = Archive::open(&file).unwrap().bytes(4) as usize;
    fs::write(&file, &bytes[..bytes.len() - last]).unwrap();
    let output = show(&file, &["--json", "--process", "30"]);
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(
        note.contains("was cut off or is damaged: it has 4 complete processes, and later ones may"),
        "{note}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["processes"].as_array().unwrap().len(), &report["trace"]["process"]), (4, &30.into()));
    // A process whose trace is damaged does not stand in the way of the others.
    let mut bytes = bytes;
    bytes[17] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let output = show(&file, &["--json"]);
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(note.contains("process 1 of ") && note.contains(" is left out: the trace is damaged"), "{note}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["processes"].as_array().unwrap().len(), 4);
}

#[test]
fn all_processes_are_anonymized() {
    let folder = tempfile::tempdir().unwrap();
    let (file, new) = (write(folder.path()), folder.path().join("new.mpt"));
    let run = |options: &[&str]| {
        stdout(millpond().arg("anonymize").arg(&file).arg("-fo").arg(&new).args(options).output().unwrap())
    };
    let text = run(&[]);
    assert!(text.contains("new.mpt: 5 processes, 11 texts replaced by hashes"), "{text}");
    let archive = Archive::open(&new).unwrap();
    let starts: Vec<_> =
        (0..archive.count()).map(|number| archive.reader(number).unwrap().start().clone()).collect();
    let numbers: Vec<_> = starts.iter().map(|start| (start.process, start.parent)).collect();
    assert_eq!(numbers, [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]);
    assert!(starts.iter().all(|start| start.program.starts_with("anon-") && start.unix_ns == 0));
    assert_eq!(starts[0].program, starts[2].program, "the same text has the same hash in all processes");
    let report = json(&new, &["--together"]);
    assert_eq!((&report["trace"]["events"], report["by_site"].as_array().unwrap().len()), (&2603.into(), 2));
    assert!(run(&["--process", "cc1"]).contains("new.mpt: 3 processes, "));
    run(&["--process", "as"]);
    assert_eq!(Archive::open(&new).unwrap().reader(0).unwrap().start().process, 0);
}
