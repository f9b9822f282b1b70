//! Libraries that are loaded late, or that have a heap of their own.

use crate::preload::{MODES, compile, library, preloaded, succeed};

#[test]
fn blocks_of_the_c_library_s_heap_are_handed_on() {
    let plugin = compile("plugin", &["-shared", "-fPIC"]);
    let program = compile("loading", &["-ldl"]);
    for mode in MODES {
        succeed(preloaded(&program, mode).arg("deepbind").arg(&plugin));
    }
}

#[test]
fn the_library_can_be_opened_late() {
    let program = compile("loading", &["-ldl"]);
    succeed(std::process::Command::new(&program).arg("late").arg(library()));
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
