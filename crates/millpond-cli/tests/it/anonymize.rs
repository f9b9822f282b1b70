//! `millpond anonymize`.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::BufWriter,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use millpond_trace::{
    At, Call, Detail, Ending, Event, Family, FrameKind, Mark, Module, Outcome, Reader, Resources, Sample,
    Start, Symbol, Tables, Thread, Writer,
};

use crate::support::{millpond, refusal, stdout};

/// All texts of the trace, except public ones. The parts between slashes are secret too.
const SECRETS: [&str; 13] = [
    "/home/alice/project/target/release/server",
    "server",
    "--token=hunter2secret",
    "/srv/customers/acme.json",
    "Ü-argument with spaces",
    "/home/alice/project/plugins/libplugin.so.1",
    "/home/alice/fake/libc.so.6",
    "worker-thread-7",
    "import of customers",
    "the file /srv/quota was full",
    "jemalloc in /home/alice/project/target/release/server",
    "billing::overdue",
    "/home/alice/project/billing.rs",
];
const PUBLIC: [&str; 2] = ["/usr/lib/x86_64-linux-gnu/libc.so.6", "[vdso]"];
const OWN_ID: [u8; 20] = *b"\x9f\xe1own build id\x01\x02\x03\x04\x05\x06";
const LIBC_ID: [u8; 20] = *b"\x9f\xe1libc build id\x01\x02\x03\x04\x05";

/// Writes a trace with everything that a trace can have.
fn write(path: &Path) {
    let [program, name, option, file, odd, plugin, fake, thread, mark, stopped, allocator, function, source] =
        SECRETS.map(str::to_owned);
    let start = Start {
        program: program.clone(),
        arguments: vec![name, option, file, odd],
        process: 4242,
        parent: 4241,
        unix_ns: 1_700_000_000_123_456_789,
    };
    let mut writer = Writer::new(BufWriter::new(File::create(path).unwrap()), &start).unwrap();
    let module = |start: u64, path: &str, id: &[u8]| Module {
        start,
        end: start + 0x10_0000,
        offset: 0x4000,
        path: path.into(),
        build_id: id.into(),
        ..Module::default()
    };
    writer.module(module(0x5555_5555_0000, &program, &OWN_ID)).unwrap();
    writer.module(module(0x7f12_3450_0000, PUBLIC[0], &LIBC_ID)).unwrap();
    let first = writer.module(module(0x7f12_4450_0000, &plugin, &[])).unwrap();
    writer.module(module(0x7fff_1230_0000, PUBLIC[1], &[])).unwrap();
    let main = writer.node(0, 0x5555_5555_1234, FrameKind::Return).unwrap();
    let inner = writer.node(main, 0x7f12_4450_4321, FrameKind::Guessed).unwrap();
    let jit = writer.node(inner, 0x1234_5678_9abc, FrameKind::Return).unwrap();
    let cut = writer.node(0, 0, FrameKind::Cut).unwrap();
    let libc = writer.node(cut, 0x7f12_3450_1111, FrameKind::Exact).unwrap();
    let at = |time, thread, stack| At { time, thread, stack, ..At::default() };
    let a = writer.allocate(at(5, 10, jit), 100, 0, true).unwrap();
    writer.detail(Detail { address: Some(0x5566_7788_9900), usable: Some(104), weight: None }).unwrap();
    // Another module comes to the addresses of the first.
    writer.unload(first, 6).unwrap();
    writer.module(Module { loaded: 6, ..module(0x7f12_4450_0000, &fake, &[]) }).unwrap();
    let other = writer.node(main, 0x7f12_4450_4321, FrameKind::Return).unwrap();
    writer.mark(&Mark { time: 7, name: mark }).unwrap();
    writer.thread(Thread { number: 11, name: thread, started: 3, ended: Some(90) });
    writer.symbol(&Symbol { address: 0x1234_5678_9abb, function, file: source, line: 3 }).unwrap();
    writer.sample(Sample { time: 8, resident: 4096, ..Sample::default() }).unwrap();
    let call = Call { family: Family::New, sized: true, ..Call::default() };
    let b = writer.allocate(At { call, ..at(9, 11, other) }, 64, 64, false).unwrap();
    writer.resize(at(10, 11, libc), a, 300).unwrap();
    writer.detail(Detail { address: Some(0x5566_7788_a900), usable: None, weight: Some(3) }).unwrap();
    writer.free(at(11, 10, 0), b).unwrap();
    let outcome = Outcome {
        wall_ns: 100,
        cpu_ns: 50,
        failed: 2,
        ending: Ending::Stopped,
        stopped,
        allocator,
        served_by: PUBLIC[0].into(),
        resources: Resources { page_faults: Some(9), ..Resources::default() },
        ..Outcome::default()
    };
    writer.finish(outcome).unwrap();
}

