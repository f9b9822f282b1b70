//! Debug information in other files than the program.

use std::{fs, path::Path};

use millpond_symbols::{Module, Options, Origin, Symbolizer};

use crate::support::{must_run, only, program, run, skipped, split};

/// The path for a program's build id below a folder.
fn by_build_id(folder: &Path, module: &Module) -> std::path::PathBuf {
    let id = module.build_id.as_ref().unwrap().to_string();
    folder.join(".build-id").join(&id[..2]).join(format!("{}.debug", &id[2..]))
}

#[test]
fn by_build_id_in_the_system_and_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "g++", &[]).unwrap();
    let debug = folder.path().join("debug");
    let path = by_build_id(&debug, program.module());
    split(&program.path, &path);
    program.assert_inlined(only(&[&debug]));
    program.assert_inlined(Options { system_debug_dir: debug.clone(), ..only(&[]) });
    assert_eq!(*program.resolve(only(&[&debug])).origin(), Origin::DebugInfo(path));
    assert_eq!(program.frames(only(&[])), [("outermost".into(), String::new(), 0)]);
}

#[test]
fn by_the_link_in_the_program() {
    for place in ["program.debug", ".debug/program.debug", "system"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let program = program(&folder, "g++", &[]).unwrap();
        let system = folder.join("system");
        let debug = match place {
            "system" => system.join(folder.strip_prefix("/").unwrap()).join("program.debug"),
            place => folder.join(place),
        };
        split(&program.path, &debug);
        let link = format!("--add-gnu-debuglink={}", debug.display());
        must_run("objcopy", &[&link, program.path.to_str().unwrap()]);
        program.assert_inlined(Options { system_debug_dir: system, ..only(&[]) });
    }
}

#[test]
fn by_the_link_without_a_build_id() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "g++", &["-Wl,--build-id=none"]).unwrap();
    assert_eq!(program.module().build_id, None);
    let debug = folder.path().join("program.debug");
    split(&program.path, &debug);
    let link = format!("--add-gnu-debuglink={}", debug.display());
    must_run("objcopy", &[&link, program.path.to_str().unwrap()]);
    program.assert_inlined(only(&[]));
    // Another file under that name has another checksum.
    must_run("objcopy", &["--add-section", ".other=/etc/passwd", debug.to_str().unwrap()]);
    assert_eq!(program.frames(only(&[])).len(), 1);
}

#[test]
fn by_name_in_a_folder() {
    for name in ["program", "program.debug"] {
        let folder = tempfile::tempdir().unwrap();
        let program = program(folder.path(), "g++", &[]).unwrap();
        let debug = folder.path().join("elsewhere");
        split(&program.path, &debug.join(name));
        program.assert_inlined(only(&[&debug]));
    }
}

#[test]
fn without_the_program_itself() {
    for options in [&["-pie"][..], &["-no-pie"], &["-pie", "-Wl,-z,noseparate-code"]] {
        let folder = tempfile::tempdir().unwrap();
        let program = program(folder.path(), "g++", options).unwrap();
        let debug = folder.path().join("debug");
        split(&program.path, &by_build_id(&debug, program.module()));
        fs::remove_file(&program.path).unwrap();
        program.assert_inlined(only(&[&debug]));
        let notes = program.resolve(only(&[])).notes().to_vec();
        assert!(notes[0].contains("cannot read") && notes[0].contains("No such file"), "{notes:?}");
    }
}

#[test]
fn another_build_is_not_used_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "g++", &[]).unwrap();
    let debug = folder.path().join("debug");
    fs::create_dir(&debug).unwrap();
    let module = program.module().clone();
    let built_again = crate::support::program(folder.path(), "g++", &["-DOTHER", "-O1"]).unwrap();
    assert_ne!(built_again.module().build_id, module.build_id);
    let symbols = Symbolizer::new(only(&[&debug])).resolve(&module, &[program.address]);
    assert_eq!((symbols.origin(), symbols.frames(program.address).len()), (&Origin::Nothing, 0));
    let note = &symbols.notes()[0];
    let ids = [&module, built_again.module()].map(|module| module.build_id.as_ref().unwrap().to_string());
    assert!(note.contains("another build") && ids.iter().all(|id| note.contains(id)), "{note}");
    // Nor is one in a folder that the user named.
    fs::copy(&built_again.path, debug.join("program")).unwrap();
    let symbols = Symbolizer::new(only(&[&debug])).resolve(&module, &[program.address]);
    assert_eq!((symbols.origin(), symbols.notes().len()), (&Origin::Nothing, 2));
}

#[test]
fn debug_information_that_two_programs_share() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = ["one", "two"].map(|name| {
        let own = folder.join(name);
        fs::create_dir(&own).unwrap();
        program(&own, "g++", &["-gdwarf-4"]).unwrap()
    });
    let paths = made.each_ref().map(|program| program.path.to_str().unwrap());
    let shared = folder.join("shared");
    let packed = run("dwz", &["-m", shared.to_str().unwrap(), paths[0], paths[1]]);
    if let Err(reason) = packed {
        return skipped("debug information that dwz shares", &reason);
    }
    assert!(shared.exists());
    made.iter().for_each(|program| program.assert_inlined(only(&[])));
}
