//! Recordings of real programs, exported, and read by the programs whose formats these are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{export, stdout, text};
use crate::support::{millpond, skipped};

/// A recording of a program, and the counts in it.
struct Recorded {
    folder: TempDir,
    trace: PathBuf,
    counts: Value,
}

impl Recorded {
    /// Records a command; `None`, with a message, if there is no such program.
    fn new(command: &[&str]) -> Option<Self> {
        if Command::new(command[0]).arg("--version").output().is_err() {
            skipped(&format!("exports of {}", command[0]), "it is not there");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("out.mpt");
        let mut recorder = millpond();
        recorder.args(["record", "-o"]).arg(&trace).arg("--").args(command);
        let recorded = recorder.env("XDG_CACHE_HOME", folder.path()).output().unwrap();
        assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
        let lines = text(&trace, "jsonl");
        let counts = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        Some(Self { folder, trace, counts })
    }

    fn count(&self, field: &str) -> u64 {
        self.counts[field].as_u64().unwrap()
    }

    /// Exports the recording to a file.
    fn export(&self, format: &str, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        stdout(export(&self.trace, &["--to", format, "-o", path.to_str().unwrap()]));
        path
    }
}

/// Recordings of some real programs, and of one with threads.
fn recordings() -> Vec<Recorded> {
    let commands: [&[&str]; 3] = [
        &["jq", "-n", "[range(2000) | {n: ., s: \"x\\(.)\"}] | length"],
        &[
            "sqlite3",
            ":memory:",
            "create table t(a); insert into t values(1),(2); select count(*) from t, t b;",
        ],
        &["perl", "-e", "my %h; $h{$_} = $_ x 3 for 1..2000; print scalar keys %h"],
    ];
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("threads");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/threads.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-O0", "-g", "-w", "-pthread", "-o"]).arg(&program).arg(source);
    let threads = read("cc", &mut compiler).and_then(|_| Recorded::new(&[program.to_str().unwrap(), "3"]));
    commands.into_iter().filter_map(Recorded::new).chain(threads).collect()
}

/// Runs a reader and returns its output; `None`, with a message, if there is none.
fn read(what: &str, reader: &mut Command) -> Option<String> {
    match reader.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{what}: {text}{}", String::from_utf8_lossy(&output.stderr));
            Some(text)
        }
        Err(error) => {
            skipped(what, &format!("it cannot be run: {error}"));
            None
        }
    }
}

/// Formats bytes as heaptrack does.
fn heaptrack_bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes}B"),
        1_000..1_000_000 => format!("{:.2}K", bytes as f64 / 1e3),
        _ => format!("{:.2}M", bytes as f64 / 1e6),
    }
}

#[test]
fn heaptrack_print_has_the_same_sums() {
    for recorded in recordings() {
        for name in ["a.gz", "a.zst", "a.txt"] {
            let file = recorded.export("heaptrack", name);
            let mut reader = Command::new("heaptrack_print");
            let Some(text) = read("heaptrack_print", reader.arg(&file)) else { return };
            let line = |start: &str| {
                let found = text.lines().find_map(|line| line.strip_prefix(start));
                found.unwrap_or_else(|| panic!("{start}: {text}")).trim()
            };
            let calls = recorded.count("allocations");
            assert!(
                line("calls to allocation functions:").starts_with(&format!("{calls} (")),
                "{calls}: {text}"
            );
            let peak = heaptrack_bytes(recorded.count("peak_bytes"));
            // It cuts off what this rounds.
            let found = line("peak heap memory consumption:");
            assert!(found[..found.len() - 2] == peak[..peak.len() - 2], "{peak}: {found}");
        }
    }
}

