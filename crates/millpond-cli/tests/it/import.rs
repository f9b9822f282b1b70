//! `millpond import`: files of other programs as traces, and what these lack.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use millpond_trace::{Reader, Summary};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{every_table, millpond, refusal, refusal_with, sample, skipped};

/// A folder with files to import.
struct Workshop(TempDir);

impl Workshop {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command on a trace.
    fn run(&self, command: &str, options: &[&str]) -> Output {
        let mut program = millpond();
        program.arg(command).arg(self.path("out.mpt")).args(options);
        program.env("XDG_CACHE_HOME", self.path("cache")).output().unwrap()
    }

    fn import(&self, file: &Path) -> Output {
        millpond().args(["import", "--force"]).arg(file).arg("-o").arg(self.path("out.mpt")).output().unwrap()
    }

    /// Imports a file; returns the summary of the trace and what was printed.
    fn imported(&self, file: &Path) -> (Summary, String) {
        let output = self.import(file);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        let reader = Reader::open(self.path("out.mpt")).unwrap();
        (reader.summary().clone(), text)
    }

    fn imported_text(&self, contents: &str) -> (Summary, String) {
        fs::write(self.path("file"), contents).unwrap();
        self.imported(&self.path("file"))
    }

    /// Returns the report on the imported trace.
    fn shown(&self) -> Value {
        let output = self.run("show", &["--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Returns the message with which a command refuses the imported trace.
    fn refused(&self, command: &str, options: &[&str]) -> String {
        refusal(self.run(command, options))
    }
}

/// Exports a trace.
fn export(trace: &Path, format: &str, file: &Path) {
    let mut command = millpond();
    command.arg("export").arg(trace).args(["--to", format, "-o"]).arg(file);
    assert!(command.output().unwrap().status.success());
}

/// Returns the names of the functions of each site, with its bytes.
fn sites(report: &Value) -> Vec<(Vec<String>, u64)> {
    let name = |frame: &Value| frame["function"].as_str().unwrap().to_owned();
    let names = |frames: &Value| frames.as_array().unwrap().iter().map(name).collect();
    let sites = report["by_site"].as_array().unwrap();
    sites.iter().map(|site| (names(&site["frames"]), site["bytes"].as_u64().unwrap())).collect()
}

#[test]
fn what_was_exported_comes_back() {
    let workshop = Workshop::new();
    let (trace, expected) = sample(workshop.0.path());
    for (format, name) in
        [("heaptrack", "a.zst"), ("heaptrack", "b.gz"), ("heaptrack", "c"), ("dhat", "d.json")]
    {
        let file = workshop.path(name);
        export(&trace, format, &file);
        let (found, _) = workshop.imported(&file);
        let counts = |summary: &Summary| {
            (summary.allocations, summary.requested, summary.peak_bytes, summary.live_at_end)
        };
        assert_eq!(counts(&found), counts(&expected), "{name}");
    }
    let trace = every_table(workshop.0.path());
    for format in ["heaptrack", "dhat"] {
        export(&trace, format, &workshop.path(format));
        workshop.imported(&workshop.path(format));
        let found = sites(&workshop.shown());
        let expected = [
            (vec!["[sample:x]+0x300", "[sample:x]+0x200", "[sample:x]+0x100"], 160),
            (vec!["[sample:x]+0x400", "[sample:x]+0x200", "[sample:x]+0x100"], 30),
            (vec!["(unknown caller)"], 7),
        ];
        let names = |(frames, bytes): &(Vec<String>, u64)| {
            (frames.iter().map(|frame| frame.replace(';', ":")).collect::<Vec<_>>(), *bytes)
        };
        let expected =
            expected.map(|(frames, bytes)| (frames.into_iter().map(str::to_owned).collect(), bytes));
        assert_eq!(found.iter().map(names).collect::<Vec<_>>(), expected, "{format}");
    }
}

/// A file as mtrace writes it: a block that is resized twice, one of an unknown file, and what fails.
const MTRACE: &str = "= Start
@ ./app:(start+0x1a)[0x11d5] + 0x1000 0x64
@ ./app:[0x11e8] + 0x2000 0xc8
@ ./app:(grow+0x4)[0x11bc] < 0x1000
@ ./app:(grow+0x4)[0x11bc] > 0x3000 0x1388
@ [0x55550000] - 0x2000
- 0x7777
@ ./app:[0x1236] + (nil) 0xfffffffffffffc18
@ ./app:[0x11bc] ! 0x3000 0x10
@ ./app:[0x1275] + 0x4000 0
= End
";

#[test]
fn mtrace_is_imported() {
    let workshop = Workshop::new();
    let (summary, text) = workshop.imported_text(MTRACE);
    assert_eq!((summary.allocations, summary.resizes, summary.frees), (4, 1, 1));
    assert_eq!((summary.requested, summary.peak_bytes), (100 + 200 + 5000, 5200));
    assert_eq!((summary.unknown_frees, summary.failed, summary.live_at_end), (1, 2, 2));
    assert!(text.contains("of mtrace, which does not say which thread made a call, when"), "{text}");
    let report = workshop.shown();
    let found = sites(&report);
    assert_eq!(found[0], (vec!["grow".to_owned()], 5000), "{report}");
    assert!(found.iter().any(|(frames, bytes)| frames == &["app+0x11e7"] && *bytes == 200), "{found:?}");
    assert_eq!(report["trace"]["lacks"], serde_json::json!(["threads", "times", "stacks"]));
    assert_eq!((&report["trace"]["wall_ns"], &report["trace"]["threads"]), (&Value::Null, &Value::Null));
    assert_eq!((&report["by_thread"], &report["by_phase"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert!(report["by_site"][0]["lifetime"].is_null() && report["by_site"][0]["temporaries"].is_null());
    assert!(
        workshop
            .refused("export", &["--to", "massif"])
            .contains("when a call was made, as this format needs it")
    );
    assert!(workshop.run("export", &["--to", "heaptrack"]).status.success());
    assert!(
        workshop
            .refused("show", &["--lifetime", "..1ms"])
            .contains("when a call was made, as --lifetime needs it")
    );
    assert!(workshop.run("show", &["--lifetime", "kept"]).status.success());
    let events = String::from_utf8(workshop.run("export", &["--to", "csv-events"]).stdout).unwrap();
    let rows: Vec<Vec<_>> = events.lines().skip(1).map(|row| row.split(',').collect()).collect();
    assert_eq!(rows[0][2..5], ["allocate", "1", "100"]);
    assert!(rows.iter().any(|row| row[2] == "free"), "{events}");
    // Times, threads and lifetimes.
    assert!(rows.iter().all(|row| [0, 1, 7].map(|column| row[column]) == [""; 3]), "{events}");
}

#[test]
fn comparisons_leave_out_what_is_lacking() {
    let workshop = Workshop::new();
    workshop.imported_text(MTRACE);
    let (trace, budget) = (workshop.path("out.mpt"), workshop.path("budget.toml"));
    let diff = |options: &[&str]| workshop.run("diff", &[&[trace.to_str().unwrap()], options].concat());
    let report: Value = serde_json::from_slice(&diff(&["--json"]).stdout).unwrap();
    assert_eq!(report["total"]["bytes"]["after"]["most"], 5300, "{report}");
    for figures in [&report["total"], &report["by_site"][0]["figures"]] {
        assert!(figures["growth_bytes"].is_null() && figures["temporaries"].is_null(), "{report}");
    }
    assert!(report["by_site"][0]["lifetime_before"].is_null());
    let text = String::from_utf8(diff(&[]).stdout).unwrap();
    assert!(text.contains("bytes requested") && !text.contains("temporary blocks"), "{text}");
    let said = refusal(diff(&["--folded", "temporary"]));
    assert!(said.contains("which thread made a call, as a comparison needs it"), "{said}");

    let check = |limit: &str| {
        fs::write(&budget, format!("version = 1\n[total]\n{limit}\n")).unwrap();
        workshop.run("check", &["--budget", budget.to_str().unwrap()])
    };
    assert!(check("bytes = 5300").status.success());
    let said = refusal_with(2, check("growth_bytes = 0"));
    assert!(said.contains("does not say when a call was made"), "{said}");
}

const JEMALLOC: &str = "heap_v2/524288
  t*: 30: 7680 [40: 10240]
  t0: 30: 7680 [40: 10240]
@ 0x1235 0x1345
  t*: 30: 7680 [40: 10240]
  t0: 30: 7680 [40: 10240]
@
  t*: 1: 1073741824 [0: 0]

MAPPED_LIBRARIES:
1000-2000 r-xp 00000000 00:00 123                        [some app]
3000-4000 rw-p 00000000 00:00 0
";

#[test]
fn jemalloc_is_imported_and_scaled() {
    let workshop = Workshop::new();
    let (summary, text) = workshop.imported_text(JEMALLOC);
    // One of 2,048.5 blocks of 256 bytes is sampled.
    assert_eq!(summary.live_at_end, 61_455 + 1);
    assert_eq!(summary.frees, 81_940 - 61_455);
    assert!(text.contains("that is estimated from samples"), "{text}");
    let report = workshop.shown();
    let found = sites(&report);
    assert_eq!(found[0].1, 1 << 30);
    assert_eq!(found[1].0, ["[some app]+0x234", "[some app]+0x344"]);
    assert_eq!((&report["trace"]["peak_bytes"], &report["by_size"]), (&Value::Null, &Value::Array(vec![])));
    let process = &report["processes"][0];
    assert_eq!((&process["peak_bytes"], &process["wall_ns"]), (&Value::Null, &Value::Null));
    assert!(report["by_site"][1]["bytes_at_peak"].is_null());
    let output = workshop.run("show", &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("at the peak ") && !text.contains("Sizes") && !text.contains("Phases"), "{text}");
    assert!(text.contains("converted from a file of jemalloc, which does not say"), "{text}");
    for (command, options) in [
        ("replay", &[][..]),
        ("advise", &[]),
        ("export", &["--to", "heaptrack"]),
        ("export", &["--to", "jsonl"]),
        ("export", &["--to", "folded", "--measure", "peak"]),
    ] {
        let text = workshop.refused(command, options);
        assert!(text.contains("converted from a file of jemalloc, which does not say"), "{text}");
    }
    for format in ["folded", "speedscope", "pprof", "csv"] {
        assert!(workshop.run("export", &["--to", format, "-o", "/dev/null"]).status.success());
    }
}

#[test]
fn bad_files_are_refused_with_the_line() {
    let workshop = Workshop::new();
    let refused = |contents: &[u8]| {
        fs::write(workshop.path("file"), contents).unwrap();
        let text = refusal(workshop.import(&workshop.path("file")));
        assert!(!workshop.path("out.mpt").exists());
        text
    };
    for (contents, expected) in [
        ("hello\n", "is no file of heaptrack, mtrace, jemalloc or DHAT: name its format with --from"),
        ("", "is no file of"),
        ("v 10400 3\n+ 0\n", "file, line 2: it refers to a line that was not there yet"),
        ("v 10400 3\nt 1 0\n", "file, line 2: it refers to a line"),
        ("v 10400 3\ns 9 short\n", "line 2: a text is shorter than it says"),
        ("v 10400 3\nq 1\n", "line 2: it begins with \"q\", which heaptrack does not write"),
        ("v 10400 3\nx 1 a\n+ 1 zz 3\n", "line 3: \"zz\" is no hexadecimal number"),
        (
            "= Start\n@ a:[0x1] > 0x5 0x6\n",
            "line 2: a block was resized, and the line before does not say which",
        ),
        ("= Start\n@ a:[0x1 + 0x5 0x6\n", "line 2: the address of the caller has no end"),
        ("heap_v2/0\n", "the first line is not heap_v2/PERIOD"),
        ("heap_v2/1\n@ 0x1\n t*: 1\n", "line 3: two counts were expected after t*:"),
        ("{\"dhatFileVersion\": 2}", "it is not JSON as DHAT writes it"),
        (
            "{\"dhatFileVersion\":2,\"bklt\":true,\"ftbl\":[],\"pps\":[{\"tb\":1,\"tbk\":1,\"gb\":9,\"gbk\":9,\
             \"eb\":0,\"ebk\":0,\"fs\":[]}]}",
            "the sums of entry 0 contradict each other",
        ),
    ] {
        let text = refused(contents.as_bytes());
        assert!(text.contains(expected), "{contents}: {text}");
    }
    let packed = zstd::encode_all(MTRACE.as_bytes(), 0).unwrap();
    let text = refused(&packed[..packed.len() - 5]);
    assert!(text.contains("cannot be decompressed") || text.contains("the file is damaged"), "{text}");
}

/// Runs a program that makes a file to import; `None`, with a message, if there is none.
fn made(what: &str, command: &mut Command) -> Option<String> {
    match command.output() {
        Ok(output) if output.status.success() => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        failed => {
            skipped(what, &format!("it cannot be run: {failed:?}"));
            None
        }
    }
}

/// A command with some thousand allocations.
const JQ: [&str; 3] = ["jq", "-n", "[range(2000) | {n: ., s: \"x\\(.)\"}] | length"];

#[test]
fn heaptracks_own_files_are_imported() {
    let workshop = Workshop::new();
    for (options, name) in [(&["-o"][..], "a.zst"), (&["-r", "-o"], "b.raw.zst")] {
        let stem = workshop.path(name.split('.').next().unwrap());
        let mut heaptrack = Command::new("heaptrack");
        if made("heaptrack", heaptrack.args(options).arg(&stem).args(JQ)).is_none() {
            return;
        }
        let (summary, _) = workshop.imported(&workshop.path(name));
        assert!(summary.allocations > 4000, "{summary:?}");
        let found = sites(&workshop.shown());
        let known =
            found.iter().filter(|(frames, _)| frames.iter().any(|frame| frame.starts_with("jv_"))).count();
        assert!(known > 3, "{name}: {found:?}");
        if name == "a.zst" {
            let mut print = Command::new("heaptrack_print");
            let Some(text) = made("heaptrack_print", print.arg(workshop.path(name))) else { return };
            let calls = format!("calls to allocation functions: {} (", summary.allocations);
            assert!(text.contains(&calls), "{calls}: {text}");
        }
    }
}

#[test]
fn dhats_own_files_are_imported() {
    let workshop = Workshop::new();
    let file = workshop.path("jq.dhat");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=dhat", &format!("--dhat-out-file={}", file.display())]).args(JQ);
    if made("valgrind --tool=dhat", &mut valgrind).is_none() {
        return;
    }
    let data: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let sum = |field: &str| {
        data["pps"].as_array().unwrap().iter().map(|entry| entry[field].as_u64().unwrap()).sum::<u64>()
    };
    let (summary, _) = workshop.imported(&file);
    assert_eq!((summary.allocations, summary.requested), (sum("tbk"), sum("tb")));
    assert_eq!((summary.peak_bytes, summary.peak_blocks), (sum("gb"), sum("gbk")));
    assert_eq!(summary.live_at_end, sum("ebk"));
    let found = sites(&workshop.shown());
    assert!(found.iter().any(|(frames, _)| frames.iter().any(|frame| frame.starts_with("jv_"))), "{found:?}");
}

#[test]
fn jemallocs_own_files_are_imported() {
    let workshop = Workshop::new();
    let library = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";
    if !Path::new(library).exists() {
        return skipped("jemalloc's own files", "there is no libjemalloc.so.2");
    }
    let source = "#include <stdlib.h>\nvoid *kept[3000];\nstatic void *take(void) { return malloc(4096); }\n\
                  int main(void) { for (int at = 0; at < 3000; at++) kept[at] = take(); return 0; }\n";
    fs::write(workshop.path("app.c"), source).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-O0", "-g", "-w", "-o"]).arg(workshop.path("app")).arg(workshop.path("app.c"));
    if made("cc", &mut compiler).is_none() {
        return;
    }
    let options = format!(
        "prof:true,prof_final:true,lg_prof_sample:16,prof_prefix:{}",
        workshop.path("heap").display()
    );
    let mut app = Command::new(workshop.path("app"));
    if made("a program with jemalloc", app.env("LD_PRELOAD", library).env("MALLOC_CONF", options)).is_none() {
        return;
    }
    let files = fs::read_dir(workshop.0.path()).unwrap().map(|file| file.unwrap().path());
    let Some(file) = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "heap")) else {
        return skipped("jemalloc's own files", "this jemalloc was built without profiling");
    };
    workshop.imported(&file);
    let report = workshop.shown();
    let site = report["by_site"]
        .as_array()
        .unwrap()
        .iter()
        .find(|site| site["frames"].as_array().unwrap().iter().any(|frame| frame["function"] == "take"));
    let lacks = report["trace"]["lacks"].as_array().unwrap();
    assert!(lacks.contains(&"freed".into()), "{lacks:?}");
    // 12.3 million bytes, of which some 200 samples were taken: the estimate is within a third.
    let live = site.unwrap()["live_bytes"].as_u64().unwrap();
    assert!((8_000_000..16_500_000).contains(&live), "{report}");
}

#[test]
fn mtraces_own_files_are_imported() {
    let workshop = Workshop::new();
    let library = "/lib/x86_64-linux-gnu/libc_malloc_debug.so.0";
    if !Path::new(library).exists() {
        return skipped("mtrace's own files", "there is no libc_malloc_debug.so.0");
    }
    let source = "#include <mcheck.h>\n#include <stdlib.h>\nvoid *take(void) { return malloc(77); }\n\
                  int main(void) { mtrace(); void *a = take(); void *b = calloc(10, 20); a = realloc(a, 5000); free(b);\n\
                  free(a); take(); muntrace(); return 0; }\n";
    fs::write(workshop.path("app.c"), source).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-O0", "-g", "-w", "-o"]).arg(workshop.path("app")).arg(workshop.path("app.c"));
    if made("cc", &mut compiler).is_none() {
        return;
    }
    let file = workshop.path("log");
    let mut app = Command::new(workshop.path("app"));
    if made("mtrace", app.env("LD_PRELOAD", library).env("MALLOC_TRACE", &file)).is_none() {
        return;
    }
    let (summary, _) = workshop.imported(&file);
    assert_eq!((summary.allocations, summary.resizes, summary.frees), (4, 1, 2), "{summary:?}");
    assert_eq!((summary.requested, summary.live_at_end), (77 + 200 + 5000 + 77, 1));
    let found = sites(&workshop.shown());
    let expected = |name: &str, bytes: u64| found.contains(&(vec![name.to_owned()], bytes));
    assert!(expected("take", 154) && expected("main", 5200), "{found:?}");
}
