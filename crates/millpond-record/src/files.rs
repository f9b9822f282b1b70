//! Copying files that the system describes the process in, without memory from the heap.

use core::ffi::CStr;

use crate::{path::Path, sys::File};

/// Copies a file, best effort: what is missing then is missing in the report, no more.
pub(crate) fn copy(from: &CStr, to: &Path) {
    let Ok(from) = File::open(&Path::fixed(from), libc::O_RDONLY) else { return };
    let Ok(to) = File::open(to, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL) else { return };
    let mut bytes = [0; 4096];
    let mut offset = 0;
    loop {
        let count = from.read(&mut bytes).min(bytes.len());
        // SAFETY: `read` has filled that many bytes.
        if count == 0 || unsafe { to.write(bytes.as_ptr(), count, offset) }.is_err() {
            return;
        }
        offset += count as u64;
    }
}

/// Bytes of this process's resident memory that belong to no file; 0 if that is not known.
pub(crate) fn anonymous_memory() -> u64 {
    let Ok(file) = File::open(&Path::fixed(c"/proc/self/statm"), libc::O_RDONLY) else { return 0 };
    let mut bytes = [0; 128];
    let count = file.read(&mut bytes).min(bytes.len());
    // Pages: of addresses, resident, and those of the resident ones that belong to files.
    let mut pages = bytes[..count].split(|&byte| byte == b' ').map(number);
    let (_, resident, of_files) = (pages.next(), pages.next(), pages.next());
    // SAFETY: this only answers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    resident.unwrap_or(0).saturating_sub(of_files.unwrap_or(0)) * page
}

/// A number in decimal digits.
fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit.wrapping_sub(b'0')))
}

/// Copies where a symbolic link leads to.
pub(crate) fn copy_link(from: &CStr, to: &Path) {
    let mut bytes = [0_u8; 4096];
    // SAFETY: a C string, and a buffer of the length given.
    let count = unsafe {
        libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, from.as_ptr(), bytes.as_mut_ptr(), bytes.len())
    };
    if count > 0
        && let Ok(to) = File::open(to, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL)
    {
        // SAFETY: the call has filled that many bytes. Without this file, the program has no name in the trace.
        let _ = unsafe { to.write(bytes.as_ptr(), (count as usize).min(bytes.len()), 0) };
    }
}
