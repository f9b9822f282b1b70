//! Libraries that are unloaded, and the other way to find modules.

use std::{path::Path, process::Command};

use crate::support::{Library, check, compared, compile, process};

type Enter = unsafe extern "C" fn(extern "C" fn());

/// Loads a library, and calls it a few times; returns the address of its function.
fn visit(path: &Path) -> usize {
    let library = Library::load(path);
    // SAFETY: that is its type.
    let enter: Enter = unsafe { library.function("enter") };
    for _ in 0..3 {
        // SAFETY: `check` is such a function.
        unsafe { enter(check) };
    }
    library.close();
    enter as usize
}

#[test]
fn a_library_in_the_place_of_another() {
    let paths = ["24", "56"].map(|frame| compile("plugin.c", frame, &[&format!("-DFRAME=\"{frame}\"")]));
    let [Some(first), Some(second)] = paths else { return };
    compared(120, || {
        let (mut same_place, mut last) = (0, 0);
        for round in 0..40 {
            let address = visit(if round % 2 == 0 { &first } else { &second });
            process().forget_modules();
            same_place += usize::from(address == last);
            last = address;
        }
        assert!(same_place > 10, "the libraries were in the same place {same_place} times of 40");
    });
}

/// Runs the other tests once more in a program of their own, where modules are found as they are with older C libraries.
#[test]
fn the_same_by_the_list_of_modules() {
    if std::env::var_os("WITHOUT_SEARCH").is_some() {
        return;
    }
    let tests = Command::new(std::env::current_exe().unwrap()).env("WITHOUT_SEARCH", "1").output().unwrap();
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stdout));
}
