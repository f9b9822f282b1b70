//! `millpond top`: of traces, compared with a count of all blocks; and of programs that run.

use std::{collections::BTreeMap, path::Path};

use millpond_trace::{At, FrameKind, Mark};
use serde_json::Value;

use crate::support::{Trace, millpond, refusal, stdout, write_trace_of};

const SECOND: u64 = 1_000_000_000;
const END: u64 = 100 * SECOND;
/// Addresses of the three call sites.
const SITES: [u64; 3] = [0x1001, 0x2001, 0x3001];

/// An event: its time, the number of its block, the site, and the size; `None`: the block is freed.
type Step = (u64, usize, usize, Option<u64>);

/// 3,000 blocks in the order of their events; some are resized by another site.
fn steps() -> Vec<Step> {
    let mut state = 1_u64;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut steps = Vec::new();
    for block in 0..3000 {
        let (born, site) = (block as u64 * 30_000_000 + below(1000), below(3) as usize);
        steps.push((born, block, site, Some(1 << below(14))));
        if below(4) == 0 {
            steps.push((born + 2000, block, 2, Some(below(9000))));
        }
        if below(3) > 0 {
            steps.push((born + 3000 + below(9 * SECOND), block, 0, None));
        }
    }
    steps.sort_by_key(|&(time, block, ..)| (time, block));
    steps.retain(|&(time, ..)| time <= END);
    steps
}

fn write(path: &Path, steps: &[Step]) {
    write_trace_of(path, END, |trace: &mut Trace| {
        let stacks = SITES.map(|address| trace.node(0, address, FrameKind::Return).unwrap());
        for (name, time) in [("load", 20 * SECOND), ("serve", 60 * SECOND)] {
            trace.mark(&Mark { time, name: name.into() }).unwrap();
        }
        let mut slots = BTreeMap::new();
        for &(time, block, site, size) in steps {
            let at = At { time, stack: stacks[site], ..At::default() };
            match (size, slots.get(&block)) {
                (None, slot) => {
                    trace.free(at, *slot.unwrap()).unwrap();
                    slots.remove(&block);
                }
                (Some(size), Some(&slot)) => trace.resize(at, slot, size).unwrap(),
                (Some(size), None) => drop(slots.insert(block, trace.allocate(at, size, 0, false).unwrap())),
            }
        }
    });
}

/// What one site does up to a moment.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    calls: u64,
    live_blocks: u64,
    live_bytes: u64,
    selected_bytes: u64,
    calls_per_second: f64,
    age_ns: Option<f64>,
}

/// Counts each block by itself.
fn counted(steps: &[Step], until: u64, from: u64) -> BTreeMap<usize, Figures> {
    let mut figures: BTreeMap<usize, Figures> = BTreeMap::new();
    let mut live: BTreeMap<usize, (u64, usize, u64)> = BTreeMap::new();
    let rates_from = until / SECOND * SECOND - SECOND;
    for &(time, block, site, size) in steps.iter().filter(|step| step.0 <= until) {
        let Some(size) = size else {
            live.remove(&block);
            continue;
        };
        let figures = figures.entry(site).or_default();
        figures.calls += 1;
        figures.calls_per_second += f64::from(time > rates_from);
        live.entry(block).or_insert((time, site, size)).2 = size;
    }
    let mut ages = BTreeMap::<usize, f64>::new();
    for &(born, site, size) in live.values() {
        let figures = figures.entry(site).or_default();
        figures.live_blocks += 1;
        figures.live_bytes += size;
        figures.selected_bytes += if born >= from { size } else { 0 };
        *ages.entry(site).or_default() += (until - born) as f64;
    }
    for (site, figures) in &mut figures {
        figures.calls_per_second /= (until - rates_from) as f64 / 1e9;
        figures.age_ns = ages.get(site).map(|ages| (ages / figures.live_blocks as f64).round());
    }
    figures
}

fn top(arguments: &[&str]) -> Value {
    let output = millpond().arg("top").args(arguments).arg("--json").output().unwrap();
    serde_json::from_str(&stdout(output)).unwrap()
}

