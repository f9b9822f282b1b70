//! The texts in a trace: which of them are public, and a search that shows that the others are gone.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use anyhow::{Result, ensure};
use millpond_trace::{Reader, Summary};

use super::secret::Secret;

/// Libraries that every system has. Their file names are public, and so are their build ids.
const LIBRARIES: [&str; 17] = [
    "ld-linux-aarch64",
    "ld-linux-x86-64",
    "ld-musl-aarch64",
    "ld-musl-x86_64",
    "libc",
    "libc++",
    "libc++abi",
    "libdl",
    "libgcc_s",
    "libm",
    "libmvec",
    "libpthread",
    "libresolv",
    "librt",
    "libstdc++",
    "libunwind",
    "libutil",
];
/// Their folders.
const FOLDERS: [&str; 8] = [
    "/lib",
    "/lib/aarch64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
];
/// Names that the kernel gives to mappings.
const MAPPINGS: [&str; 4] = ["[heap]", "[stack]", "[vdso]", "[vsyscall]"];
/// Parts of texts that are shorter than this are not searched for everywhere: by chance, they would be found. As texts
/// of their own they are found nevertheless.
const SHORTEST: usize = 6;

/// All texts in some traces.
#[derive(Default)]
pub(super) struct Texts {
    all: BTreeSet<String>,
    build_ids: BTreeSet<Vec<u8>>,
}

impl Texts {
    /// Adds the texts of a trace that was read to its end.
    pub(super) fn add(&mut self, reader: &Reader) {
        let tables = reader.tables();
        let start = reader.start();
        let Summary { stopped, allocator, served_by, .. } = reader.summary();
        let others = [&start.program, stopped, allocator, served_by];
        self.all.extend(start.arguments.iter().chain(others).cloned());
        self.all.extend(tables.modules.iter().map(|module| module.path.clone()));
        self.all.extend(tables.threads.iter().map(|thread| thread.name.clone()));
        self.all.extend(tables.marks.iter().map(|mark| mark.name.clone()));
        self.all.extend(tables.symbols.iter().flat_map(|symbol| [&symbol.function, &symbol.file]).cloned());
        self.all.remove("");
        let private = tables.modules.iter().filter(|module| !is_library(&module.path));
        let build_ids = private.map(|module| module.build_id.clone()).filter(|id| id.len() >= SHORTEST);
        self.build_ids.extend(build_ids);
    }

    /// Returns whether a text says nothing about the program or its user.
    pub(super) fn is_public(&self, text: &str) -> bool {
        is_library(text) || MAPPINGS.contains(&text)
    }

    /// Iterates over the texts that are not public.
    pub(super) fn private(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(String::as_str).filter(|text| !self.is_public(text))
    }

    /// Returns the texts that are public.
    pub(super) fn kept(&self) -> Vec<String> {
        self.all.iter().filter(|text| self.is_public(text)).cloned().collect()
    }

    /// Returns everything that must not be anywhere in the new trace: texts, their parts between `/`, `=` and spaces,
    /// and build ids; except what is part of a public text.
    pub(super) fn patterns(&self) -> BTreeSet<Vec<u8>> {
        let kept = self.kept();
        let is_secret = |part: &&str| part.len() >= SHORTEST && !kept.iter().any(|text| text.contains(part));
        let parts = self.private().flat_map(|text| text.split(['/', '=', ' ']).chain([text]));
        let parts = parts.filter(is_secret).map(|part| part.as_bytes().to_vec());
        parts.chain(self.build_ids.iter().cloned()).collect()
    }

    /// Searches the new trace. Returns how many bytes were searched; `None` if something was found.
    pub(super) fn search(&self, written: &mut Reader, secret: &Secret<'_>) -> Result<Option<u64>> {
        let automaton = AhoCorasick::new(self.patterns())?;
        let (mut searched, mut is_found) = (0, false);
        written.visit_bytes(&mut |bytes| {
            searched += bytes.len() as u64;
            is_found |= automaton.is_match(bytes);
        })?;
        while written.read(&mut Vec::new())? {}
        let mut texts = Self::default();
        texts.add(written);
        let is_known = |text: &str| secret.has_made(text);
        ensure!(texts.all.iter().all(|text| is_known(text)), "a text was copied: please report this fault");
        Ok((!is_found).then_some(searched))
    }
}

/// Returns whether a path is that of a library that every system has.
pub(super) fn is_library(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or_default();
    let Some((library, version)) = name.split_once(".so") else { return false };
    let is_version = version.is_empty() || version.starts_with('.');
    let digits = version.bytes().all(|letter| letter == b'.' || letter.is_ascii_digit());
    FOLDERS.contains(&folder) && LIBRARIES.contains(&library) && is_version && digits
}

#[cfg(test)]
mod tests {
    use millpond_trace::{At, Module, Outcome, Start, Writer};

    use super::*;

    #[test]
    fn only_libraries_of_the_system_are_public() {
        for path in [
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
            "/usr/lib64/libstdc++.so.6.0.30",
            "/lib/libm.so",
        ] {
            assert!(is_library(path), "{path}");
        }
        for path in [
            "libc.so.6",
            "/home/user/libc.so.6",
            "/usr/lib/x86_64-linux-gnu/libsecret.so.1",
            "/usr/lib/libc.so.6 (deleted)",
            "/usr/lib/libc.so.6-of-user",
            "/usr/lib/libc.so6",
            "/usr/lib/libc.sober",
            "/usr/lib/secret/libc.so.6",
            "",
        ] {
            assert!(!is_library(path), "{path}");
        }
    }

    /// A trace of a program called `program`, with one module.
    fn trace(program: &str, path: &str, build_id: &[u8]) -> Reader {
        let mut file = Vec::new();
        let start = Start { program: program.into(), ..Start::default() };
        let mut writer = Writer::new(&mut file, &start).unwrap();
        writer.module(Module { path: path.into(), build_id: build_id.into(), ..Module::default() }).unwrap();
        writer.allocate(At::default(), 1, 0, false).unwrap();
        writer.finish(Outcome::default()).unwrap();
        let mut reader = Reader::from_bytes(file).unwrap();
        while reader.read(&mut Vec::new()).unwrap() {}
        reader
    }

    #[test]
    fn what_is_left_is_found() {
        let public = "/usr/lib/libc.so.6";
        let old = trace("/home/alice", "/home/alice/program", b"build id");
        let mut texts = Texts::default();
        texts.add(&old);
        let secret = Secret::new(&texts).unwrap();
        let search = |mut written: Reader| texts.search(&mut written, &secret);
        assert!(search(old).is_err(), "texts");
        assert!(search(trace("another text", public, b"another id")).is_err(), "not a hash");
        assert_eq!(search(trace("", public, b"the build id")).unwrap(), None, "a build id");
        let clean = search(trace(&secret.text("/home/alice"), public, b"another id")).unwrap();
        assert!(clean.is_some_and(|searched| searched > 40), "{clean:?}");
    }
}
