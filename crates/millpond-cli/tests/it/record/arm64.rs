//! The recorder for ARM64, in an emulated program: `millpond` itself cannot start one, so the files of a recording are made
//! here, and `millpond recover` reads them.

use std::{env, fs, mem::offset_of, os::unix::fs::FileExt, path::Path, process::Command};

use millpond_trace::raw::{Control, DIRECTORY, MAGIC};

use super::{Workshop, told};
use crate::support::{millpond, skipped};

/// Makes the files of a recording in which nothing has happened yet.
fn begin(directory: &Path) {
    fs::create_dir_all(directory.join("live")).unwrap();
    fs::write(directory.join("reserve"), []).unwrap();
    fs::write(directory.join("live/control"), [0; 4096]).unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let filters = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
    let filters: u32 = filters.map_or(0, |number| number.trim().parse().unwrap());
    let control = fs::File::options().write(true).open(directory.join("live/control")).unwrap();
    for (value, offset) in [
        (&MAGIC.to_ne_bytes()[..], offset_of!(Control, magic)),
        (&u64::MAX.to_ne_bytes(), offset_of!(Control, limit)),
        (&filters.to_ne_bytes(), offset_of!(Control, filters)),
    ] {
        control.write_all_at(value, offset as u64).unwrap();
    }
}

#[test]
fn an_emulated_program_is_recorded() {
    let Some(recorder) = env::var_os("MILLPOND_ARM64_RECORDER") else {
        let why = "`.ci/run --full` builds it and names it in MILLPOND_ARM64_RECORDER";
        return skipped("the recorder for ARM64", why);
    };
    let workshop = Workshop::new();
    let Some(program) = workshop.compile_by("aarch64-linux-gnu-gcc", "threads", &[]) else { return };
    let directory = workshop.path("recording");
    begin(&directory);
    let variables = [(DIRECTORY, directory.as_os_str()), ("LD_PRELOAD", &recorder)];
    let mut emulator = Command::new("qemu-aarch64");
    emulator.args(["-L", "/usr/aarch64-linux-gnu"]);
    for (name, value) in variables {
        emulator.arg("-E").arg(format!("{name}={}", value.to_str().unwrap()));
    }
    let output = emulator.arg(&program).arg("3").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let mut recover = millpond();
    recover.arg("recover").arg(&directory).args(["--process", "threads", "-o"]).arg(workshop.path("out.mpt"));
    told(&recover.output().unwrap());
    let trace = workshop.trace();
    assert_eq!(trace.summary.threads, 3 * 8 + 1);
    for size in [330, 331, 332] {
        assert_eq!((trace.made(size), trace.freed(size)), (24, 24), "{size}");
    }
    trace.assert_exact();
}
