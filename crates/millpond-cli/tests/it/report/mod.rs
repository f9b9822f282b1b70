//! `millpond report`.

mod browser;
mod maps;
mod replays;

use std::{fs, path::Path};

use millpond_trace::{At, Detail, FrameKind, Mark, Module, Thread};
use serde_json::{Value, json};

use crate::support::{Trace, millpond, refusal, sample, slow_tests_are_wanted, stdout, write_trace_of};

/// Writes the page of a trace without a replay, and returns it.
fn page(trace: &Path) -> String {
    page_with(trace, &["--no-replay"])
}

/// Writes the page of a trace and returns it.
fn page_with(trace: &Path, options: &[&str]) -> String {
    let mut command = millpond();
    command
        .arg("report")
        .arg(trace)
        .args(["-o", "-"])
        .args(options)
        .env("XDG_CACHE_HOME", trace.parent().unwrap());
    stdout(command.output().unwrap())
}

/// Returns the data in a page.
pub(crate) fn embedded(page: &str) -> Value {
    let begin = "<script type=\"application/json\" id=\"data\">";
    let (_, rest) = page.split_once(begin).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn shown(trace: &Path, options: &[&str]) -> Value {
    let mut command = millpond();
    command.arg("show").arg(trace).arg("--json").args(options).env("XDG_CACHE_HOME", trace.parent().unwrap());
    serde_json::from_str(&stdout(command.output().unwrap())).unwrap()
}

/// Returns the sum of a field of all objects in a list.
fn sum(list: &Value, field: &str) -> u64 {
    list.as_array().unwrap().iter().map(|item| item[field].as_u64().unwrap()).sum()
}

/// Writes events of 40 stacks in four threads: resized, temporary, freed elsewhere and kept blocks.
fn varied(trace: &mut Trace) {
    let module = Module { start: 0x1000, end: 0x9000, path: "/opt/sample".into(), ..Module::default() };
    trace.module(module).unwrap();
    let stacks: Vec<u32> = (0..40)
        .map(|number| {
            let outer = trace.node(0, 0x1000 + number % 5, FrameKind::Return).unwrap();
            trace.node(outer, 0x2000 + number * 16, FrameKind::Return).unwrap()
        })
        .collect();
    let mut live = Vec::new();
    for number in 0..8_000_u64 {
        let (time, thread) = (number * 100, (number % 4) as u32);
        let stack = stacks[(number * number % 40) as usize];
        let at = At { time, thread, stack, ..At::default() };
        let slot = trace.allocate(at, 16 + number % 700, 0, false).unwrap();
        match number % 5 {
            0 => trace.free(At { time: time + 1, ..at }, slot).unwrap(),
            1 => trace.resize(At { time: time + 1, ..at }, slot, 1000).unwrap(),
            _ => live.push(slot),
        }
        if number % 3 == 0 && live.len() > 50 {
            let slot = live.swap_remove((number % 50) as usize);
            trace.free(At { time: time + 2, thread: 3 - thread, ..at }, slot).unwrap();
        }
    }
    trace.mark(&Mark { time: 300_000, name: "middle".into() }).unwrap();
}

#[test]
fn sums_are_those_of_show() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("varied.mpt");
    write_trace_of(&trace, 800_100, varied);
    let (data, shown) = (embedded(&page(&trace)), shown(&trace, &[]));
    for field in ["trace", "by_phase", "by_thread", "notes"] {
        assert_eq!(data[field], shown[field], "{field}");
    }
    for field in
        ["allocations", "resizes", "bytes", "live_blocks", "live_bytes", "temporaries", "freed_elsewhere"]
    {
        assert_eq!(sum(&data["sites"], field), sum(&shown["by_site"], field), "{field}");
    }
    // Entries of a unit: number of the span, then calls, bytes, temporaries, frees, resizes, copied ….
    let entries = |units: &Value| -> Vec<Vec<u64>> {
        let lists = units.as_array().unwrap().iter().map(|unit| unit[2].as_array().unwrap());
        let numbers = |entry: &[Value]| entry.iter().map(|number| number.as_u64().unwrap()).collect();
        lists.flat_map(|list| list.chunks(11).map(numbers)).collect()
    };
    let all = entries(&data["units"]);
    let column = |column: usize| all.iter().map(|entry| entry[column]).sum::<u64>();
    for (at, field) in [(1, "allocations"), (2, "bytes"), (3, "temporaries")] {
        assert_eq!(column(at), sum(&shown["by_site"], field), "{field}");
    }
    assert_eq!(column(4), shown["trace"]["frees"]);
    assert_eq!(column(5), shown["trace"]["resizes"]);
    let peak = data["span_peaks"].as_array().unwrap().iter().filter_map(Value::as_u64).max();
    assert_eq!(peak, shown["trace"]["peak_bytes"].as_u64());
    // Every span has the bytes that are live at its end: those of each unit's last entry up to then.
    let width = data["timeline"]["most"]
        .as_array()
        .unwrap()
        .len()
        .div_ceil(data["span_peaks"].as_array().unwrap().len());
    for span in 0..data["span_peaks"].as_array().unwrap().len() {
        let units = data["units"].as_array().unwrap().iter();
        let live: u64 = units
            .map(|unit| {
                let list = unit[2].as_array().unwrap();
                let last = list.chunks(11).rfind(|entry| entry[0].as_u64().unwrap() <= span as u64);
                last.map_or(0, |entry| entry[8].as_u64().unwrap())
            })
            .sum();
        let last = data["timeline"]["last"].as_array().unwrap();
        assert_eq!(live, last[((span + 1) * width - 1).min(last.len() - 1)], "span {span}");
    }
    let chains: u64 =
        data["chains"][0][1].as_array().unwrap().chunks(2).map(|pair| pair[1].as_u64().unwrap()).sum();
    assert_eq!(chains, 1600, "each fifth block is resized once");
}

