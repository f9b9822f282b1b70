//! An installed program contains its recorder.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use millpond_trace::Reader;

use super::Workshop;

#[test]
fn program_alone_can_record() {
    let workshop = Workshop::new();
    let (folder, home) = (workshop.path("bin"), workshop.path("home"));
    fs::create_dir(&folder).unwrap();
    fs::create_dir(&home).unwrap();
    let program = folder.join("millpond");
    fs::copy(env!("CARGO_BIN_EXE_millpond"), &program).unwrap();
    let record = || {
        let mut command = Command::new(&program);
        command.current_dir(&folder).env_clear().env("HOME", &home).env("PATH", "/usr/bin:/bin");
        let output = command.args(["record", "--force", "-o", "out.mpt", "--", "ls", "/"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(Reader::open(folder.join("out.mpt")).unwrap().summary().events > 0);
    };
    record();
    let cache = home.join(".cache/millpond");
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    let files: Vec<_> = fs::read_dir(&cache).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    // A truncated or altered file is not used, but written again.
    let length = fs::metadata(&files[0]).unwrap().len();
    fs::write(&files[0], "no library").unwrap();
    record();
    assert_eq!(fs::metadata(&files[0]).unwrap().len(), length);
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 1);
}

#[test]
fn without_a_home_the_recorder_goes_to_the_temporary_directory() {
    for home in ["/proc/nowhere", "", "relative", "/dev/null"] {
        let workshop = Workshop::new();
        let mut command = workshop.recorder();
        let output =
            command.env_remove("XDG_CACHE_HOME").env("HOME", home).args(["--", "ls", "/"]).output().unwrap();
        super::told(&output);
        assert!(workshop.trace().summary.events > 0);
    }
}

#[test]
fn home_with_a_colon_is_not_used() {
    let workshop = Workshop::new();
    let mut command = workshop.recorder();
    let output =
        command.env("XDG_CACHE_HOME", workshop.path("a b:c")).args(["--", "ls", "/"]).output().unwrap();
    super::told(&output);
    assert!(workshop.trace().summary.events > 0);
    assert!(!workshop.path("a b:c").exists());
}
