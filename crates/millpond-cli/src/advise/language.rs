//! The language that a program is written in, as far as its files reveal it.

use std::{fs, path::Path};

use millpond_trace::Module;
use serde::Serialize;

/// A language for which there is advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    /// C, and everything written in C, such as interpreters.
    C,
    /// C++.
    Cpp,
    /// Rust.
    Rust,
}

/// Larger files are not searched.
const LARGEST_FILE: u64 = 1 << 30;

impl Language {
    /// Returns the usual spelling of the name.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::C => "C",
            Self::Cpp => "C++",
            Self::Rust => "Rust",
        }
    }

    /// Returns the languages that a program may be written in, judged by its file and the libraries that it had loaded;
    /// all languages if these reveal nothing.
    pub(crate) fn of(program: &Path, modules: &[Module]) -> Vec<Self> {
        let has_library = |name| {
            modules
                .iter()
                .any(|module| module.path.rsplit('/').next().is_some_and(|file| file.starts_with(name)))
        };
        let from_library = has_library("libstdc++.so") || has_library("libc++.so");
        let is_small = fs::metadata(program).is_ok_and(|file| file.is_file() && file.len() <= LARGEST_FILE);
        let file = if is_small { fs::read(program).unwrap_or_default() } else { Vec::new() };
        if !file.starts_with(b"\x7fELF") {
            return if from_library { vec![Self::Cpp] } else { vec![Self::C, Self::Cpp, Self::Rust] };
        }
        Self::of_file(&file, from_library)
    }

    /// Looks for the traces that compilers leave: paths of Rust's library in messages, names of C++ types.
    fn of_file(file: &[u8], from_library: bool) -> Vec<Self> {
        let has = |text: &[u8]| file.windows(text.len()).any(|part| part == text);
        let rust = has(b"/rustc/").then_some(Self::Rust);
        let cpp = (from_library || has(b"St9bad_alloc") || has(b"__gxx_personality_v0")).then_some(Self::Cpp);
        let found: Vec<_> = cpp.into_iter().chain(rust).collect();
        if found.is_empty() { vec![Self::C] } else { found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_from_files_and_libraries() {
        let of_file = |text: &[u8], library| Language::of_file(text, library);
        assert_eq!(of_file(b"\x7fELF puts", false), [Language::C]);
        assert_eq!(of_file(b"\x7fELF puts", true), [Language::Cpp]);
        assert_eq!(of_file(b"\x7fELF _ZTISt9bad_alloc", false), [Language::Cpp]);
        assert_eq!(of_file(b"\x7fELF /rustc/abc/library", false), [Language::Rust]);
        assert_eq!(of_file(b"\x7fELF /rustc/abc/library", true), [Language::Cpp, Language::Rust]);
    }

    #[test]
    fn unknown_file_allows_what_the_libraries_allow() {
        let module = |path: &str| Module { path: path.into(), ..Module::default() };
        let missing = Path::new("/nowhere/program");
        assert_eq!(Language::of(missing, &[]).len(), 3);
        assert_eq!(Language::of(missing, &[module("/usr/lib/libstdc++.so.6.0.30")]), [Language::Cpp]);
        assert_eq!(Language::of(Path::new("/dev/zero"), &[]).len(), 3, "a device is not read");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_program_is_rust() {
        let languages = Language::of(&std::env::current_exe().unwrap(), &[]);
        assert!(languages.contains(&Language::Rust), "{languages:?}");
    }
}