#[test]
fn pprof_has_the_same_sums() {
    for recorded in recordings() {
        let file = recorded.export("pprof", "a.pb.gz");
        let mut reader = Command::new("go");
        reader.args(["tool", "pprof", "-raw"]).arg(&file).env("PPROF_TMPDIR", recorded.folder.path());
        let Some(raw) = read("go tool pprof", &mut reader) else { return };
        let samples = raw.split("Samples:\n").nth(1).unwrap().split("Locations\n").next().unwrap();
        let mut sums = [0; 6];
        for line in samples.lines().skip(1).filter(|line| !line.trim_start().starts_with("bytes:")) {
            let values = line.split_once(": ").unwrap().0.split_whitespace();
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value.parse::<u64>().unwrap());
        }
        let count = |field: &str| recorded.count(field);
        let expected = [count("allocations"), count("requested_bytes"), count("live_at_end")];
        assert_eq!([sums[0], sums[1], sums[2]], expected, "{raw}");
        assert_eq!([sums[4], sums[5]], [count("peak_blocks"), count("peak_bytes")]);
        reader = Command::new("go");
        reader.args(["tool", "pprof", "-top", "-sample_index=peak_space"]).arg(&file);
        let top = read("go tool pprof", &mut reader).unwrap();
        assert!(top.contains("Type: peak_space") && top.contains("flat%"), "{top}");
    }
}

#[test]
fn ms_print_shows_the_peak() {
    for recorded in recordings() {
        let file = recorded.export("massif", "a.massif");
        let Some(text) = read("ms_print", Command::new("ms_print").arg(&file)) else { return };
        let peak = recorded.count("peak_bytes").to_string();
        assert!(text.contains("(peak)"), "{text}");
        assert!(text.contains("(heap allocation functions)"), "{text}");
        assert!(text.replace(',', "").contains(&format!(" {peak} ")), "{peak}: {text}");
    }
}

#[test]
fn sqlite_reads_the_tables() {
    for recorded in recordings() {
        let (stacks, events) = (recorded.export("csv", "s.csv"), recorded.export("csv-events", "e.csv"));
        let import = |file: &Path, table: &str| format!(".import --csv {} {table}", file.display());
        let mut reader = Command::new("sqlite3");
        reader.arg(":memory:").args([import(&stacks, "stacks"), import(&events, "events")]);
        reader.arg("select sum(bytes), sum(allocations) + sum(resizes), sum(live_blocks) from stacks; select count(*) from events;");
        let Some(text) = read("sqlite3", &mut reader) else { return };
        let count = |field: &str| recorded.count(field);
        let sums = [count("requested_bytes"), count("allocations"), count("live_at_end")];
        let [bytes, calls, live] = sums;
        assert_eq!(text, format!("{bytes}|{calls}|{live}\n{}\n", count("events")));
    }
}

/// The scripts of valgrind's page for DHAT.
const DH_VIEW: &str = "/usr/libexec/valgrind";

#[test]
fn dh_view_opens_the_file() {
    let view = Path::new(DH_VIEW);
    if !view.join("dh_view.html").exists() {
        return skipped("dh_view.html", "valgrind's is not in /usr/libexec/valgrind");
    }
    for recorded in recordings() {
        let folder = recorded.folder.path();
        let data = fs::read_to_string(recorded.export("dhat", "a.json")).unwrap();
        for name in ["dh_view.js", "dh_view.css"] {
            fs::copy(view.join(name), folder.join(name)).unwrap();
        }
        let page = fs::read_to_string(view.join("dh_view.html")).unwrap();
        // Selects the file as a user would.
        let load = format!(
            "const data = {data};\nwindow.addEventListener('load', () => {{ const files = new DataTransfer(); \
             files.items.add(new File([JSON.stringify(data)], 'a.json')); gInput.files = files.files; loadFile(); }});"
        );
        fs::write(folder.join("load.js"), load).unwrap();
        let page = page.replace("</body>", "<script src=\"load.js\"></script></body>");
        fs::write(folder.join("page.html"), page).unwrap();
        let mut browser = Command::new("chromium");
        browser.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ]);
        browser.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        browser.arg(format!("file://{}", folder.join("page.html").display()));
        let Some(dom) = read("chromium", &mut browser) else { return };
        let dom = dom.replace(',', "");
        let total = format!("{} bytes", recorded.count("requested_bytes"));
        assert!(dom.contains("Mode:    millpond") && dom.contains(&total), "{total}: {dom}");
        assert!(dom.contains(&format!("{} bytes", recorded.count("peak_bytes"))), "{dom}");
    }
}
