//! Reads from a program's file what stands in the way of recording it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use object::{
    Endianness, Object, ObjectSymbol,
    elf::{self, FileHeader64},
    read::elf::{ElfFile64, FileHeader, ProgramHeader},
};

use crate::record::obstacle::Obstacle;

/// What stands in the way of recording this program for sure. A file that cannot be read has the benefit of the doubt.
pub(super) fn before(binary: &Path) -> Option<Obstacle> {
    if is_privileged(binary) {
        return Some(Obstacle::Privileged);
    }
    let bytes = fs::read(binary).ok()?;
    let Ok(header) = FileHeader64::<Endianness>::parse(&*bytes) else { return Some(Obstacle::OtherMachine) };
    let endian = header.endian().ok()?;
    if header.e_machine(endian) != machine() {
        return Some(Obstacle::OtherMachine);
    }
    let segments = header.program_headers(endian, &*bytes).ok()?;
    let linker = segments.iter().find_map(|segment| segment.interpreter(endian, &*bytes).ok().flatten());
    let Some(linker) = linker else { return Some(Obstacle::Static) };
    let linker = PathBuf::from(String::from_utf8_lossy(linker).into_owned());
    let name = linker.file_name().unwrap_or_default().to_string_lossy();
    (!name.starts_with("ld-linux")).then(|| Obstacle::OtherLibrary(linker.clone()))
}

/// An allocator in the program's own file, by the names and messages that the usual ones leave in it.
pub(super) fn own_allocator(binary: &Path) -> Option<Obstacle> {
    const TRACES: [(&str, &str); 8] = [
        ("_rjem_", "jemalloc"),
        ("je_malloc", "jemalloc"),
        ("<jemalloc>", "jemalloc"),
        ("mi_malloc", "mimalloc"),
        ("tc_malloc", "tcmalloc"),
        ("tcmalloc", "tcmalloc"),
        ("snmalloc", "snmalloc"),
        ("rpmalloc", "rpmalloc"),
    ];
    let bytes = fs::read(binary).ok()?;
    let named = TRACES.iter().find(|(trace, _)| contains(&bytes, trace.as_bytes()));
    if let Some((_, name)) = named {
        return Some(Obstacle::OwnAllocator(name));
    }
    let file = ElfFile64::<Endianness>::parse(&*bytes).ok()?;
    let mut symbols = file.dynamic_symbols().chain(file.symbols());
    let own = symbols.any(|symbol| symbol.is_definition() && symbol.name_bytes() == Ok(b"malloc"));
    own.then_some(Obstacle::OwnAllocator("a malloc in the program itself"))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn machine() -> u16 {
    if cfg!(target_arch = "aarch64") { elf::EM_AARCH64 } else { elf::EM_X86_64 }
}

/// Whether the program would get other rights than this process has.
fn is_privileged(binary: &Path) -> bool {
    // SAFETY: these calls only answer.
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
        assert_eq!(own_allocator(Path::new("/bin/sh")), None);
        assert_eq!(before(Path::new("/nowhere")), None, "no file, no judgement");
    }

    #[test]
    fn what_is_no_program_cannot() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(before(file.path()), Some(Obstacle::OtherMachine));
        fs::write(file.path(), b"\x7fELF\x02\x01\x01").unwrap();
        assert_eq!(before(file.path()), Some(Obstacle::OtherMachine));
    }

    #[test]
    fn allocators_are_known_by_their_traces() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"....<jemalloc>: ...").unwrap();
        assert_eq!(own_allocator(file.path()), Some(Obstacle::OwnAllocator("jemalloc")));
    }
}
