//! Inlined functions of each language and compiler, and functions that only symbol tables name.

use std::fs;

use millpond_symbols::{Options, Origin, Symbolizer};

use crate::support::{modules, must_run, only, program, skipped};

#[test]
fn rust_with_both_manglings() {
    for (mangling, function) in [("v0", "<inlined::Inner<u8>>::here"), ("legacy", "inlined::Inner<T>::here")]
    {
        let folder = tempfile::tempdir().unwrap();
        let option = format!("-Csymbol-mangling-version={mangling}");
        let options = ["-Zunstable-options", &option, "-Clink-arg=-Wl,--build-id"];
        let program = program(folder.path(), "rustc", &options).unwrap();
        program.assert_inlined(only(&[]));
        let frames = program.frames(only(&[]));
        assert_eq!((&*frames[1].0, &*frames[2].0), ("inlined::middle", "inlined::outermost"), "{mangling}");
        assert!(frames[0].0.contains("Inner") && !frames[0].0.contains("_"), "{mangling}: {frames:?}");
        assert_eq!(frames[0].0, function);
    }
}

#[test]
fn cpp_with_both_compilers_and_all_versions_of_dwarf() {
    for compiler in ["g++", "clang++"] {
        for dwarf in ["-gdwarf-4", "-gdwarf-5"] {
            let folder = tempfile::tempdir().unwrap();
            match program(folder.path(), compiler, &[dwarf]) {
                Ok(program) => program.assert_inlined(only(&[])),
                Err(reason) if compiler == "clang++" => skipped("C++ of clang++", &reason),
                Err(reason) => panic!("{reason}"),
            }
        }
    }
}

#[test]
fn debug_information_that_is_compressed() {
    for format in ["zlib", "zstd"] {
        let folder = tempfile::tempdir().unwrap();
        let program = program(folder.path(), "g++", &[]).unwrap();
        let path = program.path.to_str().unwrap();
        match crate::support::run("objcopy", &[&format!("--compress-debug-sections={format}"), path]) {
            Ok(_) => {
                let sections = must_run("readelf", &["-SW", path]);
                let info = sections.lines().find(|line| line.contains(".debug_info")).unwrap();
                assert!(info.contains(" C "), "{info}");
                program.assert_inlined(only(&[]));
            }
            Err(reason) => skipped(&format!("debug information compressed as {format}"), &reason),
        }
    }
}

#[test]
fn executables_at_fixed_addresses_and_other_linkers() {
    for options in [&["-no-pie"][..], &["-fuse-ld=gold"], &["-Wl,-z,noseparate-code"]] {
        let folder = tempfile::tempdir().unwrap();
        match program(folder.path(), "g++", options) {
            Ok(program) => program.assert_inlined(only(&[])),
            Err(reason) => skipped(&format!("programs made with {options:?}"), &reason),
        }
    }
}

#[test]
fn libc_without_debug_information() {
    let modules = modules(&fs::read_to_string("/proc/self/maps").unwrap());
    for (address, name) in [
        (libc::malloc as *const () as u64, "malloc"),
        (libc::free as *const () as u64, "free"),
        (libc::qsort as *const () as u64, "qsort"),
    ] {
        let module =
            modules.iter().find(|module| module.file_offset(address).is_some()).expect("it is mapped");
        let symbols = Symbolizer::new(only(&[])).resolve(module, &[address + 1, 0]);
        assert_eq!(*symbols.origin(), Origin::SymbolTable(module.path.clone()));
        let frames: Vec<_> = symbols.frames(address + 1).collect();
        assert_eq!((frames.len(), frames[0].function, frames[0].file), (1, name, ""));
        assert_eq!(symbols.frames(0).len(), 0, "it is in no module");
    }
}

#[test]
fn a_stripped_program_has_the_functions_that_it_exports() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "g++", &[]).unwrap();
    must_run("strip", &["--strip-all", program.path.to_str().unwrap()]);
    let symbols = program.resolve(only(&[]));
    assert_eq!(*symbols.origin(), Origin::SymbolTable(program.path.clone()));
    assert_eq!(program.frames(only(&[])), [("outermost".into(), String::new(), 0)]);
}

#[test]
fn a_compressed_symbol_table_in_a_stripped_program() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "g++", &["-fvisibility=hidden"]).unwrap();
    let path = program.path.to_str().unwrap();
    let mini = folder.path().join("mini");
    let mini = mini.to_str().unwrap();
    must_run("objcopy", &["-S", "--keep-symbol=main", "--keep-symbol=outermost", path, mini]);
    must_run("strip", &["--strip-all", "-R", ".dynsym", path]);
    assert_eq!(program.frames(only(&[])).len(), 0, "nothing names it any more");
    must_run("xz", &[mini]);
    must_run("objcopy", &["--add-section", &format!(".gnu_debugdata={mini}.xz"), path]);
    assert_eq!(program.frames(only(&[]))[0].0, "outermost");
}

#[test]
fn what_has_no_file_has_no_names() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "g++", &[]).unwrap();
    for path in ["[vdso]", "relative", "/nonexistent/file", "/dev/null", "/"] {
        let module = millpond_symbols::Module { path: path.into(), ..program.module().clone() };
        let symbols = Symbolizer::new(Options::default()).resolve(&module, &[program.address]);
        assert_eq!((symbols.origin(), symbols.frames(program.address).len()), (&Origin::Nothing, 0));
        assert_eq!(symbols.notes().len(), usize::from(path.starts_with('/')), "{:?}", symbols.notes());
    }
}
