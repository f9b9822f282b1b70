//! Determines which file serves the calls of this process to `malloc`.

use std::{ffi::CStr, os::unix::ffi::OsStrExt, path::Path};

use anyhow::{Context, Result, ensure};

/// The functions by which a replay allocates.
pub(crate) const FUNCTIONS: [&CStr; 6] =
    [c"malloc", c"calloc", c"realloc", c"posix_memalign", c"free", c"malloc_usable_size"];

/// Checks that a library serves all calls, or glibc if there is none.
pub(super) fn check(library: Option<&Path>) -> Result<()> {
    let Some(library) = library else { return check_glibc() };
    for function in FUNCTIONS {
        let found = object_of(function).map(|object| object.file);
        let found = found.with_context(|| format!("{} cannot be looked up", function.to_string_lossy()))?;
        ensure!(
            std::fs::canonicalize(&found).is_ok_and(|found| found == library),
            "after it was loaded, {} is still that of {}",
            function.to_string_lossy(),
            found.display()
        );
    }
    Ok(())
}

/// Checks that the calls are served by the same file as those of other functions of glibc.
fn check_glibc() -> Result<()> {
    let Some(glibc) = object_of(c"gnu_get_libc_version") else { return Ok(()) };
    for object in FUNCTIONS.into_iter().filter_map(object_of) {
        ensure!(
            object.start == glibc.start,
            "{} is loaded into every program here (/etc/ld.so.preload), so glibc cannot be measured",
            object.file.display()
        );
    }
    Ok(())
}

/// A file in memory.
struct Object {
    file: std::path::PathBuf,
    start: usize,
}

/// Returns the file that provides a function to this program; `None` if it cannot be determined, as in a statically
/// linked program.
fn object_of(function: &CStr) -> Option<Object> {
    // SAFETY: the name ends with a zero. The handle stands for all files of this process.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, function.as_ptr()) };
    // SAFETY: an all-zero `Dl_info` is a valid value.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be looked up, and `found` is valid for writes.
    if address.is_null() || unsafe { libc::dladdr(address, &mut found) } == 0 || found.dli_fname.is_null() {
        return None;
    }
    // SAFETY: on success, the name is a string that lives as long as the file is loaded, which is for good.
    let file = unsafe { CStr::from_ptr(found.dli_fname) };
    let file = Path::new(std::ffi::OsStr::from_bytes(file.to_bytes())).to_owned();
    Some(Object { file, start: found.dli_fbase.addr() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn glibc_serves_this_process() {
        let served = object_of(c"malloc").expect("tests are linked dynamically");
        check(None).unwrap();
        check(Some(&std::fs::canonicalize(&served.file).unwrap())).unwrap();
        let error = check(Some(Path::new("/lib/other.so"))).unwrap_err().to_string();
        assert!(error.contains("malloc is still that of ") && error.contains("libc"), "{error}");
    }
}
