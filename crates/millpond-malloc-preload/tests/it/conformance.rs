//! What C asks of a malloc.

use crate::preload::{MODES, compile, compile_source, preloaded, succeed};

#[test]
fn the_c_library_s_rules_hold() {
    let program = compile("conformance", &[]);
    for mode in MODES {
        succeed(&mut preloaded(&program, mode));
    }
}

#[test]
fn threads_share_blocks_while_the_process_forks() {
    let program = compile("threads", &[]);
    for mode in MODES {
        succeed(preloaded(&program, mode).arg("100"));
    }
}

#[test]
fn the_operators_of_cpp_allocate_throw_and_free() {
    let program = compile_source("operators.cc", &["-O1", "-w"], &[]);
    for mode in MODES {
        succeed(&mut preloaded(&program, mode));
    }
}
