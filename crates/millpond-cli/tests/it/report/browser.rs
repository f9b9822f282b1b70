//! The page in a browser, headless Chromium, which is driven through its pipe for debugging: each message is JSON that a
//! zero byte ends.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use millpond_trace::At;
use serde_json::{Value, json};

use super::{page, page_with, varied};
use crate::support::{Trace, skipped, write_trace_of};

/// After this time without an answer, the browser hangs.
const PATIENCE: Duration = Duration::from_secs(120);

struct Browser {
    process: Child,
    commands: File,
    answers: Receiver<Value>,
    session: Option<Value>,
    number: u64,
    /// Errors of the page, and what it was not allowed to do.
    complaints: Vec<Value>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Browser {
    /// Starts the browser; `None`, with a message, if there is none.
    fn start(folder: &Path) -> Option<Self> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let candidates = std::env::split_paths(&folders).flat_map(|folder| {
            ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name))
        });
        let Some(program) = candidates.into_iter().find(|path| path.exists()) else {
            skipped("the page of a report in a browser", "chromium is not installed");
            return None;
        };
        let pipes = ["commands", "answers"].map(|name| folder.join(name));
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        let script = "exec \"$0\" --headless --no-sandbox --disable-gpu --remote-debugging-pipe \
            --user-data-dir=\"$3\" about:blank 3<\"$1\" 4>\"$2\" 2>/dev/null";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(program).args(&pipes).arg(folder.join("profile"));
        let process = shell.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        // In the order in which the shell opens them.
        let commands = File::options().write(true).open(&pipes[0]).unwrap();
        let answers = receive(File::open(&pipes[1]).unwrap());
        let mut browser =
            Self { process, commands, answers, session: None, number: 0, complaints: Vec::new() };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let about = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = Some(browser.call("Target.attachToTarget", about)["sessionId"].clone());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({}));
        }
        Some(browser)
    }

    /// Calls a method and returns its result.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone();
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.next();
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn next(&mut self) -> Value {
        let message = self.answers.recv_timeout(PATIENCE).expect("the browser answers");
        let is_complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Log.entryAdded") => true,
            Some("Runtime.consoleAPICalled") => message["params"]["type"] == "error",
            _ => false,
        };
        if is_complaint {
            self.complaints.push(message["params"].clone());
        }
        message
    }

    /// Opens a page in a window of this width.
    fn open(&mut self, page: &Path, width: u32, scheme: &str) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media);
        self.call("Page.navigate", json!({ "url": format!("file://{}", page.display()) }));
        while self.next()["method"] != "Page.loadEventFired" {}
    }

    /// Returns the value of an expression in the page.
    fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call("Runtime.evaluate", parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector('{selector}').innerText"));
        text.as_str().unwrap().to_owned()
    }
}

/// Reads messages on a thread of their own.
fn receive(pipe: File) -> Receiver<Value> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut message = Vec::new();
        while pipe.read_until(0, &mut message).is_ok_and(|read| read > 0) {
            message.pop();
            if serde_json::from_slice(&message).is_ok_and(|message| sender.send(message).is_err()) {
                return;
            }
            message.clear();
        }
    });
    receiver
}

fn write_page(folder: &Path, name: &str, fill: impl FnOnce(&mut Trace)) -> PathBuf {
    let trace = folder.join(name).with_extension("mpt");
    write_trace_of(&trace, 800_100, fill);
    let path = trace.with_extension("html");
    fs::write(&path, page(&trace)).unwrap();
    path
}

/// Fails if axe-core, which `.ci/run --full` installs, finds something that some readers cannot use.
fn check_accessibility(browser: &mut Browser) {
    let Some(axe) = std::env::var_os("MILLPOND_AXE") else { return };
    browser.value(&(fs::read_to_string(axe).unwrap() + "; null"));
    let violations = browser.value(
        "axe.run().then((found) => found.violations.map((violation) => [violation.help, violation.nodes[0].html]))",
    );
    assert_eq!(violations, json!([]));
}

