//! Copies files in which the system describes the process, without heap memory.

use core::ffi::CStr;

use super::{path::Path, sys::File};

/// Passes the contents of a file to `write`, best effort.
pub(crate) fn read(from: &CStr, mut write: impl FnMut(&[u8])) {
    let Ok(from) = File::open(&Path::fixed(from), libc::O_RDONLY) else { return };
    let mut bytes = [0; 4096];
    loop {
        let count = from.read(&mut bytes);
        let Some(part) = bytes.get(..count).filter(|part| !part.is_empty()) else { return };
        write(part);
    }
}

/// Copies a file, best effort: if that fails, the report lacks the information.
#[cfg(target_arch = "x86_64")]
pub(crate) fn copy(from: &CStr, to: &Path) {
    let Ok(to) = File::open(to, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL) else { return };
    let mut offset = 0;
    read(from, |part| {
        // SAFETY: the slice has that many bytes.
        let _ = unsafe { to.write(part.as_ptr(), part.len(), offset) };
        offset += part.len() as u64;
    });
}

/// Returns the bytes of anonymous resident memory of this process; 0 if unknown.
pub(crate) fn anonymous_memory() -> u64 {
    let Ok(file) = File::open(&Path::fixed(c"/proc/self/statm"), libc::O_RDONLY) else { return 0 };
    let mut bytes = [0; 128];
    let count = file.read(&mut bytes).min(bytes.len());
    // Numbers of pages: address space, resident, and resident pages of files.
    let mut pages = bytes[..count].split(|&byte| byte == b' ').map(number);
    let (_, resident, of_files) = (pages.next(), pages.next(), pages.next());
    // SAFETY: `sysconf` is always safe to call.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    resident.unwrap_or(0).saturating_sub(of_files.unwrap_or(0)) * page
}

/// Parses a decimal number; any result if it is none.
pub(crate) fn number(digits: &[u8]) -> u64 {
    let append =
        |number: u64, digit: &u8| number.wrapping_mul(10).wrapping_add(digit.wrapping_sub(b'0').into());
    digits.iter().fold(0, append)
}

/// Returns the number after a word in the first bytes of a text file such as `/proc/self/status`; `None` if there is
/// none.
pub(crate) fn number_after(word: &[u8], file: &CStr) -> Option<u32> {
    let file = File::open(&Path::fixed(file), libc::O_RDONLY).ok()?;
    let mut bytes = [0; 4096];
    let count = file.read(&mut bytes);
    let text = bytes.get(..count)?;
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(word))?;
    Some(number(line.trim_ascii()) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_the_status_of_a_process() {
        assert_eq!(number_after(b"Pid:", c"/proc/self/status"), Some(std::process::id()));
        assert_eq!(number_after(b"Nothing:", c"/proc/self/status"), None);
        assert_eq!(number_after(b"Pid:", c"/nowhere"), None);
    }
}
