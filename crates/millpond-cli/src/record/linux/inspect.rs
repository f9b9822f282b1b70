//! Finds obstacles to recording a program by reading its file.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use memchr::memmem;
use object::{
    Endianness, Object, ObjectSymbol,
    elf::{self, FileHeader64},
    read::elf::{ElfFile64, FileHeader, ProgramHeader},
};

use super::image::Image;
use crate::{record::error::RecordError, trace};

/// Returns the obstacle that certainly prevents recording of this program. A file that cannot be read counts as
/// recordable.
pub(super) fn before(binary: &Path) -> Option<RecordError> {
    linker(binary).err()
}

/// Returns the dynamic linker of a program that can be recorded; `None` if the file cannot be read.
pub(super) fn linker(binary: &Path) -> Result<Option<PathBuf>, RecordError> {
    if is_privileged(binary) {
        return Err(RecordError::Privileged);
    }
    let Ok(bytes) = fs::read(binary) else { return Ok(None) };
    let Ok(header) = FileHeader64::<Endianness>::parse(&*bytes) else {
        return Err(RecordError::OtherMachine);
    };
    let Ok(endian) = header.endian() else { return Ok(None) };
    if header.e_machine(endian) != machine() {
        return Err(RecordError::OtherMachine);
    }
    let Ok(segments) = header.program_headers(endian, &*bytes) else { return Ok(None) };
    let linker = segments.iter().find_map(|segment| segment.interpreter(endian, &*bytes).ok().flatten());
    let Some(linker) = linker else {
        return Err(if is_go(&bytes) { RecordError::Go } else { RecordError::Static });
    };
    let linker = PathBuf::from(String::from_utf8_lossy(linker).into_owned());
    let name = linker.file_name().unwrap_or_default().to_string_lossy();
    let is_known = name.starts_with("ld-linux") || name.starts_with("ld-musl");
    if is_known { Ok(Some(linker)) } else { Err(RecordError::OtherLibrary(linker)) }
}

/// A program with fewer events than this may have its own allocator.
const FEW: u64 = 1000;

/// Returns the allocator that a process used besides or instead of that of glibc, and where it is.
pub(super) fn allocator(image: &Image, events: u64) -> Option<String> {
    let file = trace::last_part(&image.malloc);
    if file == "libc.so" || file.starts_with("ld-musl") {
        return Some("that of musl".into());
    }
    if !file.is_empty() && !file.starts_with("libc.so.") && !file.starts_with("libc-") {
        return Some(format!("that of {file}"));
    }
    own_allocator(Path::new(&image.program), events)
}

/// Returns the allocator that may have served a process without events, past the recorder, and where it is.
pub(super) fn hidden_allocator(image: &Image) -> Option<String> {
    own_allocator(Path::new(&image.program), 0)
}

/// Finds an allocator in the program's own file, by its functions, and by messages that common allocators leave in it
/// even without symbols. If there were only few events, a name anywhere in the file is enough.
pub(super) fn own_allocator(binary: &Path, events: u64) -> Option<String> {
    const FUNCTIONS: [(&str, &str); 5] = [
        ("_rjem_malloc", "jemalloc"),
        ("je_malloc", "jemalloc"),
        ("mi_malloc", "mimalloc"),
        ("tc_malloc", "tcmalloc"),
        ("rpmalloc", "rpmalloc"),
    ];
    const MESSAGES: [(&str, &str); 2] = [("<jemalloc>: ", "jemalloc"), ("_rjem_malloc", "jemalloc")];
    const NAMES: [(&str, &str); 4] = [
        ("mi_malloc", "mimalloc"),
        ("tcmalloc", "tcmalloc"),
        ("snmalloc", "snmalloc"),
        ("rpmalloc", "rpmalloc"),
    ];
    let bytes = fs::read(binary).ok()?;
    let file = ElfFile64::<Endianness>::parse(&*bytes).ok();
    let symbols = || file.iter().flat_map(|file| file.dynamic_symbols().chain(file.symbols()));
    let defined = |name: &str| {
        symbols().any(|symbol| symbol.is_definition() && symbol.name_bytes() == Ok(name.as_bytes()))
    };
    let said = |name: &str| memmem::find(&bytes, name.as_bytes()).is_some();
    let names: &[_] = if events < FEW { &NAMES } else { &[] };
    let found = FUNCTIONS.iter().find(|(function, _)| defined(function));
    let found = found.or_else(|| MESSAGES.iter().chain(names).find(|(text, _)| said(text)));
    let found = found.or_else(|| Some(&("", "a malloc")).filter(|_| defined("malloc")));
    found.map(|(_, name)| format!("{name}, within the program itself"))
}

/// Returns whether the program was made by Go's linker.
fn is_go(bytes: &[u8]) -> bool {
    let file = ElfFile64::<Endianness>::parse(bytes);
    file.is_ok_and(|file| file.section_by_name(".go.buildinfo").is_some())
}

fn machine() -> u16 {
    if cfg!(target_arch = "aarch64") { elf::EM_AARCH64 } else { elf::EM_X86_64 }
}

/// Returns whether the program would run with other privileges than this process.
fn is_privileged(binary: &Path) -> bool {
    // SAFETY: these calls take no arguments and always succeed.
    let (user, group) = unsafe { (libc::getuid(), libc::getgid()) };
    fs::metadata(binary).is_ok_and(|file| {
        let (set_user, set_group) = (file.mode() & libc::S_ISUID != 0, file.mode() & libc::S_ISGID != 0);
        set_user && file.uid() != user || set_group && file.gid() != group
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_programs_can_be_recorded() {
        assert_eq!(before(Path::new("/bin/sh")), None);
        assert_eq!(own_allocator(Path::new("/bin/sh"), 0), None);
        assert_eq!(before(Path::new("/nowhere")), None, "no file, no judgement");
    }

    #[test]
    fn what_is_no_program_cannot() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(before(file.path()), Some(RecordError::OtherMachine));
        fs::write(file.path(), b"\x7fELF\x02\x01\x01").unwrap();
        assert_eq!(before(file.path()), Some(RecordError::OtherMachine));
    }

    #[test]
    fn allocators_are_known_by_their_traces() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"....<jemalloc>: ...").unwrap();
        let found = own_allocator(file.path(), u64::MAX).unwrap();
        assert!(found.starts_with("jemalloc, "), "{found}");
        fs::write(file.path(), b"....tcmalloc...").unwrap();
        assert_eq!(own_allocator(file.path(), u64::MAX), None, "a name is no proof");
        assert!(own_allocator(file.path(), 3).is_some(), "but with few events a reason to doubt");
    }
}
