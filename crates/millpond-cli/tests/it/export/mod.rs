//! `millpond export`: what is in the files, and what other programs read in them.

#[cfg(feature = "parquet")]
mod parquet;
mod readers;

use std::{collections::BTreeMap, fs, io::Read as _, path::Path, process::Output};

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::support::{every_table, millpond, refusal, sample, write_trace};

/// All formats.
const FORMATS: [&str; 9] =
    ["folded", "speedscope", "pprof", "dhat", "massif", "heaptrack", "csv", "csv-events", "jsonl"];

/// Runs `millpond export` on a trace.
fn export(trace: &Path, options: &[&str]) -> Output {
    let mut command = millpond();
    command.arg("export").arg(trace).args(options).env("XDG_CACHE_HOME", trace.parent().unwrap());
    command.output().unwrap()
}

/// Returns the standard output of a run that succeeded, perhaps with messages that names are missing, or about which of
/// several processes it is.
fn stdout(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let notes = ["millpond: some names are missing: ", "millpond: this is about "];
    let is_note = |line: &str| notes.iter().any(|note| line.starts_with(note));
    assert!(output.status.success() && text.lines().all(is_note), "{}: {text}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Returns what is exported in a format that is text.
fn text(trace: &Path, format: &str) -> String {
    stdout(export(trace, &["--to", format]))
}

/// Returns the sum of the numbers at the ends of lines.
fn folded_sum(text: &str) -> u64 {
    text.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

/// Returns the rows of a table, each as a map from column to value.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut table = csv::Reader::from_reader(text.as_bytes());
    table.deserialize().map(Result::unwrap).collect()
}

#[test]
fn every_format_has_the_sums_of_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, summary) = sample(folder.path());
    assert_eq!(folded_sum(&text(&trace, "folded")), summary.requested);
    let peak = stdout(export(&trace, &["--to", "folded", "--measure", "peak"]));
    assert_eq!(folded_sum(&peak), summary.peak_bytes);
    let speedscope: Value = serde_json::from_str(&text(&trace, "speedscope")).unwrap();
    let bytes = &speedscope["profiles"][0];
    assert_eq!(
        (&bytes["endValue"], &bytes["weights"][0]),
        (&summary.requested.into(), &summary.requested.into())
    );
    let table = rows(&text(&trace, "csv"));
    let sum = |column: &str| table.iter().map(|row| row[column].parse::<u64>().unwrap()).sum::<u64>();
    assert_eq!((sum("bytes"), sum("frees")), (summary.requested, summary.frees));
    let events = rows(&text(&trace, "csv-events"));
    assert_eq!(events.len() as u64, summary.events);
    let lines = text(&trace, "jsonl");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_type = |name: &str| lines.iter().filter(|line| line["type"] == name).count() as u64;
    assert_eq!((of_type("trace"), of_type("event")), (1, summary.events));
    let dhat: Value = serde_json::from_str(&text(&trace, "dhat")).unwrap();
    let sum = |field: &str| {
        dhat["pps"].as_array().unwrap().iter().map(|entry| entry[field].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((sum("tb"), sum("tbk")), (summary.requested, summary.allocations));
    assert_eq!((sum("gb"), sum("ebk")), (summary.peak_bytes, summary.live_at_end));
    let massif = text(&trace, "massif");
    let peak = massif.split("snapshot=").find(|snapshot| snapshot.contains("heap_tree=peak")).unwrap();
    assert!(peak.contains(&format!("mem_heap_B={}\n", summary.peak_bytes)), "{peak}");
    let heaptrack = text(&trace, "heaptrack");
    let lines = |start: &str| heaptrack.lines().filter(|line| line.starts_with(start)).count() as u64;
    assert_eq!((lines("+ "), lines("- ")), (summary.allocations, summary.frees + summary.resizes));
}

#[test]
fn stacks_and_blocks_are_those_of_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let trace = every_table(folder.path());
    let mut folded: Vec<_> = text(&trace, "folded").lines().map(str::to_owned).collect();
    folded.sort();
    let expected = [
        "(unknown caller) 7",
        "[sample:x]+0x100;[sample:x]+0x200;[sample:x]+0x300 160",
        "[sample:x]+0x100;[sample:x]+0x200;[sample:x]+0x400 30",
    ];
    assert_eq!(folded, expected);
    let live = stdout(export(&trace, &["--to", "folded", "--measure", "live"]));
    assert_eq!((live.lines().count(), folded_sum(&live)), (2, 107));
    let events = rows(&text(&trace, "csv-events"));
    let column = |name: &str| events.iter().map(|event| event[name].as_str()).collect::<Vec<_>>();
    assert_eq!(column("operation"), ["allocate", "allocate", "resize", "allocate", "free"]);
    assert_eq!(column("block"), ["1", "2", "2", "3", "2"]);
    assert_eq!(column("size"), ["100", "30", "60", "7", "60"]);
    assert_eq!(column("old_size"), ["", "", "30", "", ""]);
    assert_eq!(column("alignment"), ["", "64", "", "", ""]);
    assert_eq!(column("lifetime_ns"), ["", "", "", "", "3000"]);
    assert_eq!(column("thread"), ["0", "0", "0", "1", "0"]);
    let dhat: Value = serde_json::from_str(&text(&trace, "dhat")).unwrap();
    // A resize ends one block and begins another: of the stack that resized.
    let entries = dhat["pps"].as_array().unwrap();
    let figures =
        |field: &str| entries.iter().map(|entry| entry[field].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!((figures("tbk"), figures("mb")), (vec![2, 1, 1], vec![160, 30, 7]));
    // In microseconds: 2 + 8, 1, and 5.
    assert_eq!((figures("tl"), figures("eb")), (vec![10, 1, 5], vec![100, 0, 7]));
    let massif = text(&trace, "massif");
    let peak = massif.split("heap_tree=peak\n").nth(1).unwrap().split("#--").next().unwrap();
    let expected = "n2: 167 (heap allocation functions) malloc/new/new[], --alloc-fns, etc.\n \
                    n1: 160 0x1300: [sample;x]+0x300\n  n1: 160 0x1200: [sample;x]+0x200\n   \
                    n0: 160 0x1100: [sample;x]+0x100\n n0: 7 0x0: (unknown caller)\n";
    assert_eq!(peak, expected);
}

#[test]
fn names_of_files_decide_about_compression() {
    let folder = tempfile::tempdir().unwrap();
    let trace = every_table(folder.path());
    let plain = text(&trace, "csv");
    let written = |name: &str, format: &str| {
        let path = folder.path().join(name);
        assert_eq!(stdout(export(&trace, &["--to", format, "-o", path.to_str().unwrap()])), "");
        fs::read(path).unwrap()
    };
    let mut unpacked = String::new();
    GzDecoder::new(&*written("a.csv.gz", "csv")).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    assert_eq!(zstd::decode_all(&*written("a.csv.zst", "csv")).unwrap(), plain.as_bytes());
    assert_eq!(written("a.csv", "csv"), plain.as_bytes());
    assert!(written("a.profile", "pprof").starts_with(b"\x1f\x8b"));
}

#[test]
fn files_are_not_overwritten_and_empty_traces_are_exported() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("empty.mpt");
    write_trace(&trace, |_| ());
    let output = folder.path().join("out");
    let name = output.to_str().unwrap();
    for format in FORMATS {
        stdout(export(&trace, &["--to", format, "-o", name, "--force"]));
    }
    let text = refusal(export(&trace, &["--to", "csv", "-o", name]));
    assert!(text.contains("the file is there already; --force overwrites it"), "{text}");
    let unknown = export(&trace, &["--to", "xml"]);
    let text = String::from_utf8_lossy(&unknown.stderr);
    assert!(unknown.status.code() == Some(125) && text.contains("possible values: folded"), "{text}");
}

#[test]
#[cfg(not(feature = "parquet"))]
fn parquet_is_refused_where_it_is_not_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let trace = every_table(folder.path());
    let text = refusal(export(&trace, &["--to", "parquet", "-o", folder.path().to_str().unwrap()]));
    assert!(text.contains("--features parquet"), "{text}");
}
