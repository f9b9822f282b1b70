//! What a process finds out about itself without system calls.

use core::ffi::{CStr, c_char, c_int, c_void};

use super::path::{self, Path};

/// Returns the path with which the program was started, which may be relative; empty if it was started by a descriptor.
pub(crate) fn executable() -> &'static [u8] {
    // SAFETY: the system passes a C string, which stays on the stack of the first thread; without one, the answer is 0.
    unsafe {
        let path = core::ptr::with_exposed_provenance::<c_char>(libc::getauxval(libc::AT_EXECFN) as usize);
        let path = if path.is_null() { b"" } else { CStr::from_ptr(path).to_bytes() };
        if path.starts_with(b"/dev/fd/") { b"" } else { path }
    }
}

/// Max arguments that are found.
const MOST_ARGUMENTS: usize = 4096;

/// Passes the arguments with which the program was started to `write`, each with its zero byte. Call before the program can
/// have changed its environment.
pub(crate) fn arguments(mut write: impl FnMut(&[u8])) {
    let environment = path::environment();
    if environment.is_null() {
        return;
    }
    // SAFETY: in front of the first environment are a null, the arguments in reverse order, and their number.
    unsafe {
        let end = environment.sub(1);
        if !(*end).is_null() {
            return;
        }
        let is_first = |&count: &usize| (*end.sub(count + 1)) as usize == count;
        for at in (1..=(0..MOST_ARGUMENTS).find(is_first).unwrap_or(0)).rev() {
            write(CStr::from_ptr(*end.sub(at)).to_bytes_with_nul());
        }
    }
}

/// Bytes to which mappings are rounded.
const PAGE: u64 = 4096;

/// Passes lines as in `/proc/self/maps` to `write`, those of the code of all loaded modules.
pub(crate) fn modules(mut write: impl FnMut(&[u8])) {
    let mut write: &mut dyn FnMut(&[u8]) = &mut write;
    // SAFETY: the function is called during this call only, with this argument.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut write).cast()) };
}

/// Writes the lines of one module.
unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _: usize, write: *mut c_void) -> c_int {
    // SAFETY: the C library passes valid information, and the argument of `dl_iterate_phdr`.
    unsafe {
        let (info, write) = (&*info, &mut *write.cast::<&mut dyn FnMut(&[u8])>());
        let name = CStr::from_ptr(info.dlpi_name).to_bytes();
        let name = if name.is_empty() { executable() } else { name };
        for header in core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) {
            if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
                let start = info.dlpi_addr.wrapping_add(header.p_vaddr);
                write(line(start, header.p_memsz, header.p_offset, name).as_bytes());
            }
        }
    }
    0
}

/// Returns the line of a mapping.
fn line(start: u64, bytes: u64, offset: u64, name: &[u8]) -> Path {
    let round = |number: u64| number / PAGE * PAGE;
    let mut line = Path::empty();
    line.push_hexadecimal(round(start));
    line.push(b"-");
    line.push_hexadecimal(round(start.wrapping_add(bytes).wrapping_add(PAGE - 1)));
    line.push(b" r-xp ");
    line.push_hexadecimal(round(offset));
    line.push(b" 00:00 0 ");
    line.push(name);
    line.push(b"\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::String, vec::Vec};

    #[test]
    fn a_process_knows_its_program_and_its_modules() {
        let program = std::env::current_exe().unwrap();
        let name = program.file_name().unwrap().to_str().unwrap();
        assert!(String::from_utf8_lossy(executable()).ends_with(name));
        let mut given = Vec::<String>::new();
        arguments(|argument| given.push(String::from_utf8_lossy(argument).trim_end_matches('\0').into()));
        assert_eq!(given, std::env::args().collect::<Vec<String>>());
        let mut text = String::new();
        modules(|line| text += &String::from_utf8_lossy(line));
        let here = a_process_knows_its_program_and_its_modules as *const () as u64;
        let contains = |line: &&str| {
            let (start, rest) = line.split_once('-').unwrap();
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            (number(start)..number(rest.split_once(' ').unwrap().0)).contains(&here)
        };
        assert!(text.lines().find(contains).unwrap().ends_with(name), "{text}");
    }
}