#[test]
fn memory_behind_blocks_is_known_if_the_trace_has_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("addresses.mpt");
    let memory = |all: bool| {
        write_trace_of(&trace, 1000, |trace| {
            // Nothing happens in the first spans.
            for (time, address) in [(500, 0x10_0ff0), (510, 0x10_1800), (520, 0x20_0000)] {
                trace.allocate(At { time, ..At::default() }, 100, 0, false).unwrap();
                let usable = (all || time < 520).then_some(120);
                trace.detail(Detail { address: Some(address), usable, ..Detail::default() }).unwrap();
            }
        });
        let data = embedded(&page(&trace));
        let [memory, spans] = ["memory", "span_peaks"].map(|field| data[field].as_array().unwrap());
        assert_eq!(memory.len(), spans.len(), "one for each span");
        memory.last().unwrap().clone()
    };
    assert_eq!(
        memory(true),
        json!([360, 3 * 4096]),
        "the first block lies on two pages, the second on one of them"
    );
    assert_eq!(memory(false), json!([null, 3 * 4096]));
    write_trace_of(&trace, 1000, varied);
    assert_eq!(embedded(&page(&trace))["memory"], json!([]));
}

#[test]
fn traces_that_lack_what_views_show_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [file, trace] = ["a.mtrace", "a.mpt"].map(|name| folder.path().join(name));
    fs::write(&file, "= Start\n@ ./a:[0x401136] + 0x1000 0x10\n= End\n").unwrap();
    let imported = millpond().arg("import").arg(&file).arg("-o").arg(&trace).output().unwrap();
    assert!(imported.status.success(), "{imported:?}");
    let said = refusal(millpond().arg("report").arg(&trace).output().unwrap());
    assert!(
        said.contains("does not say which thread made a call or when a call was made, as report needs it"),
        "{said}"
    );
    assert!(!folder.path().join("a.html").exists());
}

