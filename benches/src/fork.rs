//! Doing something in a process of its own, so that what it leaves behind in this one's memory changes nothing.

use std::fs;

use crate::report::{Case, Measure};

/// Resident bytes of this process.
pub fn resident() -> Option<f64> {
    let pages: f64 = fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: asking for the size of a page is always allowed.
    Some(pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64)
}

/// Resident bytes of this process that are not a file's: exactly, and without what it has loaded of its own program.
pub fn resident_of_its_own() -> Option<f64> {
    let figures = fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let kibibytes = figures.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    Some(kibibytes.strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

/// What `work` found out, in a copy of this process; `None` if that died, or the system gave none.
pub fn in_a_copy<const N: usize>(work: impl FnOnce() -> [f64; N]) -> Option<[f64; N]> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two numbers.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: this program has one thread, so the copy may do all that this one may.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let found = work();
        // SAFETY: the numbers are as long as said; the copy ends here, without running anything of the original's.
        unsafe {
            libc::write(ends[1], found.as_ptr().cast(), size_of_val(&found));
            libc::_exit(0);
        }
    }
    let mut found = [0.0; N];
    // SAFETY: as above; both ends are ours, and the child, if there is one, is waited for once.
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

/// A case with one sample of each measure, each contender in a copy of this process.
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
