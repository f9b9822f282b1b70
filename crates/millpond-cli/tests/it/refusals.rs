//! Files that cannot be replayed are refused in one line that says what is wrong.

use std::{fs, process::Stdio};

use millpond_trace::At;

use crate::support::{millpond, refusal, replay, sample, write_trace};

#[test]
fn files_that_are_not_traces() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let bytes = fs::read(&trace).unwrap();
    let altered = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        refusal(replay(&path, &[]))
    };
    let missing = refusal(replay(&folder.path().join("missing.mpt"), &[]));
    assert!(missing.contains("missing.mpt") && missing.contains("No such file"), "{missing}");
    let foreign = altered("foreign.mpt", b"#!/bin/sh\nexit 0\n");
    assert!(foreign.contains("foreign.mpt") && foreign.contains("not a Millpond trace"), "{foreign}");
    assert!(altered("empty.mpt", b"").contains("not a Millpond trace"));
    let truncated = altered("truncated.mpt", &bytes[..bytes.len() / 2]);
    assert!(truncated.contains("cut off"), "{truncated}");

    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    let damaged = altered("damaged.mpt", &damaged);
    assert!(damaged.contains("damaged.mpt: the trace is damaged in"), "{damaged}");
}

#[test]
fn trace_of_a_later_version() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, _) = sample(folder.path());
    let mut bytes = fs::read(&trace).unwrap();
    bytes[8..12].copy_from_slice(&99_u32.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&trace, bytes).unwrap();
    let newer = refusal(replay(&trace, &[]));
    assert!(newer.contains("version 99") && newer.contains("update millpond"), "{newer}");
}

#[test]
fn paths_that_are_not_files() {
    let folder = tempfile::tempdir().unwrap();
    let directory = refusal(replay(folder.path(), &[]));
    assert!(directory.contains("is a directory"), "{directory}");
    let device = refusal(replay("/dev/null".as_ref(), &[]));
    assert!(device.contains("not a regular file"), "{device}");
    let dash = refusal(replay("-".as_ref(), &[]));
    assert!(dash.contains("save it first"), "{dash}");
    let mut stdin = millpond();
    stdin.args(["replay", "/dev/stdin"]).stdin(Stdio::piped());
    let stdin = refusal(stdin.output().unwrap());
    assert!(stdin.contains("not a regular file"), "{stdin}");
}

#[test]
fn traces_that_cannot_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.mpt");
    write_trace(&path, |_| ());
    assert!(refusal(replay(&path, &[])).contains("no events"));
    write_trace(&path, |trace| {
        trace.allocate(At::default(), 1 << 46, 0, false).unwrap();
    });
    let huge = refusal(replay(&path, &["--touch", "all"]));
    assert!(huge.contains("64.0 TiB live at once") && huge.contains("free here"), "{huge}");
    let huge = refusal(replay(&path, &["--touch", "ends"]));
    assert!(huge.contains("there is no memory for a block of 70368744177664 bytes"), "{huge}");
    write_trace(&path, |trace| {
        trace.allocate(At::default(), 1 << 60, 0, false).unwrap();
    });
    let absurd = refusal(replay(&path, &[]));
    assert!(absurd.contains("more than a process can address"), "{absurd}");
}

#[test]
fn invalid_arguments() {
    let refused = |arguments: &[&str], expected: &str| {
        let output = millpond().args(arguments).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{complaint}");
        assert!(output.stdout.is_empty());
        let first = complaint.lines().next().unwrap();
        assert!(first.starts_with("error: ") && first.contains(expected), "{complaint}");
    };
    refused(&["replay", "x.mpt", "--with", "pools,dlmalloc"], "choose from mimalloc, pools, advised, huge");
    refused(&["replay", "x.mpt", "--baseline", "jemalloc"], "recorded, glibc, or the path of a library");
    refused(&["replay", "x.mpt", "--rounds", "0"], "1..=1000");
    refused(&["replay", "x.mpt", "--touch", "none"], "none");
    refused(&["replai"], "replai");
    refused(&["try"], "required");
}

#[test]
fn worker_refuses_users() {
    let complaint = |task: &[&str]| {
        let output = millpond().arg("--replay-worker").args(task).stdin(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(complaint(&[]).contains("millpond replay FILE"));
    assert!(complaint(&["{\"contender\":\"none\"}"]).contains("millpond replay FILE"));
}

#[test]
fn more_bytes_than_numbers_can_count_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("vast.mpt");
    write_trace(&trace, |trace| {
        for index in 0..140_000 {
            trace.allocate(At { time: index, ..At::default() }, 1 << 47, 0, false).unwrap();
        }
    });
    let complaint = refusal(replay(&trace, &["--rounds", "1"]));
    assert!(complaint.contains("there is no memory for a block of 140737488355328 bytes"), "{complaint}");
    for options in [&["--touch", "all"][..], &["--verify"]] {
        let complaint = refusal(replay(&trace, options));
        assert!(complaint.contains(" TiB live at once, more than"), "{complaint}");
    }
}
