//! The installed files, and whether other tools find them: symbols, pkg-config, CMake, and an archive that was unpacked
//! elsewhere.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use crate::install::{has, prefix, root, scratch, skipped, succeeds};

include!(concat!(env!("OUT_DIR"), "/functions.rs"));

#[test]
fn exported_symbols_are_those_of_the_header() {
    let library = prefix().join("lib/libmillpond.so");
    if !has("nm", "exported_symbols_are_those_of_the_header") {
        return;
    }
    let symbols =
        succeeds(Command::new("nm").args(["-D", "--defined-only", "--format=just-symbols"]).arg(&library));
    let exported: BTreeSet<&str> = symbols.lines().collect();
    assert_eq!(exported, FUNCTIONS.iter().copied().collect());
    let dynamic = succeeds(Command::new("readelf").arg("-d").arg(&library));
    assert!(dynamic.contains("Library soname: [libmillpond.so.1]"), "{dynamic}");
}

/// Writes a program of two lines, for a compiler that gets the folders of Millpond as arguments.
fn consumer(folder: &Path) {
    let source = "#include <millpond.h>\nint main(void) { return mp_version() == MP_VERSION ? 0 : 1; }\n";
    fs::write(folder.join("consumer.c"), source).expect("tests may write there");
}

/// Checks that pkg-config and CMake find an installation, each for both libraries.
fn is_found(prefix: &Path, name: &str) {
    let folder = scratch(name);
    consumer(&folder);
    if has("pkg-config", name) && has("gcc", name) {
        let ask = |arguments: &[&str]| {
            let mut command = Command::new("pkg-config");
            command.args(arguments).arg("millpond").env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
            succeeds(&mut command)
        };
        assert_eq!(ask(&["--modversion"]).trim(), env!("CARGO_PKG_VERSION"));
        for arguments in [&["--cflags", "--libs"][..], &["--cflags", "--libs", "--static"]] {
            let mut gcc = Command::new("gcc");
            gcc.arg(folder.join("consumer.c")).args(ask(arguments).split_whitespace());
            let program = folder.join(format!("consumer{}", arguments.len()));
            if arguments.len() == 3 {
                gcc.arg("-Wl,-Bstatic,-lmillpond,-Bdynamic");
            }
            succeeds(gcc.arg("-o").arg(&program));
            succeeds(Command::new(program).env("LD_LIBRARY_PATH", prefix.join("lib")));
        }
    }
    if has("cmake", name) {
        let lists = "cmake_minimum_required(VERSION 3.16)\nproject(consumer C)\n\
            find_package(millpond 0.2 REQUIRED)\n\
            add_executable(with_shared consumer.c)\ntarget_link_libraries(with_shared millpond::millpond)\n\
            add_executable(with_static consumer.c)\ntarget_link_libraries(with_static millpond::static)\n";
        fs::write(folder.join("CMakeLists.txt"), lists).expect("tests may write there");
        let build = folder.join("build");
        let prefix = format!("-DCMAKE_PREFIX_PATH={}", prefix.display());
        succeeds(Command::new("cmake").arg("-S").arg(&folder).arg("-B").arg(&build).arg(prefix));
        succeeds(Command::new("cmake").arg("--build").arg(&build));
        succeeds(&mut Command::new(build.join("with_shared")));
        succeeds(&mut Command::new(build.join("with_static")));
    }
}

#[test]
fn consumers_find_the_installation() {
    is_found(prefix(), "consumer");
}