fn anonymize(trace: &Path, output: &Path, options: &[&str]) -> Output {
    millpond().arg("anonymize").arg(trace).arg("-o").arg(output).args(options).output().unwrap()
}

/// A trace as a reader sees it.
fn read(path: &Path) -> (Reader, Vec<Event>) {
    let mut reader = Reader::open(path).unwrap();
    let (mut all, mut events) = (Vec::new(), Vec::new());
    while reader.read(&mut events).unwrap() {
        all.extend_from_slice(&events);
    }
    (reader, all)
}

/// Everything in a file, decompressed by this test itself, section by section.
fn content(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut content = bytes.clone();
    let mut rest = &bytes[16..bytes.len() - 16];
    while !rest.is_empty() {
        let (mut columns, after) = rest[24..].split_at(word(rest, 12));
        while !columns.is_empty() {
            let (frame, next) = columns[12..].split_at(word(columns, 8));
            content.extend(zstd::bulk::decompress(frame, word(columns, 4)).unwrap());
            columns = next;
        }
        rest = after;
    }
    content
}

fn contains(content: &[u8], text: &[u8]) -> bool {
    content.windows(text.len()).any(|window| window == text)
}

/// A folder, the trace in it, and the same without names.
fn anonymized() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (trace, output) = (folder.path().join("trace.mpt"), folder.path().join("anonymous.mpt"));
    write(&trace);
    let said = stdout(anonymize(&trace, &output, &[]));
    assert!(said.contains("13 texts replaced") && said.contains("none is left"), "{said}");
    for public in PUBLIC {
        assert!(said.contains(&format!("  {public}\n")), "{said}");
    }
    (folder, trace, output)
}

