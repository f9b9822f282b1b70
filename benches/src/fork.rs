//! Runs work in a separate process, so that changes to its memory do not affect this one.

use std::fs;

use crate::report::{Case, Measure};

/// Returns the resident bytes of this process.
pub fn resident() -> Option<f64> {
    let pages: f64 = fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: `sysconf` may be called at any time.
    Some(pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64)
}

/// Returns the exact number of resident bytes of this process that are not backed by a file.
pub fn resident_of_its_own() -> Option<f64> {
    let figures = fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let kibibytes = figures.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    Some(kibibytes.strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

/// Returns the result of `work`, run in a copy of this process; `None` if the copy died or could not be created.
pub fn in_a_copy<const N: usize>(work: impl FnOnce() -> [f64; N]) -> Option<[f64; N]> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: this program has one thread, so the child may do everything that the parent may.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let found = work();
        // SAFETY: the pointer and the length are those of the numbers; the child exits here without running anything of
        // the parent.
        unsafe {
            libc::write(ends[1], found.as_ptr().cast(), size_of_val(&found));
            libc::_exit(0);
        }
    }
    let mut found = [0.0; N];
    // SAFETY: the pointer and the length are those of the numbers; this process owns both descriptors, and the child,
    // if any, is waited for once.
    let read = unsafe {
        libc::close(ends[1]);
        let read =
            if child > 0 { libc::read(ends[0], found.as_mut_ptr().cast(), size_of_val(&found)) } else { -1 };
        libc::close(ends[0]);
        if child > 0 {
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
        read
    };
    (usize::try_from(read) == Ok(size_of_val(&found))).then_some(found)
}

/// Returns a case with one sample of each measure, each contender in a copy of this process.
pub fn in_copies<const N: usize>(
    measures: &'static [Measure],
    rows: impl Iterator<Item = (&'static str, fn() -> [f64; N])>,
) -> Case {
    let mut case = Case::new("", measures);
    for (name, run) in rows {
        match in_a_copy(run) {
            Some(samples) => case.add_row(name, samples),
            None => eprintln!("skipped: {name}, whose process died"),
        }
    }
    case
}