#[test]
fn archive_works_anywhere() {
    let test = "archive_works_anywhere";
    if !has("tar", test) {
        return;
    }
    // After the installation, so that the library is built once.
    prefix();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's folder has one around it");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["xtask", "dist"]).env("CARGO_TARGET_DIR", target).env_remove("RUSTFLAGS");
    let archive = succeeds(&mut cargo);
    let folder = scratch("unpacked here");
    succeeds(Command::new("tar").arg("-xzf").arg(archive.trim()).arg("-C").arg(&folder));
    let name =
        Path::new(archive.trim()).file_name().expect("archives have names").to_string_lossy().into_owned();
    let tree = folder.join(name.trim_end_matches(".tar.gz"));
    for file in
        ["include/millpond.h", "share/doc/millpond/LICENSE-MIT", "share/doc/millpond/examples/c/lists.c"]
    {
        assert!(tree.join(file).is_file(), "{file} is missing");
    }
    let moved = scratch("unpacked").join("elsewhere");
    fs::rename(tree, &moved).expect("an archive may be moved");
    is_found(&moved, "consumer-of-archive");
}

/// A project that includes the sources, from this checkout, without a network.
#[test]
fn project_fetches_the_sources() {
    let test = "project_fetches_the_sources";
    if std::env::var_os("MILLPOND_SLOW_TESTS").is_none() {
        return skipped(test, "it compiles the library once more: set MILLPOND_SLOW_TESTS");
    }
    if !has("cmake", test) || !has("gcc", test) {
        return;
    }
    let folder = scratch(test);
    consumer(&folder);
    let lists = format!(
        "cmake_minimum_required(VERSION 3.18)\nproject(consumer C)\ninclude(FetchContent)\n\
         FetchContent_Declare(millpond SOURCE_DIR {} SOURCE_SUBDIR crates/millpond-c)\n\
         FetchContent_MakeAvailable(millpond)\n\
         add_executable(with_shared consumer.c)\ntarget_link_libraries(with_shared millpond::millpond)\n\
         add_executable(with_static consumer.c)\ntarget_link_libraries(with_static millpond::static)\n",
        root().canonicalize().expect("the repository is there").display()
    );
    fs::write(folder.join("CMakeLists.txt"), lists).expect("tests may write there");
    let build = folder.join("build");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&folder).arg("-B").arg(&build).env_remove("RUSTFLAGS");
    succeeds(configure.arg("-DFETCHCONTENT_FULLY_DISCONNECTED=ON"));
    succeeds(Command::new("cmake").arg("--build").arg(&build));
    succeeds(&mut Command::new(build.join("with_shared")));
    succeeds(&mut Command::new(build.join("with_static")));
}

/// Uninstalling removes the installed files and nothing else.
#[test]
fn uninstall_removes_only_what_was_installed() {
    let usr = scratch("uninstalled");
    prefix();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's folder has one around it");
    let chore = |chore: &str| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(root()).args(["xtask", chore, "--prefix"]).arg(&usr);
        cargo.env("CARGO_TARGET_DIR", target).env_remove("RUSTFLAGS");
        cargo
    };
    succeeds(&mut chore("install"));
    let list = usr.join("share/doc/millpond/manifest.txt");
    let listed = fs::read_to_string(&list).expect("there is a manifest");
    assert!(listed.lines().all(|file| usr.join(file).exists()) && listed.lines().count() > 20);
    // Files of an earlier version are removed when another one is installed; other files are kept.
    fs::write(usr.join("include/old.h"), "").expect("tests may write there");
    fs::write(usr.join("include/others.h"), "").expect("tests may write there");
    fs::write(&list, format!("{listed}include/old.h\n../escaped\n")).expect("tests may write there");
    fs::write(usr.with_file_name("escaped"), "").expect("tests may write there");
    succeeds(&mut chore("install"));
    assert!(!usr.join("include/old.h").exists() && usr.join("include/others.h").exists());
    succeeds(&mut chore("uninstall"));
    let left: Vec<_> = fs::read_dir(&usr).expect("the foreign file is there").collect();
    assert!(
        left.len() == 1 && usr.join("include/others.h").exists() && !usr.join("include/millpond.h").exists()
    );
    assert!(usr.with_file_name("escaped").exists());
    assert!(!chore("uninstall").output().expect("cargo runs").status.success());
}
