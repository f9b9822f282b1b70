//! Programs written for the interfaces of other pools, compiled with the headers in `compat`; their output is compared.

use std::{fs, path::Path, process::Command};

use crate::{
    build::{Build, GCC},
    install::{has, prefix, skipped, succeeds, text},
};

const C99: &[&str] = &["gcc", "-std=c99"];
const CLANG_C99: &[&str] = &["clang", "-std=c99"];
const CLANG: &[&str] = &["clang++", "-std=c++20"];
const FOLDER: &str = "include/millpond-compat";

/// Compiles a program with one compiler, optimised and with sanitizers, and with the other, and compares its output.
fn prints(source: &str, [sanitized, other]: [&[&str]; 2], include: &str, expected: &str) {
    let sanitized =
        [sanitized, &["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]].concat();
    let include = FOLDER.trim_start_matches("include/").to_owned() + include;
    for dialect in [&sanitized, other] {
        if has(dialect[0], source) {
            let build = Build::new(dialect, &format!("tests/compat/{source}"))
                .named(&format!("compat-{}", dialect[0]));
            let program = build.including_installed(&include).program();
            assert_eq!(succeeds(&mut program.command()), expected, "{source} in {dialect:?}");
        }
    }
}

#[test]
fn pages_and_threads_as_on_windows() {
    let expected = "64 blocks, then none: yes\nagain: yes\nAll done.\n";
    prints("memory_pool_manager.cpp", [GCC, CLANG], "", expected);
    prints("memory_pool_manager_in_c.c", [C99, CLANG_C99], "", expected);
    prints("windows_calls.cpp", [GCC, CLANG], "/posix", "All done.\n");
}

#[test]
fn a_fixed_number_of_blocks() {
    let expected = "Block size: 16 bytes\nCapacity  : 8 blocks\n\
        Node value = 4\nNode value = 3\nNode value = 2\nNode value = 1\nNode value = 0\n\
        All nodes destroyed and deallocated back to the pool.\n\
        exhausted: no memory left in this allocator and its parent: free blocks, or give it a larger parent\n\
        last freed first: 1\nsmall: 8 1\n\
        capacity must be > 0\nblock_size must be > 0\nrounded: 24\nno such memory\n";
    prints("fixed_block_memory_pool.cpp", [GCC, CLANG], "", expected);
}

#[test]
fn log_lines_go_to_the_standard_log() {
    let test = "log_lines_go_to_the_standard_log";
    if !has("g++", test) {
        return;
    }
    for (argument, expected) in [("-UNDEBUG", "[DEBUG] Allocated node\n"), ("-DNDEBUG", "")] {
        let build =
            Build::new(GCC, "tests/compat/fixed_block_memory_pool.cpp").named(&format!("{test}{argument}"));
        let program = build.including_installed("millpond-compat").with(argument).program();
        let output = program.command().output().expect("the program can be run");
        let rest = "[INFO] Returned block to pool\n[WARN] number 1 is the first\n[ERROR] and the last\n";
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("{expected}{rest}"));
    }
}

#[test]
fn a_region_of_1024_bytes() {
    let numbers: String = (0..5).map(|i| format!("int at index {i} in the array is: {i}\n")).collect();
    let expected = numbers + "we allocated a string of 5 bytes: ciao\n";
    prints("mem_pool.c", [C99, CLANG_C99], "", &expected);
    prints(
        "mem_pool_limits.c",
        [C99, CLANG_C99],
        "",
        "one piece: 0\nsingle bytes: 0\nall kinds: 0\nnonsense: 0\n",
    );
}

#[test]
fn chunks_behind_function_pointers() {
    prints("goo_pool_allocator.c", [C99, CLANG_C99], "", "Pool usage: 0/1024 chunks\n42 Example 3.14\n");
    prints("goo_allocator_rules.c", [C99, CLANG_C99], "", "all as promised\n");
}

#[test]
fn blocks_on_bases_and_buffers() {
    prints("block_allocator.cpp", [GCC, CLANG], "", "all as promised\n");
}

/// ThreadSanitizer detects a missing lock, whatever the timing.
#[test]
fn threads_do_not_race() {
    let test = "threads_do_not_race";
    let tsan = [GCC, &["-O1", "-fsanitize=thread"]].concat();
    if !has(tsan[0], test) {
        return;
    }
    for source in ["block_allocator.cpp", "memory_pool_manager.cpp"] {
        let build = Build::new(&tsan, &format!("tests/compat/{source}")).named(test);
        let program = build.including_installed("millpond-compat").program();
        let output = program.command().arg("threads").output().expect("the program can be run");
        let report = text(&output);
        if report.contains("FATAL: ThreadSanitizer: unexpected memory mapping") {
            return skipped(test, "ThreadSanitizer does not run on this kernel");
        }
        assert!(output.status.success(), "{source}: {report}");
    }
}

/// The headers for C also compile as C++, each by itself; and the parts for Windows compile there.
#[test]
fn each_header_compiles_alone() {
    let test = "each_header_compiles_alone";
    let compat = prefix().join(FOLDER);
    let include = format!("-I{}", prefix().join("include").display());
    let windows = "x86_64-w64-mingw32-g++-posix";
    for header in [
        "mem_pool.h",
        "goo_allocator.h",
        "goo_pool_allocator.h",
        "memory_pool_manager.h",
        "block_allocator.hpp",
        "memory_pool/fixed_block_memory_pool.hpp",
        "common/logging.hpp",
    ] {
        for compiler in ["g++", windows] {
            if !has(compiler, test) {
                continue;
            }
            let mut check = Command::new(compiler);
            check.args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++", &include]);
            succeeds(check.arg(compat.join(header)).arg(format!("-I{}", compat.display())));
        }
    }
}

/// Checks that every header in `compat` is installed.
#[test]
fn all_headers_are_installed() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat");
    for folder in ["", "memory_pool", "common", "posix"] {
        for entry in fs::read_dir(here.join(folder)).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            let name = path.strip_prefix(&here).expect("it lies there");
            assert!(prefix().join(FOLDER).join(name).exists(), "{} is not installed", name.display());
        }
    }
}
