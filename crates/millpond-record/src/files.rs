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
