//! What a trace contains besides the events: threads with their names, marks, and samples of the process.

use std::process::Command;

use super::{Workshop, told};
use crate::support::refusal;

#[test]
fn threads_marks_and_samples_are_in_the_trace() {
    let workshop = Workshop::new();
    let include = format!("-I{}/include", millpond_record::SOURCES);
    let Some(program) = workshop.compile("observed", &[&include]) else { return };
    assert_eq!(Command::new(&program).status().unwrap().code(), Some(7), "marks need no recorder");
    let mark = format!("{} mark $PPID outer", env!("CARGO_BIN_EXE_millpond"));
    let output = workshop.record(&program, &[&mark]);
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = workshop.trace();
    let tables = &trace.tables;

    let names: Vec<_> = tables.threads.iter().map(|thread| (thread.number, &*thread.name)).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[0], (0, "observed"));
    assert!(names.iter().any(|&(_, name)| name == "by-itself"), "{names:?}");
    assert!(names.iter().any(|&(_, name)| name == "by-another"), "{names:?}");
    let ended: Vec<_> = tables.threads.iter().map(|thread| thread.ended.is_some()).collect();
    assert_eq!(ended, [false, true, true]);
    assert!(tables.threads.iter().all(|thread| thread.ended.is_none_or(|ended| ended >= thread.started)));

    let marks: Vec<_> = tables.marks.iter().map(|mark| &*mark.name).collect();
    assert_eq!(marks, ["load", "wait", "outer", "end"]);
    let time = |at: usize| tables.marks[at].time;
    assert!(time(1) + 450_000_000 <= time(2) && time(3) <= trace.summary.wall_ns, "{:?}", tables.marks);

    let waiting: Vec<_> =
        tables.samples.iter().filter(|sample| (time(1)..time(2)).contains(&sample.time)).collect();
    assert!(waiting.len() >= 2, "{:?}", tables.samples);
    assert!(waiting.iter().all(|sample| sample.anonymous > 64 << 20 && sample.resident >= sample.anonymous));
    assert!(waiting.iter().all(|sample| sample.page_faults > 0 && sample.cpu_ns > 0));
    assert!(tables.samples.is_sorted_by_key(|sample| (sample.time, sample.cpu_ns)));
}

#[test]
fn modules_of_a_killed_program_are_known() {
    let workshop = Workshop::new();
    let include = format!("-I{}/include", millpond_record::SOURCES);
    let Some(plugin) = workshop.compile("plugin", &["-shared", "-fPIC"]) else { return };
    let Some(program) = workshop.compile("observed", &[&include]) else { return };
    let output = workshop.record(&program, &["sleep 1; kill -9 $PPID", &plugin.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(128 + libc::SIGKILL));
    let modules = workshop.trace().tables.modules;
    let plugin = plugin.canonicalize().unwrap();
    assert!(modules.iter().any(|module| plugin == *module.path), "{modules:?}");
}

#[test]
fn marks_that_cannot_be_set_are_refused() {
    let workshop = Workshop::new();
    let mark = |arguments: &[&str]| {
        refusal(crate::support::millpond().arg("mark").args(arguments).output().unwrap())
    };
    let own = std::process::id().to_string();
    assert!(mark(&[&own, "name"]).contains("is not being recorded"));
    assert!(mark(&["4294967295", "name"]).contains("process 4294967295"));
    let folder = workshop.path("tmp");
    assert!(mark(&[&folder.to_string_lossy(), "name"]).contains("not the directory of a recording"));
    let header = crate::support::millpond().args(["mark", "--header"]).output().unwrap();
    assert_eq!(crate::support::stdout(header), millpond_record::MARK_HEADER);
}

#[test]
fn arguments_are_left_out_on_request() {
    let workshop = Workshop::new();
    told(&workshop.record_with(&["--no-args"], "/bin/sh".as_ref(), &["-c", "true; : secret"]));
    assert_eq!(workshop.trace().start.arguments, ["/bin/sh"]);
    let bytes = std::fs::read(workshop.path("out.mpt")).unwrap();
    assert!(!bytes.windows(6).any(|part| part == b"secret"));
}