#[test]
fn no_text_is_left() {
    let (_folder, trace, output) = anonymized();
    let (before, after) = (content(&trace), content(&output));
    let parts = SECRETS.iter().flat_map(|text| text.split(['/', ' ', '=']).chain([*text]));
    // What is shorter, or part of a public name, is expected here and there.
    let parts: BTreeSet<_> =
        parts.filter(|part| part.len() >= 5 && !PUBLIC.iter().any(|public| public.contains(part))).collect();
    assert!(
        parts.contains("alice") && parts.contains("hunter2secret") && parts.contains("libplugin.so.1"),
        "{parts:?}"
    );
    for part in parts {
        assert!(
            contains(&before, part.as_bytes()),
            "{part} is not in the trace, so its absence would mean nothing"
        );
        assert!(!contains(&after, part.as_bytes()), "{part}");
    }
    assert!(contains(&before, &OWN_ID) && !contains(&after, &OWN_ID));
    assert!(contains(&after, &LIBC_ID) && PUBLIC.iter().all(|public| contains(&after, public.as_bytes())));
    assert_eq!(fs::metadata(&output).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn hashes_agree_within_a_trace_and_not_between_traces() {
    let (folder, trace, output) = anonymized();
    let again = folder.path().join("again.mpt");
    stdout(anonymize(&trace, &again, &[]));
    let (one, _) = read(&output);
    let (two, _) = read(&again);
    let program = &one.start().program;
    assert!(program.starts_with("anon-") && program.len() == 21, "{program}");
    assert_eq!(one.tables().modules[0].path, *program);
    assert_ne!(two.start().program, *program);
    assert_ne!(one.start().arguments[0], one.start().arguments[1]);
}

#[test]
fn what_the_program_did_is_kept() {
    let (_folder, trace, output) = anonymized();
    let ((before, events), (after, copied)) = (read(&trace), read(&output));
    assert_eq!(events, copied);
    let facts = |reader: &Reader| {
        let mut summary = reader.summary().clone();
        summary.stopped.clear();
        summary.allocator.clear();
        summary.tables = 0;
        summary
    };
    assert_eq!(facts(&before), facts(&after));
    assert_eq!((after.summary().stopped.as_str(), after.summary().ending), ("", Ending::Stopped));
    assert_eq!((after.start().process, after.start().parent, after.start().unix_ns), (0, 0, 0));
    assert_eq!(after.start().arguments.len(), 4);
    let (old, new) = (before.tables(), after.tables());
    assert_eq!(old.samples, new.samples);
    assert_eq!(old.marks[0].time, new.marks[0].time);
    let times = |tables: &Tables| {
        let modules: Vec<_> = tables.modules.iter().map(|module| (module.loaded, module.unloaded)).collect();
        let threads: Vec<_> =
            tables.threads.iter().map(|thread| (thread.number, thread.started, thread.ended)).collect();
        (modules, threads)
    };
    assert_eq!(times(old), times(new));
    let places = |tables: &Tables| -> Vec<_> {
        let nodes = tables.stacks.nodes().iter().skip(1);
        nodes
            .map(|node| {
                let frame = &tables.stacks.frames()[node.frame as usize];
                let place =
                    frame.place(&tables.modules).map(|(module, offset)| (module.end - module.start, offset));
                (node.parent, frame.kind, frame.module, place)
            })
            .collect()
    };
    assert_eq!(places(old), places(new));
    let addresses =
        |tables: &Tables| tables.stacks.frames().iter().map(|frame| frame.address).collect::<BTreeSet<_>>();
    assert_eq!(
        addresses(old).intersection(&addresses(new)).collect::<Vec<_>>(),
        [&0],
        "the frame that is cut off"
    );
}

#[test]
fn addresses_of_blocks_keep_their_distances_only() {
    struct Addresses(Vec<Detail>);
    impl millpond_trace::Visitor for Addresses {
        fn shapes(&mut self, _: &[millpond_trace::Shape]) {}
        fn event(&mut self, _: u64, _: u32, _: usize, _: u32) {}
        fn details(&mut self, details: &[Detail]) {
            self.0.extend_from_slice(details);
        }
    }
    let (_folder, trace, output) = anonymized();
    let details = |path: &Path| {
        let mut found = Addresses(Vec::new());
        Reader::open(path).unwrap().visit(&mut found).unwrap();
        found.0
    };
    let (before, after) = (details(&trace), details(&output));
    let address = |details: &[Detail], at: usize| details[at].address.unwrap();
    let distance = |details: &[Detail]| address(details, 2) - address(details, 0);
    assert_eq!((distance(&before), distance(&after)), (0x1000, 0x1000));
    assert_ne!(address(&before, 0), address(&after, 0));
    let without = |details: &[Detail]| -> Vec<_> {
        details.iter().map(|detail| (detail.address.is_some(), detail.usable, detail.weight)).collect()
    };
    assert_eq!(without(&before), without(&after));
}

#[test]
fn files_are_not_overwritten_unless_asked() {
    let (folder, trace, output) = anonymized();
    let before = fs::read(&output).unwrap();
    assert!(refusal(anonymize(&trace, &output, &[])).contains("--force overwrites it"));
    assert_eq!(fs::read(&output).unwrap(), before);
    stdout(anonymize(&trace, &output, &["--force"]));
    assert_ne!(fs::read(&output).unwrap(), before);
    let nowhere = refusal(anonymize(&trace, &folder.path().join("missing/out.mpt"), &[]));
    assert!(nowhere.contains("cannot write"), "{nowhere}");
    fs::write(&trace, &before[..before.len() / 2]).unwrap();
    assert!(refusal(anonymize(&trace, &folder.path().join("new.mpt"), &[])).contains("cut off"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left there");
}

#[test]
fn the_trace_that_comes_along() {
    let folder = tempfile::tempdir().unwrap();
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/jq.mpt");
    let output = folder.path().join("jq.mpt");
    stdout(anonymize(&trace, &output, &[]));
    let ((before, events), (_, copied)) = (read(&trace), read(&output));
    assert!(events == copied);
    let content = content(&output);
    for module in before.tables().modules.iter().filter(|module| module.path.contains("jq")) {
        assert!(!contains(&content, module.path.as_bytes()), "{}", module.path);
    }
    let shown = stdout(millpond().arg("show").arg(&output).output().unwrap());
    assert!(shown.starts_with("anon-") && shown.contains("Call sites, by bytes"), "{shown}");
}
