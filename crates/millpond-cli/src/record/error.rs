//! Reasons why recording a program yields no events.

use std::{fmt, path::PathBuf};

/// Why a program yields no events, or not all of them. Displayed as a sentence without its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RecordError {
    /// No dynamic linker that could load the recorder.
    Static,
    /// The same, for a program made by Go's linker.
    Go,
    /// A C library for which the recorder is not made.
    OtherLibrary(PathBuf),
    /// Made for another architecture, or not a program.
    OtherMachine,
    /// Runs with more privileges than its user has, so the dynamic linker ignores `LD_PRELOAD`.
    Privileged,
    /// Contains its own allocator.
    OwnAllocator(String),
    /// The recorder was not loaded.
    NotLoaded,
    /// Became another program, which did not load the recorder.
    Became(PathBuf, Box<RecordError>),
    /// Was started by a process that could not write notes, and did not record.
    NotInherited,
    /// The recorder was loaded but failed.
    Failed(String),
    /// No such process; lists the existing ones.
    NoSuchProcess(String),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static => f.write_str(
                "is statically linked: there is no dynamic linker that could load the recorder into it. Link it \
                 dynamically (leave out -static; in Rust, build for a target of glibc without -C target-feature=+crt-static)",
            ),
            Self::Go => f.write_str(
                "is a Go program: Go allocates from its own garbage-collected heap and not through malloc, so there is \
                 nothing that pools could replace. Only its C code (cgo) could be recorded, in a program linked dynamically",
            ),
            Self::OtherLibrary(linker) => write!(
                f,
                "is made for another C library than glibc or musl (its dynamic linker is {}): build it for one of these",
                linker.display()
            ),
            Self::OtherMachine => f.write_str("is not a program for this machine's processor and word size"),
            Self::Privileged => f.write_str(
                "has more rights than its user (a setuid or setgid bit), and such programs ignore LD_PRELOAD: record a \
                 copy without that bit, or as the user who owns it",
            ),
            Self::OwnAllocator(name) => write!(
                f,
                "brings its own allocator ({name}), whose blocks the recorder does not see: build it without that \
                 allocator"
            ),
            Self::NotLoaded => f.write_str(
                "did not load the recorder: something has changed LD_PRELOAD in its environment (sudo does), it runs as a \
                 user who may not read the recorder, or it has more rights than its user (see getcap)",
            ),
            Self::NotInherited => f.write_str(
                "was started in a sandbox (seccomp), without its former rights or in another root directory, and did not get \
                 what the recorder had kept open for that: descriptors were closed, there is no /proc, or it is statically \
                 linked",
            ),
            Self::Became(program, error) => {
                write!(f, "became {}, which {error}", program.display())
            }
            Self::Failed(reason) => write!(f, "could not be recorded, because {reason}"),
            Self::NoSuchProcess(there) => write!(f, "is not a process of this recording; its processes are {there}"),
        }
    }
}