#[test]
fn views_work_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut browser) = Browser::start(folder.path()) else { return };
    if std::env::var_os("MILLPOND_AXE").is_none() {
        skipped("accessibility of the page of a report", "MILLPOND_AXE does not name the script of axe-core");
    }
    let trace = folder.path().join("varied.mpt");
    write_trace_of(&trace, 800_100, varied);
    let path = trace.with_extension("html");
    fs::write(&path, page_with(&trace, &[])).unwrap();
    for (width, scheme) in [(1280, "light"), (390, "dark")] {
        browser.open(&path, width, scheme);
        let wide = browser.value("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= u64::from(width), "the page scrolls sideways: {wide}");
        assert_eq!(browser.value("document.querySelectorAll('main section h2').length"), 12);
        assert!(browser.text("#facts").contains("9,600 allocations"));
        // A site, its details, and the flame graph of it alone.
        browser.value("document.querySelector('#sites .fold').click()");
        assert!(browser.text("#sites tr.more").contains("Lifetime: "));
        let before = browser.text("#box");
        browser.value("document.querySelector('#sites tr.more button').click()");
        assert!(browser.text("#chosen").contains("Flame graph of"));
        assert_ne!(browser.text("#box"), before);
        browser.value("document.querySelector('#chosen button').click()");
        assert_eq!(browser.text("#box"), before);
        // Keys move in the flame graph.
        browser.value(
            "document.querySelector('.flame').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown' }))",
        );
        assert!(browser.text("#box").contains("of all"));
        // A cell of the map, and its sites.
        browser.value("document.querySelector('.heat td button').click()");
        assert!(browser.text("#lifetimes h3").contains("blocks of"));
        assert!(browser.text("#verdict table").contains("mimalloc"));
        // A moment of the maps.
        assert!(browser.text("#fragmentation").contains("free on pages at most two thirds full"));
        browser.value("document.querySelector('#fragmentation canvas').click()");
        assert!(browser.text("#fragmentation caption").starts_with("Heaps after "));
        // A phase: every view shows less, and says so.
        let totals = "[...document.querySelectorAll('#sites tbody tr td:nth-child(3)')].map((cell) => \
            Number(cell.innerText.replaceAll(',', ''))).filter(Number.isFinite).reduce((a, b) => a + b, 0)";
        let whole = browser.value(totals).as_u64().unwrap();
        browser.value("[...document.querySelectorAll('#time td button')].at(-1).click()");
        assert!(browser.value(totals).as_u64().unwrap() < whole);
        let shown = browser.text("#chosen span");
        let range = shown.strip_prefix("Showing ").unwrap();
        assert!(range.ends_with(" to 800 µs"), "{range}");
        for id in ["sites", "lifetimes", "sizes", "resizes", "threads"] {
            let text = browser.text(&format!("#{id}"));
            assert!(text.contains(range), "{id}: {text}");
        }
        check_accessibility(&mut browser);
    }
    assert_eq!(browser.complaints, Vec::<Value>::new());
}

#[test]
fn small_traces_have_pages_that_say_why_they_are_empty() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut browser) = Browser::start(folder.path()) else { return };
    browser.open(&write_page(folder.path(), "nothing", |_| ()), 1280, "light");
    assert!(browser.text("#time .empty").contains("no events"));
    assert_eq!(browser.text("#sites .empty"), "The program allocated nothing.");
    check_accessibility(&mut browser);
    let one = |trace: &mut Trace| {
        trace.allocate(At::default(), 100, 0, false).unwrap();
    };
    browser.open(&write_page(folder.path(), "one", one), 1280, "dark");
    assert!(browser.text("#sites table").contains("unknown callers"));
    assert!(browser.text("#resizes .empty").contains("No block was resized"));
    check_accessibility(&mut browser);
    assert_eq!(browser.complaints, Vec::<Value>::new());
}
