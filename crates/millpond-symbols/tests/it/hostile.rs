//! Files that are damaged, or made to do harm.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use millpond_symbols::{Module, Options, Symbolizer, build_id};

use crate::support::{only, program};

/// Looks addresses up all over a file.
fn look_up(path: &Path, options: Options) -> usize {
    let length = fs::metadata(path).unwrap().len();
    let module = Module { path: path.into(), build_id: None, start: 0, end: length + 1, offset: 0 };
    let addresses: Vec<_> = (0..length).step_by(97).collect();
    let symbols = Symbolizer::new(options).resolve(&module, &addresses);
    addresses.iter().map(|&address| symbols.frames(address).len()).sum()
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn damaged_programs_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["-nostdlib", "-Wl,--entry=main", "-include", "stddef.h"];
    // A small file, so that most changes hit something.
    let source = folder.path().join("small.c");
    fs::write(
        &source,
        "static inline int f(int a) { return a * 7; }\nint main(int a, char **b) { return f(a) + **b; }\n",
    )
    .unwrap();
    let path = folder.path().join("small");
    let arguments =
        [&["-O2", "-g", source.to_str().unwrap(), "-o", path.to_str().unwrap()], &options[..]].concat();
    crate::support::must_run("gcc", &arguments);
    let whole = fs::read(&path).unwrap();
    assert!(look_up(&path, only(&[])) > 0);
    let started = Instant::now();
    let mut random = Random(1);
    let mut named = 0;
    for round in 0..1500 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(random.below(whole.len())),
            1 => {
                // Any byte.
                for _ in 0..=random.below(20) {
                    let at = random.below(whole.len());
                    bytes[at] = random.below(256) as u8;
                }
            }
            _ => {
                // Headers: of the file, of segments, and of sections, which are at the end.
                for _ in 0..=random.below(4) {
                    let at = if random.below(2) == 0 {
                        random.below(700)
                    } else {
                        whole.len() - 1 - random.below(1800)
                    };
                    bytes[at] = [0, 1, 0x7f, 0xff, random.below(256) as u8][random.below(5)];
                }
            }
        }
        fs::write(&path, bytes).unwrap();
        let _ = build_id(&path);
        named += usize::from(look_up(&path, only(&[])) > 0);
    }
    assert!(named > 100, "{named} of the files were read far enough");
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}

#[test]
fn garbage_behind_an_elf_header_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("garbage");
    let mut random = Random(2);
    for length in [0, 1, 4, 16, 63, 64, 65, 500, 100_000] {
        let mut bytes: Vec<_> = (0..length).map(|_| random.below(256) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        assert!(build_id(&path).is_err());
        let magic = b"\x7fELF\x02\x01\x01";
        let count = magic.len().min(bytes.len());
        bytes[..count].copy_from_slice(&magic[..count]);
        fs::write(&path, &bytes).unwrap();
        let _ = build_id(&path);
        assert_eq!(look_up(&path, only(&[])), 0);
    }
}

/// Returns an ELF file with one compressed section `.debug_info` that claims to have `size` bytes.
fn with_compressed(size: u64, packed: &[u8]) -> Vec<u8> {
    let names = b"\0.debug_info\0.shstrtab\0";
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    let put = |bytes: &mut Vec<u8>, value: u64, width: usize| {
        bytes.extend_from_slice(&value.to_le_bytes()[..width]);
    };
    let content = 64 + names.len();
    let headers = content + 24 + packed.len();
    // Type, machine, version, entry, program headers, section headers, flags, sizes and counts.
    for (value, width) in [(3, 2), (62, 2), (1, 4), (0, 8), (0, 8), (headers as u64, 8), (0, 4), (64, 2)] {
        put(&mut bytes, value, width);
    }
    for value in [56, 0, 64, 3, 2] {
        put(&mut bytes, value, 2);
    }
    bytes.extend_from_slice(names);
    for (value, width) in [(1, 4), (0, 4), (size, 8), (1, 8)] {
        put(&mut bytes, value, width);
    }
    bytes.extend_from_slice(packed);
    let section = |name: u64, kind: u64, flags: u64, offset: usize, size: usize| {
        [
            (name, 4),
            (kind, 4),
            (flags, 8),
            (0, 8),
            (offset as u64, 8),
            (size as u64, 8),
            (0, 8),
            (1, 8),
            (0, 8),
        ]
    };
    let sections = [
        section(0, 0, 0, 0, 0),
        section(1, 1, 0x800, content, 24 + packed.len()),
        section(13, 3, 0, 64, names.len()),
    ];
    for (value, width) in sections.into_iter().flatten() {
        put(&mut bytes, value, width);
    }
    bytes
}

#[test]
fn sections_that_claim_to_be_large_take_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claims");
    // A section of 8 bytes that is stored, not compressed, inside of zlib: the file is well-formed.
    let packed = b"\x78\x01\x01\x08\x00\xf7\xffabcdefgh\x0e\x00\x03\x25";
    for size in [8, 1 << 20, 1 << 40, u64::MAX] {
        fs::write(&path, with_compressed(size, packed)).unwrap();
        assert_eq!(build_id(&path).unwrap(), None);
        assert_eq!(look_up(&path, only(&[])), 0);
    }
}

#[test]
fn pipes_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    crate::support::must_run("mkfifo", &[pipe.to_str().unwrap()]);
    let module = Module { path: pipe.clone(), build_id: None, start: 0, end: 10, offset: 0 };
    let symbols = Symbolizer::new(only(&[])).resolve(&module, &[1]);
    assert!(symbols.notes()[0].contains("not a regular file"));
    assert!(build_id(&pipe).is_err());
}

#[test]
fn modules_at_the_ends_of_the_address_space() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "g++", &[]).unwrap();
    for (start, end, offset) in [
        (0, u64::MAX, 0),
        (u64::MAX - 5, u64::MAX, u64::MAX),
        (5, 5, 0),
        (7, 3, 1),
        (0, 1 << 20, u64::MAX - 100),
    ] {
        let module = Module { start, end, offset, ..program.module().clone() };
        let addresses: Vec<_> = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, u64::MAX << bit]).collect();
        let symbols = Symbolizer::new(only(&[])).resolve(&module, &addresses);
        let frames: Vec<_> = addresses.iter().flat_map(|&address| symbols.frames(address)).collect();
        assert!(frames.len() < 10 * addresses.len());
    }
}
