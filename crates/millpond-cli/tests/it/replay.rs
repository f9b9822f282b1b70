//! `millpond replay`, and `millpond` without arguments.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use millpond_trace::{At, Outcome, Start, Writer};

use crate::support::{millpond, replay, sample, skipped, stdout, write_trace};

#[test]
fn report_has_all_allocators_and_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let report = stdout(replay(&trace, &["--rounds", "5"]));
    for name in ["glibc ", "mimalloc ", "pools ", "advised "] {
        let row = report.lines().find(|line| line.trim_start().starts_with(name)).expect(name);
        let memory = report.lines().filter(|line| line.trim_start().starts_with(name)).nth(1).expect(name);
        assert!(memory.contains("iB"), "peak memory in {memory}");
        assert!(row.contains('-'), "the spread in {row}");
    }
    assert!(
        report.starts_with("sample --fast\n60,105 events, 30,103 allocations, 500 ms of CPU time\n"),
        "{report}"
    );
    assert!(
        report.contains(
            "Large blocks, 293 KiB of the peak, are written at both ends only: programs often fill"
        ),
        "{report}"
    );
    assert!(report.contains("2 threads, replayed by 2 threads, each in its own order; "), "{report}");
    assert!(report.contains("\"same\": the rounds agree"), "{report}");
    let verdict = report.lines().rfind(|line| line.contains("ools ")).expect("a verdict");
    assert!(verdict.ends_with('.'), "{verdict}");
}

#[test]
fn pipe_gets_no_escape_codes() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let output = replay(&trace, &["--rounds", "1"]);
    let report = stdout(output); // that standard error is empty is checked there
    assert!(report.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{report:?}");
    let hostile = folder.path().join("hostile.mpt");
    let start = Start {
        program: "/bin/\x1b[31mred".into(),
        arguments: vec!["/x/\x1b[31mred".into(), "\x1b]0;title\x07\n".into()],
        ..Default::default()
    };
    let mut writer = Writer::new(fs::File::create(&hostile).unwrap(), &start).unwrap();
    writer.allocate(At::default(), 32, 0, false).unwrap();
    writer.finish(Outcome { unknown_frees: 3, ..Default::default() }).unwrap();
    let report = stdout(replay(&hostile, &["--rounds", "1"]));
    assert!(report.starts_with("?[31mred ?]0;title??\n"), "{report:?}");
    assert!(
        report.contains("\nfrees or reallocs of blocks whose allocation was not recorded, left out: 3\n"),
        "{report:?}"
    );
    assert!(report.contains("CPU time unknown") && !report.contains('\x1b'), "{report:?}");
}

#[test]
fn few_allocations_need_no_pools() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("sort.mpt");
    write_trace(&trace, |trace| {
        for index in 0..221 {
            trace.allocate(At { time: index, ..At::default() }, 100 + index, 0, false).unwrap();
        }
    });
    // Enough rounds to drop those in which other programs had the processor.
    let report = stdout(replay(&trace, &["--rounds", "15"]));
    let verdict = report.lines().last().unwrap();
    assert!(verdict.starts_with("Pools do not help here: 221 allocations take "), "{verdict}");
    assert!(verdict.ends_with(" of the CPU time."), "{verdict}");
}

#[test]
#[cfg(target_os = "linux")]
fn missing_huge_pages_are_reported() {
    use std::os::unix::process::CommandExt;

    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let without = |options: &[&str]| {
        let mut command = millpond();
        command.arg("replay").arg(&trace).args(["--rounds", "1"]).args(options);
        // SAFETY: the call sets a switch of the child and accesses no memory of the parent.
        unsafe {
            command.pre_exec(|| {
                let (on, nothing): (libc::c_ulong, libc::c_ulong) = (1, 0);
                libc::prctl(libc::PR_SET_THP_DISABLE, on, nothing, nothing, nothing);
                Ok(())
            })
        };
        stdout(command.output().unwrap())
    };
    let report = without(&[]);
    let told = "\nLeft out: the advised pools on huge pages, since this process was started without them";
    assert!(report.contains(told) && !report.contains("\n advised, huge "), "{report}");
    let report: serde_json::Value = serde_json::from_str(&without(&["--json"])).unwrap();
    assert_eq!(report["without_huge"], "this process was started without them (PR_SET_THP_DISABLE)");
    assert!(!without(&["--with", "pools"]).contains("Left out"));
}

