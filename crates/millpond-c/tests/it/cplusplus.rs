//! Programs in C++ with `millpond.hpp`: in every supported dialect, with every available compiler, with memory
//! checkers, and from a separate project.

use std::{fs, path::Path, process::Command, thread};

use crate::{
    build::{Build, GCC, Program},
    install::{has, prefix, root, scratch, skipped, succeeds},
};

const PROGRAMS: &[&str] = &["owners", "objects", "resources", "calls", "globals", "phases"];

/// Further rules that the header follows.
const WARNINGS: [&str; 2] = ["-Wconversion", "-Wshadow"];
const VALGRIND: &[&str] = &["valgrind", "-q", "--error-exitcode=9", "--leak-check=full"];

const CLANG: &[&str] = &["clang++", "-std=c++17"];
const GCC_20: &[&str] = &["g++", "-std=c++20", "-O2"];
const GCC_BARE: &[&str] = &["g++", "-std=c++17", "-fno-exceptions", "-fno-rtti"];
const CLANG_LIBCXX: &[&str] = &["clang++", "-std=c++20", "-stdlib=libc++"];
const GCC_SANITIZED: &[&str] =
    &["g++", "-std=c++17", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

fn source(name: &str) -> String {
    format!("tests/cpp/{name}.cpp")
}

/// Compiles a program as a user with all warnings would.
fn compile(test: &str, dialect: &[&str], name: &str, change: impl Fn(Build) -> Build) -> Program {
    let build = Build::new(dialect, &source(name)).including("tests/cpp").named(test);
    change(WARNINGS.iter().fold(build, |build, warning| build.with(warning))).program()
}

/// Compiles and runs all programs in one dialect in parallel, and runs each under some tools too.
fn all_pass(test: &str, dialect: &[&str], tools: &[&[&str]], change: impl Fn(Build) -> Build + Sync) {
    if !has(dialect[0], test) {
        return;
    }
    prefix();
    thread::scope(|threads| {
        for name in PROGRAMS {
            let change = &change;
            threads.spawn(move || {
                let program = compile(test, dialect, name, change);
                let expected = format!("{name}: ");
                let printed = succeeds(&mut program.command());
                assert!(printed.starts_with(&expected), "{name} in {dialect:?} printed {printed:?}");
                for tool in tools {
                    if has(tool[0], test) {
                        succeeds(&mut program.command_under(tool));
                    }
                }
            });
        }
    });
}

#[test]
fn gcc_17_also_under_valgrind() {
    all_pass("gcc_17_also_under_valgrind", GCC, &[VALGRIND], |build| build);
}

#[test]
fn gcc_20_optimised_and_static() {
    all_pass("gcc_20_optimised_and_static", GCC_20, &[], Build::statically);
}

#[test]
fn without_exceptions_and_type_information() {
    all_pass("without_exceptions_and_type_information", GCC_BARE, &[], |build| build);
}

#[test]
fn clang_17() {
    all_pass("clang_17", CLANG, &[], |build| build);
}

#[test]
fn clang_with_its_own_library() {
    let test = "clang_with_its_own_library";
    let folder = scratch(test);
    fs::write(folder.join("probe.cpp"), "#include <new>\nint main() {}\n").expect("tests may write there");
    let mut probe = Command::new("clang++");
    probe.args(&CLANG_LIBCXX[1..]).arg(folder.join("probe.cpp")).arg("-o").arg(folder.join("probe"));
    if probe.output().is_ok_and(|output| output.status.success()) {
        all_pass(test, CLANG_LIBCXX, &[], |build| build);
    } else {
        skipped(test, "clang++ with libc++ is not installed");
    }
}

#[test]
fn sanitizers_find_nothing() {
    all_pass("sanitizers_find_nothing", GCC_SANITIZED, &[], |build| build);
}

/// The tools see free blocks that the header caches.
#[test]
fn use_after_free_is_reported() {
    let test = "use_after_free_is_reported";
    if !has("g++", test) {
        return;
    }
    let program = compile(test, GCC_SANITIZED, "use_after_free", |build| build);
    for pool in ["object_pool", "resource"] {
        let output = program.command().arg(pool).output().expect("the program can be run");
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(report.contains("use-after-poison"), "{pool}: {} {report}", output.status);
    }
}

#[test]
fn examples_in_cpp() {
    let test = "examples_in_cpp";
    if !has("g++", test) {
        return;
    }
    let folder = fs::read_dir(root().join("examples/cpp")).expect("there are examples");
    let mut count = 0;
    for example in folder.map(|entry| entry.expect("the folder can be read").path()) {
        if example.extension().is_some_and(|extension| extension == "cpp") {
            let path = example.to_string_lossy().into_owned();
            let printed = succeeds(&mut Build::new(GCC, &path).named(test).program().command());
            let expected =
                fs::read_to_string(example.with_extension("out")).expect("an example says what it prints");
            assert_eq!(printed, expected, "{}", example.display());
            count += 1;
        }
    }
    assert!(count >= 3, "only {count} examples were found");
}

/// The program in the guide for C++.
#[test]
fn program_in_the_guide() {
    let test = "program_in_the_guide";
    if !has("g++", test) {
        return;
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cpp.md"))
        .expect("there is a page");
    let snippet =
        page.split("```cpp\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it has a snippet");
    let source = scratch(test).join("page.cpp");
    fs::write(&source, snippet).expect("tests may write there");
    succeeds(&mut Build::new(GCC, &source.to_string_lossy()).named("page").program().command());
}

/// A project that finds the package, and links a program with each library.
#[test]
fn cmake_finds_the_headers() {
    let test = "cmake_finds_the_headers";
    if !has("cmake", test) || !has("g++", test) {
        return;
    }
    let folder = scratch(test);
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let lists = format!(
        "cmake_minimum_required(VERSION 3.16)\nproject(consumer CXX)\nset(CMAKE_CXX_STANDARD 17)\n\
         find_package(millpond 0.2 REQUIRED COMPONENTS compat)\n\
         add_executable(shared {0}/cpp/owners.cpp)\ntarget_link_libraries(shared millpond::millpond)\n\
         add_executable(static {0}/cpp/owners.cpp)\ntarget_link_libraries(static millpond::static)\n\
         add_library(kv_store_lib INTERFACE)\ntarget_link_libraries(kv_store_lib INTERFACE memory_pool_lib)\n\
         add_executable(demo {0}/compat/fixed_block_memory_pool.cpp)\ntarget_link_libraries(demo kv_store_lib)\n",
        programs.display()
    );
    fs::write(folder.join("CMakeLists.txt"), lists).expect("tests may write there");
    let build = folder.join("build");
    let prefix = format!("-DCMAKE_PREFIX_PATH={}", prefix().display());
    succeeds(Command::new("cmake").arg("-S").arg(&folder).arg("-B").arg(&build).arg(prefix));
    succeeds(Command::new("cmake").arg("--build").arg(&build));
    for program in ["shared", "static", "demo"] {
        succeeds(&mut Command::new(build.join(program)));
    }
}