#[test]
fn figures_at_any_moment_are_those_of_all_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.mpt");
    let steps = steps();
    write(&path, &steps);
    let path = path.to_str().unwrap();
    for (at, mark, from) in [(99, "serve", 60), (61, "1", 20), (37, "load", 20), (25, "load", 20)] {
        let moment = format!("{at}.5s");
        let report = top(&[path, "--at", &moment, "--since", mark]);
        let expected = counted(&steps, at * SECOND + SECOND / 2, from * SECOND);
        let mut found = BTreeMap::new();
        for site in report["by_site"].as_array().unwrap() {
            let name = site["frames"][0]["function"].as_str().unwrap();
            let number = SITES.iter().position(|site| name.ends_with(&format!("{:x}", site - 1))).unwrap();
            let exact = |field: &str| {
                assert_eq!(site[field]["least"], site[field]["most"], "{site}");
                site[field]["value"].as_f64().unwrap()
            };
            let figures = Figures {
                calls: site["calls"].as_u64().unwrap(),
                live_blocks: exact("live_blocks") as u64,
                live_bytes: exact("live_bytes") as u64,
                selected_bytes: exact("selected_bytes") as u64,
                calls_per_second: site["calls_per_second"].as_f64().unwrap(),
                age_ns: (!site["age_ns"].is_null()).then(|| exact("age_ns").round()),
            };
            found.insert(number, figures);
        }
        assert_eq!(found, expected, "at {at} s");
        let live: u64 = expected.values().map(|site| site.live_bytes).sum();
        assert_eq!(report["total"]["live_bytes"]["value"].as_f64(), Some(live as f64));
    }
    let before = counted(&steps, 75 * SECOND, 0).values().map(|site| site.live_bytes).sum::<u64>();
    let now = counted(&steps, 99 * SECOND, 0).values().map(|site| site.live_bytes).sum::<u64>();
    let report = top(&[path, "--at", "99s"]);
    let span = report["growth_ns"].as_u64().unwrap();
    assert!((30 * SECOND..45 * SECOND).contains(&span), "{span}");
    let earlier = counted(&steps, 99 * SECOND - span, 0).values().map(|site| site.live_bytes).sum::<u64>();
    let growth = report["total"]["growth_per_second"]["value"].as_f64().unwrap();
    let expected = (now as f64 - earlier as f64) / span as f64 * 1e9;
    assert!((growth - expected).abs() < 1e-6, "{growth} {expected} {before}");
}

#[test]
fn a_table_has_the_requested_sites_in_the_requested_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.mpt");
    write(&path, &steps());
    let path = path.to_str().unwrap();
    let table = |options: &[&str]| stdout(millpond().args(["top", path]).args(options).output().unwrap());
    let all = table(&[]);
    assert!(all.contains("end of the replay") && all.contains("every block is followed"), "{all}");
    assert!(all.contains("2 marks") && !all.contains("SELECTED"), "{all}");
    let one = table(&["--since", "2", "--lines", "1"]);
    assert!(one.contains("since mark 2 serve (60.0 s)") && one.contains("2 more call sites"), "{one}");
    let calls = top(&[path, "--sort", "calls"]);
    let rates: Vec<_> =
        calls["by_site"].as_array().unwrap().iter().map(|site| &site["calls_per_second"]).collect();
    assert!(rates.is_sorted_by(|left, right| left.as_f64() >= right.as_f64()), "{rates:?}");
    let found = top(&[path, "--filter", "2000"]);
    assert_eq!((found["by_site"].as_array().unwrap().len(), &found["sites"]), (1, &Value::from(3)));
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.mpt");
    write(&path, &steps());
    let refused =
        |arguments: &[&str]| refusal(millpond().arg("top").arg("--once").args(arguments).output().unwrap());
    let own = std::process::id().to_string();
    assert!(refused(&[&own]).contains("start it by `millpond record -o FILE -- PROGRAM`"));
    assert!(refused(&["4294967295"]).contains("process 4294967295"));
    assert!(refused(&[&own, "--at", "1s"]).contains("--at, --speed and --process are about a trace"));
    assert!(refused(&["/nowhere.mpt"]).contains("/nowhere.mpt"));
    let folder = folder.path().to_str().unwrap();
    assert!(refused(&[folder]).contains("not the directory of a recording"));
    let none = refused(&[path.to_str().unwrap(), "--since", "end"]);
    assert!(none.contains("there is no mark end; the marks so far are 1 load, 2 serve"), "{none}");
}

/// The screen ends when its terminal is closed, although no signal says so: the terminal is not that of its session.
#[test]
#[cfg(target_os = "linux")]
fn the_screen_ends_with_its_terminal() {
    use std::{
        fs::File,
        io::Read as _,
        os::fd::{FromRawFd as _, OwnedFd},
        process::Stdio,
        ptr::null_mut,
    };
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = crate::support::sample(folder.path());
    let (mut ours, mut its) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the numbers are valid for writes, and the size for reads; the other arguments may be null.
    assert_eq!(unsafe { libc::openpty(&mut ours, &mut its, null_mut(), null_mut(), &size) }, 0);
    // SAFETY: the descriptors were just opened, and nothing else owns them.
    let (mut ours, its) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(its)) };
    // SAFETY: the call takes numbers; a program that another test starts meanwhile does not keep the terminal open.
    unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&ours), libc::F_SETFD, libc::FD_CLOEXEC) };
    let end = || Stdio::from(its.try_clone().unwrap());
    let mut command = millpond();
    command.arg("top").arg(&trace).env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
    let mut program = command.spawn().unwrap();
    drop((command, its));
    assert!(ours.read(&mut [0; 4096]).unwrap() > 0);
    drop(ours);
    // It waits for keys then, or just draws, which fails.
    let code = program.wait().unwrap().code();
    assert!([Some(128 + libc::SIGHUP), Some(125)].contains(&code), "{code:?}");
}
