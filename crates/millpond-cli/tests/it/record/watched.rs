//! `millpond top` of programs that are being recorded.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::Workshop;
use crate::support::{millpond, stdout};

/// A recording in progress.
struct Watched {
    recorder: Child,
}

impl Watched {
    /// Records a program, and waits for its first output.
    fn new(workshop: &Workshop, options: &[&str]) -> Option<Self> {
        let program = workshop.compile("steady", &[])?;
        let mut recorder = workshop.recorder();
        recorder.args(options).arg("--").arg(program);
        recorder.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut recorder = recorder.spawn().unwrap();
        let mut byte = [0];
        recorder.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
        Some(Self { recorder })
    }

    fn process(&self) -> String {
        self.recorder.id().to_string()
    }

    fn top(&self, options: &[&str]) -> Value {
        let output = millpond().args(["top", &self.process(), "--json"]).args(options).output().unwrap();
        serde_json::from_str(&stdout(output)).unwrap()
    }

    fn end(mut self) {
        drop(self.recorder.stdin.take());
        assert!(self.recorder.wait().unwrap().success());
    }
}

/// Returns the site of this function.
fn site<'a>(report: &'a Value, function: &str) -> &'a Value {
    let sites = report["by_site"].as_array().unwrap();
    let found = sites.iter().find(|site| site["frames"][0]["function"] == function);
    found.unwrap_or_else(|| panic!("{function} is not in {report}"))
}

#[test]
fn live_blocks_of_a_running_program_are_counted() {
    let workshop = Workshop::new();
    let Some(mut watched) = Watched::new(&workshop, &[]) else { return };
    let report = watched.top(&[]);
    assert_eq!((&report["is_live"], &report["ended"]), (&Value::Bool(true), &Value::Null));
    assert_eq!(report["followed"]["one_in"], 1);
    let small = site(&report, "keeps_small");
    assert_eq!(
        (&small["live_blocks"]["value"], &small["live_bytes"]["value"]),
        (&1000.0.into(), &100_000.0.into())
    );
    let large = site(&report, "keeps_large");
    assert_eq!((&large["live_blocks"]["value"], &large["calls"]), (&10.0.into(), &20.into()));
    assert_eq!(large["live_bytes"]["value"], 10_000_000.0);

    // More than a window, of the first thread.
    watched.recorder.stdin.as_mut().unwrap().write_all(&[b'x'; 20]).unwrap();
    let marked = millpond().args(["mark", &watched.process(), "later"]).status().unwrap();
    assert!(marked.success());
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let report = watched.top(&["--since", "later"]);
        let churn = site(&report, "churns");
        assert!(churn["live_blocks"]["value"].as_f64().unwrap() <= 2.0, "{report}");
        assert_eq!(site(&report, "keeps_small")["selected_bytes"]["value"], 0.0);
        if churn["calls"].as_u64().unwrap() > 20_000 {
            break;
        }
        assert!(Instant::now() < deadline, "{report}");
    }
    watched.end();
    let trace = workshop.path("out.mpt");
    let replayed = millpond().arg("top").arg(trace).args(["--at", "1ms", "--json"]).output().unwrap();
    let replayed: Value = serde_json::from_str(&stdout(replayed)).unwrap();
    assert_eq!(replayed["is_live"], false);
}

#[test]
fn what_had_ended_before_is_not_watched() {
    let workshop = Workshop::new();
    let Some(watched) = Watched::new(&workshop, &["--stacks", "caller"]) else { return };
    let process = watched.process();
    assert!(site(&watched.top(&[]), "keeps_small")["live_blocks"]["value"] == 1000.0);
    watched.end();
    let output =
        Command::new(env!("CARGO_BIN_EXE_millpond")).args(["top", "--once", &process]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
}