#[test]
fn names_are_text_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("hostile.mpt");
    let name = "</script><img src=x onerror=alert(1)>";
    let start = millpond_trace::Start {
        program: format!("/opt/{name}"),
        arguments: vec![name.into(), "<!--{{script}}".into(), "\u{2028}&lt;".into()],
        ..Default::default()
    };
    let mut writer = millpond_trace::Writer::new(fs::File::create(&trace).unwrap(), &start).unwrap();
    let module = Module { start: 0x1000, end: 0x9000, path: name.into(), ..Module::default() };
    writer.module(module).unwrap();
    let stack = writer.node(0, 0x2000, FrameKind::Return).unwrap();
    writer.mark(&Mark { time: 0, name: name.into() }).unwrap();
    writer.allocate(At { stack, ..At::default() }, 10, 0, false).unwrap();
    writer.thread(Thread { number: 0, name: name.into(), ..Thread::default() });
    writer.finish(millpond_trace::Outcome::default()).unwrap();
    let page = page(&trace);
    assert!(!page.contains("<img"), "it is only in data and in the title, escaped");
    let count = |text: &str| page.matches(text).count();
    assert_eq!((count("<script"), count("</script")), (2, 2));
    assert_eq!(embedded(&page)["by_thread"][0]["name"], name);
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(&sample(folder.path()).0);
    assert!(page.contains("Content-Security-Policy\" content=\"default-src 'none'; script-src 'sha256-"));
    let addresses: Vec<_> = page.match_indices("http").map(|(at, _)| &page[at..at + 26]).collect();
    assert!(
        addresses.iter().all(|text| text.starts_with("http-equiv") || *text == "http://www.w3.org/2000/svg"),
        "{addresses:?}"
    );
    for forbidden in ["src=", "@import", "url(", "<link", "innerHTML", "eval("] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn a_large_trace_fits_into_3_mb() {
    if !slow_tests_are_wanted("the page of a large trace") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("large.mpt");
    write_trace_of(&trace, 4_000_000, |trace| {
        for number in 0..300 {
            let start = 0x10_0000 * (number + 1);
            let path = format!("/opt/{}{number}", "a long name ".repeat(60));
            let module = Module { start, end: start + 0x10_0000, path, ..Module::default() };
            trace.module(module).unwrap();
        }
        let mut stacks = Vec::new();
        for number in 0..100_000_u64 {
            // A tree of ten frames per stack, of which the inner ones are not shared.
            let mut stack = 0;
            for depth in [1, 10, 100, 1_000, 10_000, 100_000] {
                let address = 0x10_0000 * (1 + number % depth % 300) + (number % depth) * 8 + depth;
                stack = trace.node(stack, address, FrameKind::Return).unwrap();
            }
            stacks.push(stack);
        }
        for (number, &stack) in (0..200_000_u64).zip(stacks.iter().cycle()) {
            let at = At { time: number * 20, thread: (number % 50) as u32, stack, ..At::default() };
            let slot = trace.allocate(at, 1 + number * 37 % 5000, 0, false).unwrap();
            if number % 4 > 0 {
                trace
                    .free(At { time: number * 20 + 5, thread: (number / 7 % 50) as u32, ..at }, slot)
                    .unwrap();
            }
        }
    });
    let page = page(&trace);
    assert!(page.len() <= 3_000_000, "{}", page.len());
    let data = embedded(&page);
    assert_eq!(data["trace"]["requested_bytes"], sum(&data["sites"], "bytes"));
    assert!(data["sites"].as_array().unwrap().len() > 500);
    assert!(data["span_peaks"].as_array().unwrap().len() >= 4);
}

#[test]
fn the_page_is_beside_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let report = |options: &[&str]| {
        millpond().arg("report").arg(&trace).arg("--no-replay").args(options).output().unwrap()
    };
    let said = stdout(report(&[]));
    assert!(said.contains("sample.html: "), "{said}");
    let page = fs::read_to_string(folder.path().join("sample.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(refusal(report(&[])).contains("the file is there already; --force overwrites it"));
    stdout(report(&["--force"]));
    let missing = folder.path().join("missing/page.html");
    assert!(refusal(report(&["-o", missing.to_str().unwrap()])).contains("there is no directory"));
    fs::write(&trace, "no trace").unwrap();
    assert!(refusal(report(&["-f"])).contains("sample.mpt"));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
