//! Parquet: what is in the tables, compared with JSON lines and `millpond show`, and what is left of a run that failed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::{Field, Row},
};
use serde_json::{Value, json};

use super::{export, stdout, text};
use crate::{
    archive,
    support::{every_table, millpond, refusal, sample, write_trace},
};

type Object = BTreeMap<String, Value>;

/// A folder of tables.
struct Fleet(PathBuf);

impl Fleet {
    fn new(folder: &Path) -> Self {
        Self(folder.join("fleet"))
    }

    /// Exports a recording into it.
    fn add(&self, trace: &Path, options: &[&str]) {
        assert_eq!(stdout(export(trace, &[&self.options(), options].concat())), "");
    }

    fn options(&self) -> [&str; 4] {
        ["--to", "parquet", "-o", self.0.to_str().unwrap()]
    }

    /// Returns the rows of a table's part that is one run's.
    fn rows(&self, table: &str, run: &str) -> Vec<Object> {
        let file = self.0.join(table).join(format!("run={run}/part-0.parquet"));
        let reader = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
        reader.get_row_iter(None).unwrap().map(|row| object(&row.unwrap())).collect()
    }

    /// Returns the names of everything directly in it, or in a table.
    fn names(&self, table: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.0.join(table)) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn object(row: &Row) -> Object {
    let value = |field: &Field| match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => json!(flag),
        Field::Long(number) => json!(number),
        Field::Str(text) => json!(text),
        other => panic!("{other} has another type than the tables have"),
    };
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

/// The lines of JSON, by type.
struct Lines(BTreeMap<String, Vec<Object>>);

impl Lines {
    fn of(trace: &Path) -> Self {
        let mut lines: BTreeMap<String, Vec<Object>> = BTreeMap::new();
        for line in text(trace, "jsonl").lines() {
            let line: Object = serde_json::from_str(line).unwrap();
            lines.entry(line["type"].as_str().unwrap().to_owned()).or_default().push(line);
        }
        Self(lines)
    }

    fn get(&self, of_type: &str) -> &[Object] {
        self.0.get(of_type).map_or(&[], |lines| lines)
    }
}

/// Compares tables with lines of JSON, column by column: name in the table, name in JSON.
fn compare(found: &[Object], expected: &[Object], columns: &[(&str, &str)]) {
    assert_eq!(found.len(), expected.len());
    for (row, line) in found.iter().zip(expected) {
        for &(column, name) in columns {
            // In JSON, stack 0 stands for none.
            let expected = match &line[name] {
                none if name.contains("stack") || name == "parent" => {
                    if none == 0 {
                        &Value::Null
                    } else {
                        none
                    }
                }
                value => value,
            };
            assert_eq!(&row[column], expected, "{column} of {row:?}");
        }
    }
}

/// Returns pairs of equal names.
fn same(names: &str) -> Vec<(&str, &str)> {
    names.split_whitespace().map(|name| (name, name)).collect()
}

#[test]
fn tables_have_what_json_lines_have() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::new(folder.path());
    let traces = [("sample", sample(folder.path()).0), ("every", every_table(folder.path()))];
    for (run, trace) in &traces {
        fleet.add(trace, &["--run", run, "--host", "h1", "--service", "shop"]);
        let (events, lines) = (fleet.rows("events", run), Lines::of(trace));
        let columns = "time_ns thread operation size old_size alignment block lifetime_ns stack block_stack \
                       block_thread temporary";
        compare(&events, lines.get("event"), &same(columns));
        let numbers = events.iter().map(|event| event["event"].as_u64().unwrap());
        assert!(numbers.eq(1..=events.len() as u64));
        let labels = |row: &Object| [&row["host"], &row["service"], &row["version"]].map(Value::clone);
        assert!(events.iter().all(|event| labels(event) == [json!("h1"), json!("shop"), Value::Null]));
        let addresses = [("first_address", "start"), ("end_address", "end"), ("file_offset", "offset")];
        compare(&fleet.rows("modules", run), lines.get("module"), &addresses);
        for (table, of_type, columns) in [
            ("modules", "module", "module path build_id loaded_ns unloaded_ns"),
            ("stacks", "stack", "stack parent frame"),
            ("threads", "thread", "thread name from_ns to_ns"),
            ("marks", "mark", "time_ns name"),
            ("samples", "sample", "time_ns resident_bytes anonymous_bytes page_faults cpu_ns"),
        ] {
            compare(&fleet.rows(table, run), lines.get(of_type), &same(columns));
        }
        compare_frames(&fleet.rows("frames", run), &lines);
    }
    assert_eq!(fleet.names("events"), ["run=every", "run=sample"]);
}

/// Compares the table of frames, which has a row for each function.
fn compare_frames(found: &[Object], lines: &Lines) {
    let functions = lines.get("function");
    let expected = lines.get("frame").iter().flat_map(|frame| {
        let numbers = frame["functions"].as_array().unwrap().clone();
        let rows = numbers.into_iter().enumerate().map(|(depth, number)| {
            let mut row = frame.clone();
            row.extend(functions[number.as_u64().unwrap() as usize].clone());
            row.insert("depth".into(), json!(depth));
            row
        });
        rows.collect::<Vec<_>>()
    });
    let columns = "frame depth kind address module function file line";
    compare(found, &expected.collect::<Vec<_>>(), &same(columns));
}

