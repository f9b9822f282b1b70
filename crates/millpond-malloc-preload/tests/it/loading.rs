//! Libraries that are loaded late, or that have a heap of their own.

use std::os::unix::process::ExitStatusExt as _;

use crate::preload::{MODES, compile, compile_source, library, preloaded, succeed};

#[test]
fn blocks_of_the_c_library_s_heap_are_handed_on() {
    let plugin = compile("plugin", &["-shared", "-fPIC"]);
    let program = compile("loading", &["-ldl"]);
    for mode in ["fast", "checked"] {
        succeed(preloaded(&program, mode).arg("deepbind").arg(&plugin));
    }
}

#[test]
fn in_hardened_modes_blocks_of_other_heaps_end_the_program() {
    let plugin = compile("plugin", &["-shared", "-fPIC"]);
    let program = compile("loading", &["-ldl"]);
    for mode in ["light", "full"] {
        let output = preloaded(&program, mode).arg("deepbind").arg(&plugin).output().expect("the program");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "{errors}");
        assert!(errors.contains(", outside of the heap"), "{errors}");
    }
}

#[test]
fn the_library_can_be_opened_late() {
    let program = compile("loading", &["-ldl"]);
    succeed(std::process::Command::new(&program).arg("late").arg(library()));
}

#[test]
fn programs_can_be_linked_statically() {
    let archive = library().with_file_name("libmillpond_malloc.a");
    let program = compile("conformance", &["-static", &archive.display().to_string()]);
    for mode in MODES {
        let output = succeed(
            std::process::Command::new(&program)
                .env("MILLPOND_MALLOC", mode)
                .env("MILLPOND_MALLOC_STATS", "json"),
        );
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(&format!("{{\"mode\":\"{mode}\"")), "this heap is used: {errors}");
    }
}

#[test]
fn operators_of_cpp_can_be_linked_statically() {
    let archive = library().with_file_name("libmillpond_malloc.a");
    let program =
        compile_source("operators.cc", &["-O1", "-w"], &["-static", &archive.display().to_string()]);
    for mode in MODES {
        let mut command = std::process::Command::new(&program);
        let output = succeed(command.env("MILLPOND_MALLOC", mode).env("MILLPOND_MALLOC_STATS", "json"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(&format!("{{\"mode\":\"{mode}\"")), "this heap is used: {errors}");
    }
}

#[test]
fn constructors_and_destructors_may_allocate() {
    let plugin = compile("plugin", &["-shared", "-fPIC"]);
    let program = compile("loading", &["-ldl"]);
    for mode in MODES {
        let both = format!("{} {}", plugin.display(), library().display());
        succeed(preloaded(&program, mode).arg("nothing").arg("-").env("LD_PRELOAD", both));
    }
}