#[test]
fn only_requested_contenders_take_part() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let report =
        stdout(replay(&trace, &["--rounds", "5", "--with", "mimalloc", "--touch", "all", "--sizes", "2"]));
    assert!(
        report.contains("\n mimalloc ") && !report.contains("\n pools ") && !report.contains("\n advised "),
        "{report}"
    );
    assert!(report.contains("Written: every byte"), "{report}");
    assert!(report.contains("2 sizes cover"), "{report}");
    assert!(report.ends_with("No pools took part, so there is no verdict on them.\n"), "{report}");
}

#[test]
fn every_contender_keeps_every_stamp() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, summary) = sample(folder.path());
    let report = stdout(replay(&trace, &["--verify"]));
    for name in ["glibc", "mimalloc", "pools", "advised ", "advised, huge"] {
        let row = report.lines().find(|line| line.trim_start().starts_with(name)).expect(name);
        assert!(row.contains("30,103") && row.ends_with("sound"), "{row}");
    }
    assert_eq!(summary.allocations, 30_103);
    assert!(report.contains("Every block was filled, and its contents were compared"), "{report}");
}

#[test]
fn without_arguments_the_bundled_trace_is_replayed() {
    let report = stdout(millpond().output().unwrap());
    assert!(report.contains("\n    millpond try -- PROGRAM ARGS...\n"), "{report}");
    assert!(report.contains("\njq "), "{report}");
    assert!(report.contains(" of the allocations. They are the sizes of \"advised\""), "{report}");
    assert!(report.contains("How to read it"), "{report}");
}

#[test]
fn closed_pipe_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let mut child = millpond()
        .args(["replay", "--rounds", "1"])
        .arg(&trace)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn memory_does_not_grow_with_the_trace() {
    const EVENTS: u64 = 4_000_000;
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("long.mpt");
    write_trace(&trace, |trace| {
        for index in 0..EVENTS / 2 {
            let slot =
                trace.allocate(At { time: index, ..At::default() }, 16 + index % 8 * 8, 0, false).unwrap();
            trace.free(At { time: index, ..At::default() }, slot).unwrap();
        }
    });
    let mut child = millpond()
        .args(["replay", "--rounds", "1", "--with", "pools"])
        .arg(&trace)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let process = child.id();
    let mut most = 0;
    let status = loop {
        let workers =
            fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
        let all = workers.split_whitespace().map(str::to_owned).chain([process.to_string()]);
        most = all.filter_map(|process| peak_memory(&process)).fold(most, u64::max);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success());
    // The steps of the trace take 64 MB.
    assert!((1024..48 * 1024).contains(&most), "{most} KiB");
}

/// Returns the peak memory of a process of this program, in KiB.
fn peak_memory(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
    let size = field("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok()?;
    (field("Name:")?.trim() == "millpond").then_some(size)
}

#[test]
fn advice_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let report = stdout(replay(&trace, &["--rounds", "1", "--json"]));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/../millpond");
    if !Path::new(library).exists() {
        skipped("whether the advice compiles", "the library's folder is not beside this package");
        return;
    }
    let package = "[package]\nname = \"advised\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n";
    fs::write(folder.path().join("Cargo.toml"), format!("{package}millpond = {{ path = {library:?} }}\n"))
        .unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::create_dir(folder.path().join("src/bin")).unwrap();
    let write = |program: &str, field: &str, main: &str| {
        let code = format!("{}\n{main}", report["advice"][field].as_str().unwrap());
        fs::write(folder.path().join("src/bin").join(program), code).unwrap();
    };
    write("plain.rs", "rust", "fn main() { assert!(pool().is_ok()); }\n");
    let largest = report["advice"]["blocks"].as_array().unwrap().last().unwrap()["block_bytes"].as_u64();
    let use_both = format!(
        "fn main() {{\n    \
             assert!(pool().is_ok());\n    \
             let pool = pool_on_huge_pages().expect(\"the sizes are in order\");\n    \
             assert_eq!(pool.largest_small(), {});\n    \
             let layout = std::alloc::Layout::new::<[u64; 3]>();\n    \
             assert!(millpond::Allocator::allocate(&pool, layout).is_ok());\n\
         }}\n",
        largest.unwrap()
    );
    write("huge.rs", "rust_huge", &use_both);
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"), folder.path().join("Cargo.lock"))
        .unwrap();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet", "--target-dir", "target"])
        .current_dir(folder.path())
        .env("RUSTFLAGS", "-D warnings")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    for program in ["plain", "huge"] {
        let ran = Command::new(folder.path().join("target/debug").join(program)).output().unwrap();
        assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}