#[test]
fn sites_and_processes_are_those_that_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::new(folder.path());
    let trace = archive::write(folder.path());
    fleet.add(&trace, &["--run", "one", "--service-version", "1.2"]);
    let (sites, events) = (fleet.rows("sites", "one"), fleet.rows("events", "one"));
    let processes = fleet.rows("processes", "one");
    assert_eq!(processes.len(), 5);
    for process in &processes {
        assert_eq!(
            (&process["service"], &process["version"]),
            (&json!("make"), &json!("1.2")),
            "the first program"
        );
        let place = format!("@{}", process["process"]);
        let shown =
            millpond().args(["show", "--json", "--process", &place]).arg(&trace).output().unwrap().stdout;
        let shown: Value = serde_json::from_slice(&shown).unwrap();
        let about = &shown["trace"];
        let of_trace = ["events", "allocations", "resizes", "frees", "requested_bytes", "peak_bytes"];
        let of_trace = of_trace.into_iter().chain(["peak_blocks", "live_at_end", "wall_ns", "ending"]);
        of_trace.for_each(|name| assert_eq!(process[name], about[name], "{name}"));
        assert_eq!([&process["pid"], &process["parent_pid"]], [&about["process"], &about["parent"]]);
        let is_own = |row: &&Object| row["process"] == process["process"];
        let sites: Vec<_> = sites.iter().filter(is_own).collect();
        let expected = shown["by_site"].as_array().unwrap();
        assert_eq!(sites.len(), expected.len());
        for (site, expected) in sites.iter().zip(expected) {
            assert_eq!(site["function"], expected["frames"][0]["function"]);
            assert_eq!(site["stacks"], expected["stacks"]);
            let is_of = |event: &&Object| event["site"] == site["site"];
            let calls = events.iter().filter(is_own).filter(is_of);
            let bytes: u64 = calls.clone().map(|event| event["size"].as_u64().unwrap()).sum();
            assert_eq!(
                (&json!(calls.count()), &json!(bytes)),
                (&expected["allocations"], &expected["bytes"])
            );
        }
    }
}

#[test]
fn a_run_is_there_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::new(folder.path());
    let trace = every_table(folder.path());
    let with = |options: &[&'static str]| [&fleet.options(), options].concat();
    let text = refusal(export(&trace, &with(&["--run", "a", "--size", "5000"])));
    assert!(text.contains("none of 4 allocations"), "{text}");
    assert!(fleet.names("").is_empty(), "{:?}", fleet.names(""));
    fleet.add(&trace, &["--run", "a"]);
    let text = refusal(export(&trace, &with(&["--run", "a"])));
    assert!(text.contains("run=a/part-0.parquet is there already: --force replaces the run"), "{text}");
    fleet.add(&trace, &["--run", "b"]);
    fleet.add(&trace, &["--run", "a", "--force", "--size", "100"]);
    assert_eq!((fleet.rows("events", "a").len(), fleet.rows("events", "b").len()), (1, 5));
    assert_eq!(fleet.rows("processes", "a")[0]["selection"], "--size 100");
    assert_eq!(fleet.names("processes"), ["run=a", "run=b"]);
    let tables =
        ["events", "frames", "marks", "modules", "processes", "samples", "sites", "stacks", "threads"];
    assert_eq!(fleet.names(""), tables, "nothing temporary is left");
}

#[test]
fn what_names_a_run_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::new(folder.path());
    let trace = folder.path().join("empty.mpt");
    write_trace(&trace, |_| ());
    let with = |options: &[&'static str]| [&fleet.options(), options].concat();
    let text = refusal(export(&trace, &with(&[])));
    assert!(text.contains("does not say when it was made: name it with --run"), "{text}");
    let text = refusal(export(&trace, &with(&["--run", "../x"])));
    assert!(text.contains("names folders"), "{text}");
    fleet.add(&trace, &["--run", "empty"]);
    assert_eq!((fleet.rows("events", "empty").len(), fleet.rows("processes", "empty").len()), (0, 1));
    fleet.add(&archive::write(folder.path()), &[]);
    assert_eq!(fleet.names("processes"), ["run=7000-7", "run=empty"]);
    let text = refusal(export(&trace, &["--to", "csv", "--host", "h"]));
    assert!(text.contains("are for --to parquet"), "{text}");
    let text = refusal(export(&trace, &["--to", "parquet"]));
    assert!(text.contains("name it with -o DIR"), "{text}");
    let file = trace.to_str().unwrap();
    let text = refusal(export(&trace, &["--to", "parquet", "-o", file, "--run", "x"]));
    assert!(text.contains("is not a folder"), "{text}");
}

#[test]
fn what_a_converted_trace_does_not_say_is_null() {
    let folder = tempfile::tempdir().unwrap();
    let (log, trace) = (folder.path().join("log"), folder.path().join("log.mpt"));
    fs::write(&log, "= Start\n@ ./a:[0x10] + 0x1000 0x20\n@ ./a:[0x14] - 0x1000\n= End\n").unwrap();
    let imported = millpond().arg("import").arg(&log).arg("-o").arg(&trace).output().unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let fleet = Fleet::new(folder.path());
    fleet.add(&trace, &["--run", "log"]);
    let events = fleet.rows("events", "log");
    assert_eq!(events.len(), 2);
    for name in ["time_ns", "thread", "lifetime_ns", "block_thread", "temporary"] {
        assert!(events.iter().all(|event| event[name].is_null()), "{name}");
    }
    let process = &fleet.rows("processes", "log")[0];
    assert_eq!((&process["origin"], &process["lacks"]), (&json!("mtrace"), &json!("threads times stacks")));
    assert!(process["wall_ns"].is_null());
}
